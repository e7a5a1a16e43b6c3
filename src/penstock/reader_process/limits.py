"""What one task of a reader may take: processor seconds and memory, by the size of what it reads or writes. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.defaults import MAX_BODY_BYTES, READ_TIMEOUT, READER_MEMORY

_TEN_MEBIBYTES = 10 << 20

# What any task may take, however small.
_MEMORY = 96 << 20


@dataclass(frozen=True, slots=True)
class ReaderLimits:
    """`timeout` is the seconds for a small body; each 10 MiB of a larger one add a second. `memory` is the most bytes
    that any task may take: all of it for a body as large as bodies are by default, less for a smaller one."""

    timeout: float = READ_TIMEOUT
    memory: int = READER_MEMORY

    def seconds(self, size: int) -> float:
        """For so many bytes."""
        return self.timeout + size / _TEN_MEBIBYTES

    def bytes(self, size: int) -> int:
        """For a body of so many bytes, without their encodings. An answer may be much longer than what it is made of,
        since each row repeats the names of all columns: `memory` is all that bounds it."""
        return min(_MEMORY + size * self.memory // MAX_BODY_BYTES, self.memory)
