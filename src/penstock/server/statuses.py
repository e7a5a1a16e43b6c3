"""Which HTTP status, MLflow error_code and outcome an error becomes. The only such table for MLflow's protocol."""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from penstock.errors import (
    AnswerUnserializable,
    Closing,
    DeadlineExceeded,
    InputError,
    InputTooLarge,
    MalformedInput,
    ModelLoading,
    ModelNotServed,
    Overloaded,
    PenstockError,
    PredictError,
    SchemaViolation,
    UnsupportedMedia,
)


@dataclass(frozen=True, slots=True)
class Status:
    """What a client sees and what the metrics count."""

    http: int
    error_code: str
    outcome: str


_INTERNAL = Status(500, "INTERNAL_ERROR", "internal")

_TABLE: dict[type[PenstockError], Status] = {
    MalformedInput: Status(400, "BAD_REQUEST", "client_error"),
    SchemaViolation: Status(400, "INVALID_PARAMETER_VALUE", "client_error"),
    InputTooLarge: Status(413, "BAD_REQUEST", "client_error"),
    UnsupportedMedia: Status(415, "BAD_REQUEST", "client_error"),
    InputError: Status(400, "BAD_REQUEST", "client_error"),
    ModelNotServed: Status(404, "RESOURCE_DOES_NOT_EXIST", "client_error"),
    ModelLoading: Status(503, "TEMPORARILY_UNAVAILABLE", "rejected"),
    Overloaded: Status(429, "REQUEST_LIMIT_EXCEEDED", "rejected"),
    Closing: Status(503, "TEMPORARILY_UNAVAILABLE", "rejected"),
    DeadlineExceeded: Status(504, "DEADLINE_EXCEEDED", "timeout"),
    # MLflow answers 400 to whatever the model raises; the outcome tells the two apart.
    PredictError: Status(400, "BAD_REQUEST", "model_error"),
    AnswerUnserializable: Status(500, "INTERNAL_ERROR", "model_error"),
}


def status_of(error: BaseException) -> Status:
    """The row of the nearest class in the table; anything else is our own fault."""
    if isinstance(error, SchemaViolation) and all(v.at_parse for v in error.violations):
        return _TABLE[MalformedInput]  # cells that cannot be read: MLflow says BAD_REQUEST for those
    for kind in type(error).__mro__:
        if kind in _TABLE:
            return _TABLE[kind]
    return _INTERNAL


def error_body(error_code: str, message: str) -> bytes:
    return orjson.dumps({"error_code": error_code, "message": message})


def body_of(error: BaseException, status: Status) -> bytes:
    """The JSON body; what went wrong inside Penstock itself is for the log, not for the caller."""
    if status is _INTERNAL:
        return error_body(status.error_code, "The server failed to answer. Its log says more, by the request id.")
    return error_body(status.error_code, str(error))
