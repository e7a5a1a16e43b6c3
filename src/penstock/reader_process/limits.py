"""What one task of a reader may take: processor seconds and memory, by the size of what it reads or writes. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.defaults import READ_TIMEOUT, READER_MEMORY

_TEN_MEBIBYTES = 10 << 20

# What any task may take, and for each byte that it reads: a list of short lists takes some twenty times its text.
_MEMORY = 128 << 20
_MEMORY_PER_BYTE = 24


@dataclass(frozen=True, slots=True)
class ReaderLimits:
    """`timeout` is the seconds for a small body; each 10 MiB of a larger one add a second. `memory` is the most bytes
    that any task may take."""

    timeout: float = READ_TIMEOUT
    memory: int = READER_MEMORY

    def seconds(self, size: int) -> float:
        """For so many bytes."""
        return self.timeout + size / _TEN_MEBIBYTES

    def bytes(self, size: int) -> int:
        """For so many bytes, without their encodings."""
        return min(_MEMORY + _MEMORY_PER_BYTE * size, self.memory)
