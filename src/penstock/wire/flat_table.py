"""Tables of FlatBuffers inside of bytes: just enough to see what an Arrow message claims before anything is made of it.

Source: the FlatBuffers binary format.
"""

from __future__ import annotations

import struct


class FlatTable:
    """One table at a place in bytes. What points outside of them raises ValueError."""

    __slots__ = ("_at", "_fields", "data")

    def __init__(self, data: memoryview, at: int) -> None:
        self.data, self._at = data, at
        vtable = at - self.read("<i", at)
        length = self.read("<H", vtable)
        if length < 4 or length & 1:
            raise ValueError("a table has no fields")
        self._fields = [self.read("<H", vtable + offset) for offset in range(4, length, 2)]

    @classmethod
    def root(cls, data: memoryview) -> FlatTable:
        """The table that the bytes are."""
        if len(data) < 4:
            raise ValueError("a message is cut short")
        return cls(data, struct.unpack_from("<I", data)[0])

    def read(self, form: str, at: int) -> int:
        """The whole number at a place."""
        if not 0 <= at <= len(self.data) - struct.calcsize(form):
            raise ValueError("a message points outside of itself")
        number: int = struct.unpack_from(form, self.data, at)[0]
        return number

    def has(self, field: int) -> bool:
        """Whether the field is there."""
        return field < len(self._fields) and self._fields[field] != 0

    def number(self, field: int, form: str) -> int:
        """A whole number, 0 where it is left out."""
        return self.read(form, self._at + self._fields[field]) if self.has(field) else 0

    def table(self, field: int) -> FlatTable:
        """The table in a field. Raises ValueError where there is none."""
        if not self.has(field):
            raise ValueError("a message lacks a part")
        place = self._at + self._fields[field]
        return FlatTable(self.data, place + self.read("<I", place))

    def vector(self, field: int, width: int) -> tuple[int, int]:
        """Where the items of a vector start, and how many there are, each of `width` bytes."""
        if not self.has(field):
            return 0, 0
        place = self._at + self._fields[field]
        place += self.read("<I", place)
        count = self.read("<I", place)
        if place + 4 + count * width > len(self.data):
            raise ValueError("a message points outside of itself")
        return place + 4, count

    def tables(self, field: int) -> list[FlatTable]:
        """The tables in a vector."""
        start, count = self.vector(field, 4)
        return [FlatTable(self.data, at + self.read("<I", at)) for at in range(start, start + 4 * count, 4)]
