"""Which HTTP status, MLflow error_code and outcome an error becomes. The only such table for MLflow's protocol."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.error_text import text_of
from penstock.errors import (
    AnswerUnserializable,
    Closing,
    DeadlineExceeded,
    InputError,
    InputTooLarge,
    InputTooSlow,
    MalformedInput,
    ModelLoading,
    ModelNotServed,
    ModelProcessLost,
    Overloaded,
    PenstockError,
    PredictError,
    SchemaViolation,
    UnsupportedMedia,
    WorkerLost,
)
from penstock.http.errors import ErrorAnswer
from penstock.http.headers import Header
from penstock.payload import Violation
from penstock.wire.mlflow.error_codes import error_body, error_code_of


@dataclass(frozen=True, slots=True)
class Status:
    """What a client sees and what the metrics count."""

    http: int
    error_code: str
    outcome: str


INTERNAL = Status(500, "INTERNAL_ERROR", "internal")

_TABLE: dict[type[PenstockError], Status] = {
    MalformedInput: Status(400, "BAD_REQUEST", "client_error"),
    SchemaViolation: Status(400, "INVALID_PARAMETER_VALUE", "client_error"),
    InputTooLarge: Status(413, "BAD_REQUEST", "client_error"),
    InputTooSlow: Status(408, "DEADLINE_EXCEEDED", "client_error"),
    UnsupportedMedia: Status(415, "BAD_REQUEST", "client_error"),
    InputError: Status(400, "BAD_REQUEST", "client_error"),
    ModelNotServed: Status(404, "RESOURCE_DOES_NOT_EXIST", "client_error"),
    ModelLoading: Status(503, "TEMPORARILY_UNAVAILABLE", "rejected"),
    Overloaded: Status(429, "REQUEST_LIMIT_EXCEEDED", "rejected"),
    Closing: Status(503, "TEMPORARILY_UNAVAILABLE", "rejected"),
    WorkerLost: Status(503, "TEMPORARILY_UNAVAILABLE", "rejected"),
    ModelProcessLost: Status(503, "TEMPORARILY_UNAVAILABLE", "internal"),
    DeadlineExceeded: Status(504, "DEADLINE_EXCEEDED", "timeout"),
    # MLflow answers 400 to whatever the model raises; the outcome tells the two apart.
    PredictError: Status(400, "BAD_REQUEST", "model_error"),
    AnswerUnserializable: Status(500, "INTERNAL_ERROR", "model_error"),
}


# The status of an MlflowException that a model raises, by its error_code; any other code is 500. Source: MLflow 3.17.
_MLFLOW_CODES = {
    "BAD_REQUEST": 400,
    "INVALID_PARAMETER_VALUE": 400,
    "RESOURCE_ALREADY_EXISTS": 400,
    "CUSTOMER_UNAUTHORIZED": 401,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "ENDPOINT_NOT_FOUND": 404,
    "NOT_FOUND": 404,
    "RESOURCE_DOES_NOT_EXIST": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_CONFLICT": 409,
    "REQUEST_LIMIT_EXCEEDED": 429,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "NOT_IMPLEMENTED": 501,
    "TEMPORARILY_UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}


def status_of(error: BaseException) -> Status:
    """The row of the nearest class in the table; anything else is our own fault."""
    if isinstance(error, PredictError) and (code := error_code_of(error.__cause__)):
        return Status(_MLFLOW_CODES.get(code, 500), code, "model_error")
    if isinstance(error, SchemaViolation) and all(v.at_parse for v in error.violations):
        return _TABLE[MalformedInput]  # cells that cannot be read: MLflow says BAD_REQUEST for those
    for kind in type(error).__mro__:
        if kind in _TABLE:
            return _TABLE[kind]
    return INTERNAL


def message_of(error: BaseException, status: Status) -> str:
    """What the caller reads; what went wrong inside Penstock itself is for the log, not for the caller."""
    if status is INTERNAL:
        return "Internal error; see the server log for this request id."
    return text_of(error)


def retry_after_of(error: BaseException) -> int | None:
    """Seconds after which another try may help; None where waiting does not."""
    return error.retry_after if isinstance(error, (Overloaded, ModelProcessLost)) else None


def violations_of(error: BaseException) -> tuple[Violation, ...]:
    """The cells that do not fit, for programs to read; the message has the first of them in words."""
    return error.violations if isinstance(error, SchemaViolation) else ()


def answer_of(error: BaseException, *headers: Header) -> ErrorAnswer:
    """The answer to an error, with these headers beside its own."""
    status = status_of(error)
    after = retry_after_of(error)
    own: tuple[Header, ...] = () if after is None else ((b"retry-after", str(after).encode()),)
    return ErrorAnswer(status.http, error_body(status.error_code, message_of(error, status)), (*headers, *own))
