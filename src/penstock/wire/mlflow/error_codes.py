"""MLflow's error codes: read off an exception of a model, and written into the body of an error."""

from __future__ import annotations

import orjson

from penstock.error_text import encodable

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


def error_body(error_code: str, message: str) -> bytes:
    """The JSON body of an error, as MLflow's server writes it. Never fails."""
    return orjson.dumps({"error_code": encodable(error_code), "message": encodable(message)})
