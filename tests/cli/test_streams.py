"""Standard output and error: nothing foreign is obeyed by a terminal, and none that is closed ends anything."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from penstock.cli.streams import PrintedText


def test_what_a_terminal_obeys_is_escaped_and_our_colours_are_not() -> None:
    raw = io.BytesIO()
    stream = PrintedText(raw, encoding="utf-8", errors="backslashreplace", line_buffering=True)
    stream.write("a\x1b[31m\u202eb\x9b\r\tc\ud800\n")
    stream.write_styled("\x1b[1mbold\x1b[0m\n")
    assert raw.getvalue() == b"a\\x1b[31m\\u202eb\\x9b\\r\tc\\ud800\n\x1b[1mbold\x1b[0m\n"


def test_a_password_in_a_url_is_not_printed() -> None:
    raw = io.BytesIO()
    stream = PrintedText(raw, encoding="utf-8", line_buffering=True)
    stream.write("at postgresql://me:s3cret@host/db\n")
    assert raw.getvalue() == b"at postgresql://me:***@host/db\n"


def test_a_reader_that_leaves_ends_nothing() -> None:
    """Nor does it cost anything to go on: what follows goes nowhere."""
    reading, writing = os.pipe()
    code = "for _ in range(2000): print('x' * 100)\nprint('alive', file=sys.stderr)"
    program = f"from penstock.cli.streams import set_up_streams; import sys; set_up_streams()\n{code}"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=writing, stderr=subprocess.PIPE, text=True
    ) as process:
        os.close(writing)
        os.read(reading, 100)
        os.close(reading)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "alive\n")


def test_a_program_without_any_streams_does_its_work(tmp_path: Path) -> None:
    place = tmp_path / "made"
    code = "import sys\nfrom penstock.cli.streams import set_up_streams\nset_up_streams()\n"
    code += f"print('x'); print('y', file=sys.stderr); file = open({str(place)!r}, 'w'); file.write(str(file.fileno()))"
    done = subprocess.run(["sh", "-c", '"$0" -c "$1" <&- >&- 2>&-', sys.executable, code], check=False, timeout=60)
    assert done.returncode == 0
    assert int(place.read_text()) > 2  # no file of the program took the place of its output


def test_click_takes_it_for_a_stream_of_text() -> None:
    raw = io.BytesIO()
    stream = PrintedText(raw, encoding="utf-8", line_buffering=True)
    click.echo("said", file=stream)
    with pytest.raises(TypeError):
        stream.write(b"")  # type: ignore[arg-type]
    assert raw.getvalue() == b"said\n"
