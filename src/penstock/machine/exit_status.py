"""Which child processes have ended, and how, as numbers and in words."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator


def how_it_ended(code: int) -> str:
    """A process's return code as words that follow its name."""
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was killed by signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"was killed by signal {-code}"


def ended_children() -> Iterator[tuple[int, int]]:
    """The number and the return code of each child that has ended and that nobody waited for. Does not block."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        yield pid, os.waitstatus_to_exitcode(status)
