"""One line an event, for people or for machines."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from penstock.logs import JsonFormatter, LogFormat, set_up_logging


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """What was written to it."""
    return lambda: capsys.readouterr().err


def lines(stderr: Callable[[], str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stderr().splitlines()]


def test_plain_lines_are_for_people(stderr: Callable[[], str]) -> None:
    set_up_logging()
    logging.getLogger("penstock.x").info("%s is ready", "iris")
    logging.getLogger("penstock.x").debug("not at this level")
    assert stderr()[8:] == " INFO    iris is ready\n"


def test_json_lines_are_for_machines(stderr: Callable[[], str]) -> None:
    set_up_logging(format="json")
    logging.getLogger("penstock.x").warning("über\n%s", "line", extra={"model": "iris", "odd": {1, 2}})
    (event,) = lines(stderr)
    assert datetime.fromisoformat(event.pop("time")).utcoffset().total_seconds() == 0  # type: ignore[union-attr]
    assert event == {
        "level": "warning", "logger": "penstock.x", "message": "über\nline", "model": "iris", "odd": "{1, 2}",
    }  # fmt: skip


def test_json_events_are_one_line_with_the_traceback_in_it(stderr: Callable[[], str]) -> None:
    set_up_logging(format="json")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("penstock").exception("It failed.")
    (event,) = lines(stderr)
    assert event["message"] == "It failed."
    assert event["exception"].startswith("Traceback")
    assert "ValueError: two\nlines" in event["exception"]


def test_a_record_as_it_comes_has_no_extras() -> None:
    record = logging.LogRecord("n", logging.INFO, __file__, 1, "m", (), None)
    assert json.loads(JsonFormatter().format(record)).keys() == {"time", "level", "logger", "message"}


@pytest.mark.parametrize("format", ["plain", "json"])
def test_setting_up_twice_writes_once(stderr: Callable[[], str], format: LogFormat) -> None:
    for _ in range(3):
        set_up_logging(format=format)
    logging.getLogger("penstock").info("once")
    assert len(stderr().splitlines()) == 1


@pytest.mark.parametrize(("level", "shown"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_the_level_decides_what_is_shown(stderr: Callable[[], str], level: str, shown: int) -> None:
    set_up_logging(level=level)
    for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logging.getLogger("penstock").log(number, "x")
    assert len(stderr().splitlines()) == shown


@pytest.mark.parametrize(("level", "shown"), [("debug", 2), ("info", 2), ("error", 1)])
def test_the_server_library_says_no_more_than_asked(stderr: Callable[[], str], level: str, shown: int) -> None:
    set_up_logging(level=level)
    for number in (logging.INFO, logging.WARNING, logging.ERROR):
        logging.getLogger("uvicorn.error").log(number, "x")
    assert len(stderr().splitlines()) == shown


def test_warnings_are_logged(stderr: Callable[[], str]) -> None:
    set_up_logging(format="json")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    (event,) = lines(stderr)
    assert event["logger"] == "py.warnings"
    assert "DeprecationWarning: old" in event["message"]


def test_a_worker_says_which_one_it_is(stderr: Callable[[], str]) -> None:
    set_up_logging(worker=3)
    logging.getLogger("penstock").info("here")
    assert stderr()[8:] == " INFO    [worker 3] here\n"
    set_up_logging(format="json", worker=3)
    logging.getLogger("penstock").info("here")
    (event,) = lines(stderr)
    assert (event["worker"], event["message"]) == (3, "here")


def test_what_is_logged_cannot_look_like_a_line_of_ours_nor_move_a_terminal(stderr: Callable[[], str]) -> None:
    set_up_logging()
    try:
        raise ValueError("x\n01:02:03 INFO    forged \x1b[31m")
    except ValueError as error:
        logging.getLogger("penstock").exception("It failed: %s", error)
    first, *rest = stderr().splitlines()
    assert first.endswith(r"ERROR   It failed: x\n01:02:03 INFO    forged \x1b[31m")
    assert rest
    assert all(line.startswith("    ") for line in rest)
    assert "\x1b" not in "".join(rest)


@pytest.mark.parametrize("format", ["plain", "json"])
def test_no_password_of_a_url_is_logged(stderr: Callable[[], str], format: LogFormat) -> None:
    set_up_logging(format=format)
    logging.getLogger("penstock").warning("%s does not answer", "http://me:s3cret@mlflow:5000")
    assert "http://me:***@mlflow:5000" in (logged := stderr())
    assert "s3cret" not in logged


def test_what_a_library_says_of_each_step_of_a_migration_is_not_logged(stderr: Callable[[], str]) -> None:
    set_up_logging()
    logging.getLogger("alembic.runtime.migration").info("Running upgrade")
    logging.getLogger("penstock.hub").info("The registry was migrated.")
    assert "Running upgrade" not in (said := stderr())
    assert "The registry was migrated." in said
