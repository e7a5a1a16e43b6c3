"""Files that are nowhere but in memory, handed from process to process by their descriptors.

They are no shared memory by name (/dev/shm), which is small in containers and outlives its makers. Once sealed, nobody
can change or shorten one, so what maps it cannot be made to crash.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Sequence
from mmap import ACCESS_COPY, mmap
from typing import TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview | mmap

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE

# As many buffers as one call of the system takes.
_AT_ONCE = 512


class MemoryFile:
    """One file, open as long as this is. `size` is in bytes."""

    __slots__ = ("_sealed", "fd", "size")

    def __init__(self, fd: int | None = None) -> None:
        """A new one, or the one behind a descriptor that another process has sent, which is this object's from now
        on. Raises OSError where there is no memory for it."""
        # The whole mutable state: the descriptor, -1 once closed; what was written; whether that is final.
        self.fd = -1
        self.fd = os.memfd_create("penstock", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING) if fd is None else fd
        self.size = 0 if fd is None else os.fstat(fd).st_size
        self._sealed = fd is not None

    def write(self, buffers: Iterable[Buffer]) -> None:
        """Appends. Raises OSError."""
        left = [memoryview(buffer).cast("B") for buffer in buffers if len(buffer)]
        while left:
            written = os.writev(self.fd, left[:_AT_ONCE])
            self.size += written
            left = _rest(left, written)

    def seal(self) -> None:
        """Nobody changes it any more."""
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, _SEALS)
        self._sealed = True

    @property
    def is_sealed(self) -> bool:
        """Whether nobody can change it, whoever made it."""
        return fcntl.fcntl(self.fd, fcntl.F_GET_SEALS) & _SEALS == _SEALS

    def map(self) -> mmap:
        """Its bytes, which stay there after `close`; what is changed in them is changed in this map alone. Raises
        ValueError for an empty file."""
        return mmap(self.fd, self.size, access=ACCESS_COPY)

    def read(self, size: int | None = None) -> bytes:
        """A copy of the first `size` bytes, of all where that is not said."""
        pieces = []
        position, size = 0, self.size if size is None else min(size, self.size)
        while position < size:
            piece = os.pread(self.fd, size - position, position)
            if not piece:
                raise OSError("a file in memory ends too early")
            pieces.append(piece)
            position += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Safe to call twice."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<MemoryFile {self.size} bytes{', sealed' if self._sealed else ''}>"


def _rest(buffers: Sequence[memoryview], written: int) -> list[memoryview]:
    """What remains of buffers of which so many bytes are written."""
    for number, buffer in enumerate(buffers):
        if written < len(buffer):
            return [buffer[written:], *buffers[number + 1 :]]
        written -= len(buffer)
    return []
