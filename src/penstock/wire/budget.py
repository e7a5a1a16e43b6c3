"""What one body may become: cells and bytes, counted before anything is padded, widened, decoded or decompressed.

Every cell that is written out takes two bytes of JSON, its comma among them, and one of CSV. A body that stands for
more cells than that has them from padding: one wide row and many short ones, records that share no key. What columnar
formats unfold to is bounded by the size that bodies may have, since a few bytes of them can honestly mean many equal
cells.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from penstock.errors import InputTooLarge, MalformedInput

# A short body may leave gaps.
_FREE_CELLS = 1024
# Texts in numpy's own arrays are all as wide as the longest; so wide they may be beyond four times the body's size.
FREE_BYTES = 16 * 1024 * 1024
# A Python object and the pointer to it: what a cell takes that is neither a number nor a moment.
OBJECT_BYTES = 64
# Of what columnar bodies unfold to, in the largest size of a body.
_UNFOLDED = 4
# A cell becomes eight bytes, and several processes have them for a moment: the largest bodies may have one cell for
# each four bytes, and numbers are seldom written shorter.
_LEAST_CELL = 4
# pandas takes up to 0.1 ms for each column, however short, and far more for names that are the same.
_FREE_COLUMNS = 8192
_FREE_TWINS = 64


@dataclass(slots=True)
class Budget:
    """What is left of one body's cells and bytes; `size` is the body's, or the limit on bodies for columnar ones.

    All mutable state: `cells` and `decoded`, which only `spend_…` change.
    """

    size: int
    cells: int
    decoded: int
    limit: str = "its size"

    @classmethod
    def of_json(cls, size: int, max_body_bytes: int = sys.maxsize) -> Budget:
        """For a JSON body of so many bytes, of which bodies may have so many."""
        return cls._of_text(size, size // 2 + _FREE_CELLS, max_body_bytes)

    @classmethod
    def of_csv(cls, size: int, max_body_bytes: int = sys.maxsize) -> Budget:
        """For a CSV body of so many bytes, where an empty cell takes one."""
        return cls._of_text(size, size + _FREE_CELLS, max_body_bytes)

    @classmethod
    def _of_text(cls, size: int, cells: int, max_body_bytes: int) -> Budget:
        decoded = 4 * size + FREE_BYTES
        if cells <= (most := max_body_bytes // _LEAST_CELL + _FREE_CELLS):
            return cls(size, cells, decoded)
        return cls(max_body_bytes, most, decoded, "the limit max_body_bytes")

    @classmethod
    def of_columnar(cls, max_body_bytes: int) -> Budget:
        """For an Arrow or Parquet body of any size, by the limit on bodies."""
        unfolded = _UNFOLDED * max_body_bytes
        return cls(max_body_bytes, max_body_bytes // 2 + _FREE_CELLS, unfolded, "the limit max_body_bytes")

    @classmethod
    def unlimited(cls) -> Budget:
        """For what nobody sent: files and values of the caller's own."""
        return cls(sys.maxsize, sys.maxsize, sys.maxsize)

    def spend_cells(self, count: int) -> None:
        """Raises InputTooLarge where there are more than are left."""
        self.check_cells(count)
        self.cells -= count

    def check_cells(self, count: int) -> None:
        """Raises InputTooLarge where that many could not be spent."""
        if count > self.cells:
            raise InputTooLarge(
                f"The body stands for {count:,} cells, where {self.cells:,} are allowed by {self.limit} "
                f"({self.size:,} bytes).",
                hint="Leave out the columns that are mostly empty, or send fewer rows in one request.",
            )

    def spend_bytes(self, count: int) -> None:
        """Raises InputTooLarge where the body unfolds to more than are left."""
        if count > self.decoded:
            raise InputTooLarge(
                f"The body unfolds to {count:,} bytes, where {self.decoded:,} are allowed by {self.limit} "
                f"({self.size:,} bytes).",
                hint="Send fewer rows in one request.",
            )
        self.decoded -= count


def check_columns(count: int, known: int) -> None:
    """For tables that pandas makes; `known` is how many columns the signature has. Raises InputTooLarge."""
    if count > (most := known + _FREE_COLUMNS):
        raise InputTooLarge(
            f"The body has {count:,} columns, where {most:,} are allowed: those that the model takes and "
            f"{_FREE_COLUMNS:,} more.",
            hint="Send the columns that the model takes.",
        )


def check_twins(names: Sequence[object]) -> None:
    """Raises MalformedInput for many columns of the same name."""
    if (twins := len(names) - len(set(names))) > _FREE_TWINS:
        raise MalformedInput(f"The body has {twins:,} columns whose names others have, too.")
