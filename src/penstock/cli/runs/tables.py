"""Tables that fit a terminal: what has no room is left out and named, never wrapped into a puzzle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from penstock.cli.console import console, print_table
from penstock.error_text import printable, without_passwords

# What a cell shows of a long text, and the blanks between two columns.
MAX_CELL = 40
_GAP = 2

PIPED_WIDTH = 100_000


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column as it is printed."""

    title: str
    cells: Sequence[str]
    is_number: bool = False
    style: str = ""

    @classmethod
    def of(
        cls, title: str, cells: Sequence[object], *, is_number: bool = False, style: str = "", limit: int = MAX_CELL
    ) -> TableColumn:
        """Foreign texts become one line each, and are cut at `limit`."""
        return cls(_one_line(title, limit), [_one_line(cell, limit) for cell in cells], is_number, style)

    @property
    def width(self) -> int:
        from rich.cells import cell_len

        return max(map(cell_len, (self.title, *self.cells)))


def terminal_width() -> int:
    """Of what standard output is; a pipe has room for all."""
    return console(piped_width=PIPED_WIDTH).width


def fitted(always: Sequence[TableColumn], more: Sequence[TableColumn], width: int) -> int:
    """How many of `more` have room beside those that are there always."""
    left = width - sum(column.width + _GAP for column in always) + _GAP
    for count, column in enumerate(more):
        left -= column.width + _GAP
        if left < 0:
            return count
    return len(more)


def print_columns(columns: Sequence[TableColumn], *, titles: bool = True) -> None:
    """Numbers to the right, texts to the left; a terminal that is too narrow for the first columns cuts cells."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0), show_header=titles)
    for column in columns:
        table.add_column(
            column.title,
            justify="right" if column.is_number else "left",
            no_wrap=True,
            overflow="ellipsis",
            style=column.style or None,
        )
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*row)
    print_table(console(markup=False, piped_width=PIPED_WIDTH), table)


def _one_line(text: object, limit: int) -> str:
    shown = without_passwords(printable(text))
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"
