"""Standard output and error: nothing foreign is obeyed by a terminal, and none that is closed ends anything."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import termios
from pathlib import Path

import click
import pytest

from penstock.cli import main
from penstock.cli.streams import PrintedText, fitted_lines, room_on_terminal


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


def test_a_line_fits_a_terminal_and_a_command_in_it_is_not_broken() -> None:
    command = "penstock registry add wine PACKAGE --registry ./models"
    assert fitted_lines(f"Add it with: {command}", 80) == [f"Add it with: {command}"]
    assert fitted_lines(f"Register a version first. Add it with: {command}", 30) == [
        "Register a version first. Add",
        "it with:",
        command,
    ]


def test_hints_are_wrapped_at_the_width_of_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["serve", "wine", "--registry", "ftp://hub"]
    with pytest.raises(SystemExit):
        main(words)
    (hint,) = capsys.readouterr().err.splitlines()[1:]
    monkeypatch.setattr("penstock.cli.room_on_terminal", lambda stream: 60)
    with pytest.raises(SystemExit):
        main(words)
    lines = capsys.readouterr().err.splitlines()[1:]
    assert (len(lines), max(map(len, lines)) <= 60) == (2, True)
    assert " ".join(line.strip() for line in lines) == hint.strip()


def test_a_terminal_has_so_much_room_and_a_pipe_all() -> None:
    inner, outer = os.openpty()
    with open(inner, "rb"), open(outer, "w") as terminal:
        termios.tcsetwinsize(outer, (24, 72))
        assert room_on_terminal(terminal) == 72
    assert room_on_terminal(io.StringIO()) == sys.maxsize
