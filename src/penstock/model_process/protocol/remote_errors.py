"""Errors as JSON, and back as errors of the same class: what a model raised, and why a package cannot be served.

Only classes that a model process has reason to raise come back as themselves; from any other, which it would only make
up, the root class is made. A foreign cause becomes text: its traceback, as it was printed there.
"""

from __future__ import annotations

import json
from typing import Any

from penstock.error_text import MAX_TEXT, encodable, traceback_of
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
from penstock.payload import Violation, kind_and_text
from penstock.wire.mlflow.error_codes import error_code_of

_MAX_VIOLATIONS = 1000
_ALLOWED = (AnswerUnserializable, InputError, PackageError, PredictError)


class RemoteError(Exception):
    """An exception that was raised in a model process; its text is the traceback from there."""

    def __str__(self) -> str:
        return f"in the model process:\n{self.args[0]}" if self.args else ""


def describe(error: BaseException) -> bytes:
    """An error as JSON. Never fails: one that cannot be told in full is told by its kind."""
    try:
        return json.dumps(_described(error), default=encodable).encode()
    except Exception:
        return json.dumps({"code": PenstockError.code, "message": _summary(error), "hint": ""}).encode()


def _summary(error: BaseException) -> str:
    return f"{kind_and_text(error, 500)}."


def _described(error: BaseException) -> dict[str, Any]:
    if not isinstance(error, PenstockError):
        wrapped = PenstockError(_summary(error))
        wrapped.__cause__ = error
        error = wrapped
    found: dict[str, Any] = {"code": error.code, "message": _text(error.message), "hint": _text(error.hint)}
    if error.remedy is not None:
        found["remedy"] = [error.remedy.key, dict(error.remedy.names)]
    if isinstance(error, SchemaViolation):
        shown = error.violations[:_MAX_VIOLATIONS]
        found["violations"] = [[_text(v.reason), v.row, v.column, v.at_parse] for v in shown]
    if (cause := error.__cause__) is not None:
        found["cause"] = {"traceback": traceback_of(cause), "error_code": error_code_of(cause)}
    return found


def _text(value: object) -> str:
    return encodable(value)[:MAX_TEXT]


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
        return SchemaViolation([_violation(*v) for v in violations], hint=hint)
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
    cause: Exception = RemoteError(encodable(printed))
    if isinstance(error_code, str):
        from penstock.flavors.python.mlflow_stubs.exceptions import MlflowException

        raised = MlflowException(message)
        raised.error_code = error_code
        raised.__cause__ = cause
        return raised
    return cause
