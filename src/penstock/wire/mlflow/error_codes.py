"""MLflow's error codes: read off an exception of a model, and written into the body of an error."""

from __future__ import annotations

import orjson


def error_code_of(error: BaseException | None) -> str | None:
    """The error_code of an MlflowException, MLflow's own or the stand-in; None for any other exception."""
    if error is None or not any(kind.__name__ == "MlflowException" for kind in type(error).__mro__):
        return None
    code = getattr(error, "error_code", None)
    return code if isinstance(code, str) else None


def error_body(error_code: str, message: str) -> bytes:
    """The JSON body of an error, as MLflow's server writes it."""
    return orjson.dumps({"error_code": error_code, "message": message})
