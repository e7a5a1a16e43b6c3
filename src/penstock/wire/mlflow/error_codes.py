"""The error code by which an exception of MLflow's says what kind of answer it asks for."""

from __future__ import annotations


def error_code_of(error: BaseException | None) -> str | None:
    """The error_code of an MlflowException, MLflow's own or the stand-in; None for any other exception."""
    if error is None or not any(kind.__name__ == "MlflowException" for kind in type(error).__mro__):
        return None
    code = getattr(error, "error_code", None)
    return code if isinstance(code, str) else None
