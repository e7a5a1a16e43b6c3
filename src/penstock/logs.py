"""Logging for programs: one line an event on stderr, plain for people or JSON for machines."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from textwrap import indent
from typing import Any, Literal, TypeAlias

from penstock.error_text import encodable, kind_of, printable, printable_lines, traceback_of, without_passwords

LogFormat: TypeAlias = Literal["plain", "json"]


class _TotalFormatter(logging.Formatter):
    """Formats any record: one whose parts raise when they are asked for their text, too. No line is endless."""

    def format(self, record: logging.LogRecord) -> str:
        try:
            return encodable(without_passwords(self._line(record)))
        except BaseException as error:  # code of whatever is logged, which may even say that the program is to end
            said = f"A line by {record.module}:{record.lineno} cannot be written: {kind_of(error)}."
            plain = logging.makeLogRecord({"name": record.name, "levelno": record.levelno, "msg": said})
            plain.levelname, plain.created = logging.getLevelName(record.levelno), record.created
            return encodable(self._line(plain))

    def _line(self, record: logging.LogRecord) -> str:
        return super().format(record)

    def formatException(self, ei: Any) -> str:
        return traceback_of(ei[1]) if ei[1] is not None else super().formatException(ei)


class PlainFormatter(_TotalFormatter):
    """`12:00:00 INFO    message`, with `[worker 1]` before the message where there are several; a traceback follows
    where there is one. What comes from outside cannot look like a line of ours, nor do anything to a terminal: a
    message is one line, those of a traceback are set in, and what a terminal would obey is escaped."""

    def __init__(self, worker: int | None = None) -> None:
        who = "" if worker is None else f"[worker {worker}] "
        super().__init__(f"%(asctime)s %(levelname)-7s {who}%(message)s", datefmt="%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        return indent(printable_lines(super().formatException(ei)), "    ", lambda line: True)

    def formatStack(self, stack_info: str) -> str:
        return indent(printable_lines(stack_info), "    ", lambda line: True)


class JsonFormatter(_TotalFormatter):
    """One JSON object a line: time (UTC, ISO 8601), level, logger, message, the worker's number where there are
    several, and whatever `extra` brought."""

    _STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

    def __init__(self, worker: int | None = None) -> None:
        super().__init__()
        self._who = {} if worker is None else {"worker": worker}

    def _line(self, record: logging.LogRecord) -> str:
        event = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._who,
            **{key: value for key, value in vars(record).items() if key not in self._STANDARD},
        }
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return json.dumps(event, default=encodable)


def set_up_logging(*, format: LogFormat = "plain", level: str = "info", worker: int | None = None) -> None:
    """Sends every log record of this process to stderr, once. `worker` is its number, if it is one of several."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(worker) if format == "json" else PlainFormatter(worker))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("uvicorn").setLevel(max(root.level, logging.WARNING))
    logging.getLogger("alembic").setLevel(max(root.level, logging.WARNING))  # whoever migrates says so in one line
    logging.getLogger("urllib3").setLevel(max(root.level, logging.ERROR))  # what fails in the end is logged by us, once
    logging.captureWarnings(True)
