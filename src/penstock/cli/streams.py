"""Standard output and error of a command: nothing foreign reaches a terminal unescaped, and none that is closed ends
anything.
"""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from contextlib import suppress
from typing import TextIO

from penstock.error_text import printable_lines, without_passwords

# The reader has left, or the terminal is gone.
_GONE = frozenset({errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO})

# A command that ends a hint.
_COMMAND = re.compile(r"(?<=: )penstock .*")


class PrintedText(io.TextIOWrapper):
    """Text for people, as `print` and `click.echo` write it. What a terminal would obey is escaped, except for ends of
    lines and tabs. Once nobody reads it any more, it goes nowhere."""

    def write(self, text: str) -> int:
        if not isinstance(text, str):  # by which click finds out whether a stream is one of text
            raise TypeError(f"a text stream takes text, not {type(text).__name__}")
        self.write_styled(without_passwords(printable_lines(text)))
        return len(text)

    def write_styled(self, text: str) -> None:
        """Writes text whose colours are ours."""
        try:
            super().write(text)
        except OSError as error:
            self._give_up(error)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """From now on to nowhere, for programs that this one starts, too. Raises the error where it is another one."""
        if error.errno not in _GONE:
            raise error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, self.fileno())
        finally:
            os.close(nowhere)
        with suppress(OSError):
            super().flush()


def set_up_streams() -> None:
    """Makes standard output and error such streams, also where the program was started without any."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # closed: the next file that is opened would take its place, and what is printed
            os.open(os.devnull, os.O_RDWR)  # which takes the lowest number that is free
    for number, name in ((1, "stdout"), (2, "stderr")):
        before: TextIO | None = getattr(sys, name)
        if before is not None:
            with suppress(OSError):
                before.flush()
        written = open(number, "wb", closefd=False)  # noqa: SIM115  # open as long as the program runs
        stream = PrintedText(written, encoding="utf-8", errors="backslashreplace", line_buffering=True)
        setattr(sys, name, stream)


def write_styled(text: str) -> None:
    """To standard output, with colours of ours."""
    stream = sys.stdout
    if isinstance(stream, PrintedText):
        stream.write_styled(text)
    else:
        stream.write(text)


def room_on_terminal(stream: TextIO) -> int:
    """How many characters a line has there; without end where it is none, since whoever reads a pipe wraps lines
    itself."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or sys.maxsize
    except (OSError, ValueError):
        return sys.maxsize


def fitted_lines(text: str, width: int) -> list[str]:
    """At most `width` wide, as far as blanks let them be. A command at the end is one line, which the terminal itself
    goes on with where there is no room: a line that was broken here would not paste."""
    if len(text) <= width:
        return [text]
    from textwrap import wrap

    found = _COMMAND.search(text)
    prose, command = (text, "") if found is None else (text[: found.start()], found[0])
    lines = wrap(prose, max(width, 20), break_long_words=False, break_on_hyphens=False)
    return [*lines, command] if command else lines
