"""Chunks handed to another process by way of a file in memory: a pipe would copy every byte several times over.

The files lie in /dev/shm where it has room, else where temporary files do. The process that opens one removes it.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from penstock.scoring.read.chunks import Chunk

if TYPE_CHECKING:
    from pyarrow import Table as ArrowTable

_SHARED = Path("/dev/shm")
_ROOM = 512 << 20


@dataclass(frozen=True, slots=True)
class SharedChunk:
    """Where a chunk's data is."""

    path: str
    is_table: bool


def shared_directory() -> TemporaryDirectory[str]:
    """A directory for shared chunks, removed when the job ends."""
    roomy = _SHARED.is_dir() and os.access(_SHARED, os.W_OK) and shutil.disk_usage(_SHARED).free > _ROOM
    return TemporaryDirectory(prefix="penstock-", dir=_SHARED if roomy else None, ignore_cleanup_errors=True)


def pack(chunk: Chunk, directory: str) -> Chunk:
    """The chunk with its data in a file of the directory."""
    path = os.path.join(directory, f"{chunk.source}-{chunk.row}")
    if isinstance(chunk.data, bytes):
        Path(path).write_bytes(chunk.data)
        return replace(chunk, data=SharedChunk(path, is_table=False))
    from pyarrow import ipc

    with ipc.new_file(path, chunk.data.schema) as writer:
        writer.write_table(chunk.data)
    return replace(chunk, data=SharedChunk(path, is_table=True))


def unpack(chunk: Chunk) -> Chunk:
    """The chunk with its data, which stays readable though the file is gone."""
    shared = chunk.data
    return replace(chunk, data=_opened(shared.path) if shared.is_table else _content(shared.path))


def _opened(path: str) -> ArrowTable:
    import pyarrow as pa
    from pyarrow import ipc

    with pa.memory_map(path) as mapped:
        table = ipc.open_file(mapped).read_all()
    os.unlink(path)
    return table


def _content(path: str) -> bytes:
    data = Path(path).read_bytes()
    os.unlink(path)
    return data
