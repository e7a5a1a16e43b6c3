"""Tables that fit a terminal: what has no room is left out and named, never wrapped into a puzzle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from penstock.cli.console import console
from penstock.cli.streams import write_styled
from penstock.error_text import printable, without_passwords

# What a cell shows of a long text, and the blanks between two columns.
MAX_CELL = 40
_GAP = 2
# A text is not cut further than this.
_LEAST_CELL = 8

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
        return max(map(_cells, (self.title, *self.cells)))


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
    """Numbers to the right, texts to the left. Made here and not by rich, which takes minutes for ten thousand runs."""
    chosen = _narrowed(columns, terminal_width())
    widths = [column.width for column in chosen]
    rows = [[column.title for column in chosen]] if titles else []
    rows += map(list, zip(*(column.cells for column in chosen), strict=True))
    bold, styles = _renderer("bold"), [_renderer(column.style) for column in chosen]
    lines = []
    for number, row in enumerate(rows):
        cells = []
        for text, column, size, style in zip(row, chosen, widths, styles, strict=True):
            blanks = " " * (size - _cells(text))
            shown = bold(text) if titles and number == 0 else style(text)
            cells.append(f"{blanks}{shown}" if column.is_number else f"{shown}{blanks}")
        lines.append((" " * _GAP).join(cells).rstrip())
    write_styled("".join(f"{line}\n" for line in lines))


def print_line(text: str) -> None:
    """A line whose colours are ours, and whose words were made printable."""
    write_styled(f"{text}\n")


def styled(text: str, style: str) -> str:
    """In a style of rich's, where standard output has colours."""
    return _renderer(style)(text)


def _renderer(style: str) -> Callable[[str], str]:
    if not style:
        return str
    from rich.color import ColorSystem
    from rich.style import Style

    screen = console()
    if not screen.is_terminal or screen.no_color or screen.color_system is None:
        return str
    parsed = Style.parse(style)
    return lambda text: parsed.render(text, color_system=ColorSystem.STANDARD) if text else text


def _narrowed(columns: Sequence[TableColumn], width: int) -> list[TableColumn]:
    """The widest texts are cut until all fit, as far as they still say something."""
    chosen = list(columns)
    while (over := sum(column.width + _GAP for column in chosen) - _GAP - width) > 0:
        place = max(range(len(chosen)), key=lambda i: 0 if chosen[i].is_number else chosen[i].width)
        widest = chosen[place]
        limit = max(_LEAST_CELL, widest.width - over)
        if widest.is_number or limit >= widest.width:
            break
        chosen[place] = TableColumn.of(
            widest.title, widest.cells, is_number=widest.is_number, style=widest.style, limit=limit
        )
    return chosen


def _cells(text: str) -> int:
    """How wide a terminal shows it."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _one_line(text: object, limit: int) -> str:
    shown = without_passwords(printable(text))
    if _cells(shown) <= limit:
        return shown
    from rich.cells import set_cell_size

    return f"{set_cell_size(shown, limit - 1).rstrip()}…"
