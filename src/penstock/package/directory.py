"""New directories of packages, which appear whole or not at all: `storage.atomic` with a package's errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from penstock.errors import PackageExists, PackagingFailed, remedy
from penstock.manifest import FILE_NAME
from penstock.storage import atomic


@contextmanager
def new_directory(target: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A directory that becomes `target` in one step if all goes well, and disappears if not.

    Written beside the target, synced, renamed. With `overwrite` it takes the place of a package that is there, once it
    is whole; never that of anything else. Raises PackageExists, PackagingFailed.
    """
    if target.exists():
        _check_replaceable(target, overwrite)
    with ExitStack() as making:
        try:
            directory = making.enter_context(atomic.new_directory(target, replace=overwrite))
        except OSError as error:
            raise PackagingFailed(f"Nothing can be written at {target.parent}: {error.strerror}.") from None
        try:
            yield directory
            _appear(making, target)
        except OSError as error:
            raise PackagingFailed(f"The package cannot be written at {target}: {error.strerror or error}.") from error


def _check_replaceable(target: Path, overwrite: bool) -> None:
    """Raises PackageExists."""
    if target.is_symlink() or not (target / FILE_NAME).is_file():
        what = "a link" if target.is_symlink() else "not a package"
        raise PackageExists(f"{target} exists already, and is {what}.", hint="Choose another directory.")
    if not overwrite:
        raise PackageExists(
            f"{target} exists already.",
            hint="Choose another directory, or replace this package with overwrite=True.",
            remedy=remedy("overwrite"),
        )


def _appear(making: ExitStack, target: Path) -> None:
    try:
        making.close()
    except FileExistsError:
        raise PackageExists(f"{target} was made by another process meanwhile.") from None
