"""Errors as JSON, and back as errors of the same class: what a model raised, and why a package cannot be served.

Only classes that a model process has reason to raise come back as themselves; from any other, which it would only make
up, the root class is made. A foreign cause becomes text: its traceback, as it was printed there.
"""

from __future__ import annotations

import json
import traceback
from typing import Any

from penstock.errors import (
    AnswerUnserializable,
    InputError,
    PackageError,
    PenstockError,
    PredictError,
    Remedy,
    SchemaViolation,
)
from penstock.errors import error_of as error_of_code
from penstock.flavors.python.mlflow_stubs.exceptions import MlflowException
from penstock.payload import Violation, clipped
from penstock.wire.mlflow.error_codes import error_code_of

_MAX_TEXT = 20_000
_MAX_VIOLATIONS = 1000
_ALLOWED = (AnswerUnserializable, InputError, PackageError, PredictError)


class RemoteError(Exception):
    """An exception that was raised in a model process; its text is the traceback from there."""

    def __str__(self) -> str:
        return f"in the model process:\n{self.args[0]}" if self.args else ""


def describe(error: BaseException) -> bytes:
    """An error as JSON."""
    if not isinstance(error, PenstockError):
        wrapped = PenstockError(f"{type(error).__name__}: {clipped(str(error), 500)}.")
        wrapped.__cause__ = error
        error = wrapped
    found: dict[str, Any] = {"code": error.code, "message": _text(error.message), "hint": _text(error.hint)}
    if error.remedy is not None:
        found["remedy"] = [error.remedy.key, dict(error.remedy.names)]
    if isinstance(error, SchemaViolation):
        shown = error.violations[:_MAX_VIOLATIONS]
        found["violations"] = [[_text(v.reason), v.row, v.column, v.at_parse] for v in shown]
    if (cause := error.__cause__) is not None:
        printed = "".join(traceback.format_exception(cause))
        found["cause"] = {"traceback": printed[-_MAX_TEXT:], "error_code": error_code_of(cause)}
    return json.dumps(found, default=str).encode()


def _text(value: object) -> str:
    return str(value)[:_MAX_TEXT]


def rebuild(text: bytes) -> PenstockError:
    """The error that `describe` wrote. Raises ValueError for anything else."""
    try:
        found = json.loads(text)
        code, message, hint = found["code"], found["message"], found["hint"]
        violations, cause = found.get("violations"), found.get("cause")
        if not all(isinstance(part, str) for part in (code, message, hint)):
            raise ValueError("an error without a message")
        error = _made(code, message, hint, violations)
        error.remedy = _remedy(found.get("remedy"))
        if cause is not None:
            error.__cause__ = _cause(cause["traceback"], cause["error_code"], message)
    except (KeyError, TypeError, AttributeError, RecursionError) as wrong:
        raise ValueError(f"invalid error: {type(wrong).__name__}: {wrong}") from None
    return error


def _made(code: str, message: str, hint: str, violations: Any) -> PenstockError:
    if violations is not None and code == SchemaViolation.code:
        return SchemaViolation([_violation(*v) for v in violations])
    error = error_of_code(code, message, hint)
    return error if isinstance(error, _ALLOWED) else PenstockError(message, hint=hint)


def _remedy(found: Any) -> Remedy | None:
    if found is None:
        return None
    key, names = found
    if not isinstance(key, str) or not all(isinstance(part, str) for pair in names.items() for part in pair):
        raise ValueError("invalid remedy")
    return Remedy(key, names)


def _violation(reason: Any, row: Any, column: Any, at_parse: Any) -> Violation:
    if not isinstance(reason, str) or not isinstance(row, int | None) or not isinstance(column, str | int | None):
        raise ValueError("invalid violation")
    return Violation(reason, row, column, at_parse is True)


def _cause(printed: Any, error_code: Any, message: str) -> Exception:
    cause: Exception = RemoteError(str(printed))
    if isinstance(error_code, str):
        raised = MlflowException(message)
        raised.error_code = error_code
        raised.__cause__ = cause
        return raised
    return cause
