"""The contract of what is delivered from: a segment of the spool, or memory where the disk takes nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import BinaryIO, NamedTuple


class SpoolChunk(NamedTuple):
    """Lines, and the place after the last one. `is_cut_off`: instead of lines there is what a machine that lost its
    power left of one."""

    lines: list[bytes]
    end: int
    is_cut_off: bool = False


class DeliverySource(ABC):
    """One thread appends, and another one delivers."""

    is_ours: bool  # all that is in it was written by this process
    run_ids: dict[str, str]  # those that runs got where we cannot choose, by those that we gave them

    @property
    @abstractmethod
    def place(self) -> str:
        """Names it to people."""

    @property
    @abstractmethod
    def waiting(self) -> int:
        """Bytes that are not delivered yet."""

    @abstractmethod
    def read(self) -> SpoolChunk:
        """What follows what is delivered: about a megabyte of it, and at least one line. Raises OSError."""

    @abstractmethod
    def deliver(self, end: int) -> None:
        """Everything up to a place is delivered. Raises OSError."""

    @abstractmethod
    def open_file(self, name: str) -> BinaryIO:
        """The content of a file of which a line speaks. Raises FileNotFoundError for what is no file of the spool's
        own, such as a link to another one."""

    @abstractmethod
    def remove_file(self, name: str) -> None:
        """Once its line is delivered."""
