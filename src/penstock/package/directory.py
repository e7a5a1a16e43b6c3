"""New directories of packages, which appear whole or not at all: `storage.atomic` with a package's errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from penstock.errors import PackageExists, PackagingFailed
from penstock.storage import atomic


@contextmanager
def new_directory(target: Path) -> Iterator[Path]:
    """A directory that becomes `target` in one step if all goes well, and disappears if not.

    Written beside the target, synced, renamed. Raises PackageExists, PackagingFailed.
    """
    if target.exists():
        raise PackageExists(f"{target} exists already.", hint="Choose another directory, or remove this one first.")
    with ExitStack() as making:
        try:
            directory = making.enter_context(atomic.new_directory(target))
        except OSError as error:
            raise PackagingFailed(f"Nothing can be written at {target.parent}: {error.strerror}.") from None
        try:
            yield directory
            _appear(making, target)
        except OSError as error:
            raise PackagingFailed(f"The package cannot be written at {target}: {error.strerror or error}.") from error


def _appear(making: ExitStack, target: Path) -> None:
    try:
        making.close()
    except FileExistsError:
        raise PackageExists(f"{target} was made by another process meanwhile.") from None
