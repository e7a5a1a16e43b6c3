"""How commands print for people: tables that fit, colours and progress only on a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

# Piped output is not cut to a terminal's width that nobody has.
_PIPED_WIDTH = 160


def console(*, stderr: bool = False) -> Console:
    """A rich console on stdout or stderr; plain text where that is no terminal."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr, highlight=False, soft_wrap=False, width=None if stream.isatty() else _PIPED_WIDTH, emoji=False
    )


def print_table(screen: Console, table: Any) -> None:
    """Without the blanks that rich fills columns up with, which paste badly."""
    with screen.capture() as captured:
        screen.print(table)
    sys.stdout.write("\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n")
