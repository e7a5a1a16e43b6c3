"""What an error says: any error, any text."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.cli import main
from penstock.error_text import (
    MAX_TEXT,
    encodable,
    kind_of,
    printable,
    printable_lines,
    text_of,
    traceback_of,
    without_passwords,
)
from penstock.errors import PackageError, PenstockError
from penstock.logs import JsonFormatter, PlainFormatter
from penstock.wire.mlflow.error_codes import error_body, error_code_of
from support.error_zoo import HALF, NAMES, Odd, Speechless, zoo

ANY_TEXT = st.text(st.characters())  # half characters among them


@given(ANY_TEXT)
def test_any_text_is_made_encodable_and_good_text_is_left_alone(text: str) -> None:
    made = encodable(text)
    assert json.loads(error_body(text, text)) == {"error_code": made, "message": made}
    error = PenstockError(text, hint=text)
    assert (error.message, error.hint, error.args) == (made, made, (made,))
    made.encode()
    if not any("\ud800" <= c <= "\udfff" for c in text):
        assert made == text


@pytest.mark.parametrize("number", range(len(NAMES)), ids=NAMES)
def test_every_error_has_a_text_a_kind_a_traceback_and_a_code(number: int) -> None:
    error = zoo()[number]
    try:
        raise error
    except BaseException as raised:
        told = [text_of(raised), kind_of(raised), traceback_of(raised), error_code_of(raised) or ""]
    for text in told:
        assert type(text) is str
        assert len(text.encode()) <= 4 * MAX_TEXT
    assert kind_of(error) in told[2] or "Exception Group" in told[2] or "…" in told[2]


def test_half_characters_are_shown_as_escapes() -> None:
    assert encodable(HALF) == "caf\\udce9.txt"
    assert encodable(Odd("text")) == "text"
    assert text_of(Speechless()) == "(Speechless without a text)"
    assert text_of(ValueError("x" * 100), 10) == "xxxxxxxxx…"


@pytest.mark.parametrize("number", range(len(NAMES)), ids=NAMES)
@pytest.mark.parametrize("formatter", [PlainFormatter(), JsonFormatter(2)], ids=["plain", "json"])
def test_every_error_is_logged(formatter: logging.Formatter, number: int) -> None:
    error = zoo()[number]
    info: Any = (type(error), error, error.__traceback__) if number else (ValueError, error, None)
    level = {"levelname": "ERROR", "levelno": 40}
    for record in (
        logging.makeLogRecord({"msg": "It failed. %s", "args": (error,), **level, "exc_info": info}),
        logging.makeLogRecord({"msg": HALF, **level, "extra": error}),
    ):
        line = formatter.format(record)
        line.encode()
        assert line
        if isinstance(formatter, JsonFormatter):
            assert json.loads(line)["level"] == "error"


def test_a_line_that_cannot_be_written_says_where_it_was_to_be_logged() -> None:
    record = logging.makeLogRecord(
        {"msg": "%s", "args": (Speechless(),), "levelno": 40, "module": "loads", "lineno": 7}
    )
    assert PlainFormatter().format(record).endswith("ERROR   A line by loads:7 cannot be written: RuntimeError.")


def test_the_command_line_prints_an_error_whose_text_is_none(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: Any) -> None:
        error = PackageError("it failed")
        error.message = error.hint = HALF
        raise error

    monkeypatch.setattr("penstock.cli.penstock.main", fail)
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 1
    assert capfd.readouterr().err == "Error: caf\\udce9.txt\n       caf\\udce9.txt\n"


@given(ANY_TEXT)
def test_printable_text_is_one_line_that_a_terminal_shows(text: str) -> None:
    made = printable(text)
    made.encode()
    assert len(made.splitlines()) <= 1
    assert not any(c < " " or "\x7f" <= c <= "\x9f" for c in made)
    assert set(printable_lines(text)) - set(made) <= {"\n", "\t"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, \u00fcber \u65e5\u672c", "plain, \u00fcber \u65e5\u672c"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("a\nb\r", "a\\nb\\r"),
    ],
)
def test_what_a_terminal_obeys_is_shown_as_escapes(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgresql://me:pw@host/db", "postgresql://me:***@host/db"),
        ("m=http://me:p:w@host:1/x and https://o:x@h", "m=http://me:***@host:1/x and https://o:***@h"),
        ("http://:secret@host", "http://:***@host"),
        ("http://host/x?token=abc&a=1", "http://host/x?token=***&a=1"),
        ("postgresql://host/db?user=me&password=pw", "postgresql://host/db?user=me&password=***"),
        ("http://host:8080/a@b", "http://host:8080/a@b"),
        ("s3://bucket/a:b@c", "s3://bucket/a:b@c"),
        ("me:pw@host", "me:pw@host"),
    ],
)
def test_passwords_in_urls_are_masked(text: str, masked: str) -> None:
    assert without_passwords(text) == masked
