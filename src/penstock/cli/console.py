"""How commands print for people: tables that fit, colours and progress only on a terminal.

What comes from packages, registries and requests is shown as text, whatever characters are in it.
"""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any, TextIO, cast

from penstock.cli.streams import PrintedText, write_styled
from penstock.error_text import printable, printable_lines, without_passwords

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from penstock.signature import Schema, Signature

# Piped output is not cut to a terminal's width that nobody has.
_PIPED_WIDTH = 160


class _Styled:
    """A stream as rich wants one: the colours in what it writes are its own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        if isinstance(self._stream, PrintedText):
            self._stream.write_styled(text)
        else:
            self._stream.write(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Escaping:
    """Escapes what a terminal would obey in everything that is printed, as rich's render hook."""

    def __init__(self, screen: Console) -> None:
        self._screen = screen

    def process_renderables(self, renderables: list[Any]) -> list[Any]:
        from rich.segment import Segment, Segments

        return [
            Segments(
                [
                    segment if segment.control else Segment(printable_lines(segment.text), segment.style)
                    for segment in self._screen.render(renderable)
                ]
            )
            for renderable in renderables
        ]


def console(*, stderr: bool = False, markup: bool = True, piped_width: int = _PIPED_WIDTH) -> Console:
    """A rich console on stdout or stderr; plain text where that is no terminal."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    screen = Console(
        file=cast(TextIO, _Styled(stream)),
        highlight=False,
        soft_wrap=False,
        width=None if stream.isatty() else piped_width,
        emoji=False,
        markup=markup,
    )
    screen.push_render_hook(_Escaping(screen))  # type: ignore[arg-type]  # rich names a class of its own
    return screen


def print_table(screen: Console, table: Any) -> None:
    """Without the blanks that rich fills columns up with, which paste badly."""
    with screen.capture() as captured:
        screen.print(table)
    write_styled("\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n")


def cell(value: object) -> str:
    """A foreign value as one line of a table whose cells are read as markup."""
    from rich.markup import escape

    return escape(without_passwords(printable(value)))


def schema_rows(schema: Schema | None) -> list[dict[str, Any]]:
    from penstock.signature import Field

    return [
        {"name": f.name, "type": str(f.type), "required": f.required}
        if isinstance(f, Field)
        else {"name": f.name, "type": str(f).rpartition(": ")[2], "required": True}
        for f in schema or ()
    ]


def signature_rows(signature: Signature | None) -> dict[str, list[dict[str, Any]]]:
    """Rows of tables: one for each column or array of inputs and outputs, and for each param."""
    if signature is None:
        return {"inputs": [], "outputs": [], "params": []}
    return {
        "inputs": schema_rows(signature.inputs),
        "outputs": schema_rows(signature.outputs),
        "params": [{"name": p.name, "type": str(p.type), "default": p.json_default} for p in signature.params],
    }


def titled_table(title: str, rows: list[dict[str, Any]]) -> Table:
    """Rows with the same keys, which become the columns."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for key in rows[0]:
        table.add_column(key, overflow="fold")
    for row in rows:
        table.add_row(*(cell(_shown(key, value)) for key, value in row.items()))
    return table


def _shown(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ("(unnamed)" if key == "name" else "") if value is None else str(value)


# What JSON allows in a text as it is, and a terminal would obey.
_BARE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def json_text(value: Any, *, indent: bool = True, sort_keys: bool = False) -> str:
    """The value as JSON for machines, which a terminal may show all the same."""
    import orjson

    options = (orjson.OPT_INDENT_2 if indent else 0) | (orjson.OPT_SORT_KEYS if sort_keys else 0)
    try:
        text = orjson.dumps(value, default=str, option=options).decode()
    except TypeError:  # half characters, whole numbers past 64 bits
        text = json.dumps(value, default=str, indent=2 if indent else None, sort_keys=sort_keys)
    return _BARE.sub(lambda found: f"\\u{ord(found[0]):04x}", without_passwords(text))
