"""MLflow's error codes: read off an exception of a model, and written into the body of an error."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from penstock.error_text import encodable
from penstock.payload import Violation

# Longer ones are no word of MLflow's.
_MAX_CODE = 100


def error_code_of(error: BaseException | None) -> str | None:
    """The error_code of an MlflowException, MLflow's own or the stand-in; None for any other exception. Never fails."""
    try:
        if error is None or not any(kind.__name__ == "MlflowException" for kind in type(error).__mro__):
            return None
        code = getattr(error, "error_code", None)
        return encodable(code)[:_MAX_CODE] if isinstance(code, str) else None
    except BaseException:  # it is the model's class, whose attributes may be code
        return None


# As many cells that do not fit are named one by one.
MAX_NAMED = 100


def error_body(error_code: str, message: str, violations: Sequence[Violation] = ()) -> bytes:
    """The JSON body of an error, as MLflow's server writes it; the first violations beside it, for programs. Never
    fails."""
    body: dict[str, object] = {"error_code": encodable(error_code), "message": encodable(message)}
    if violations:
        body["violations"] = [_described(violation) for violation in violations[:MAX_NAMED]]
    return orjson.dumps(body)


def _described(violation: Violation) -> dict[str, object]:
    column = violation.column
    return {
        "row": violation.row,
        "column": column if column is None or isinstance(column, int) else encodable(column),
        "reason": encodable(violation.reason),
    }
