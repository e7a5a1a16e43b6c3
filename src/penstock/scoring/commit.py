"""Output files that appear whole or not at all: written beside the target, synced, renamed over it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from penstock.errors import ScoringError


@contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """A path to write to, which becomes `target` if all goes well and disappears if not. Raises ScoringError."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        os.close(descriptor)
    except OSError as error:
        raise ScoringError(f"Nothing can be written at {target.parent}: {error.strerror}.") from None
    path = Path(name)
    try:
        yield path
        path.chmod(0o644)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        path.replace(target)
    except OSError as error:
        raise ScoringError(f"{target} cannot be written: {error.strerror or error}.") from error
    finally:
        with suppress(FileNotFoundError):
            path.unlink()
