"""Which HTTP status and which of MLflow's error codes an error becomes in the hub, and which words.

Nothing that is the caller's mistake is ever a 5xx: MLflow's client repeats those for minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from penstock.error_text import text_of
from penstock.errors import (
    AliasMoved,
    AliasNotFound,
    ArtifactNotFound,
    ArtifactRegistered,
    Closing,
    ConfigError,
    ExperimentExists,
    ExperimentNotFound,
    InputError,
    InputTooLarge,
    InputTooSlow,
    LoggedModelNotFound,
    ModelExists,
    ModelNotFound,
    NothingToRollBack,
    Overloaded,
    PackageNotFound,
    PenstockError,
    RegistryDenied,
    RegistryError,
    RegistryFull,
    RegistryNotFound,
    RegistryOutdated,
    RegistryReadOnly,
    RegistryUnavailable,
    RunExists,
    RunNotFound,
    SealBroken,
    SearchInvalid,
    SignatureIncompatible,
    TagNotFound,
    TokenExists,
    TokenNotFound,
    TrackingError,
    Unsupported,
    VersionInUse,
    VersionNotFound,
    VersionPending,
    WorkerLost,
)
from penstock.http.errors import CLOSE
from penstock.http.headers import Header
from penstock.hub.answers import HubAnswer
from penstock.hub.fields import Fields
from penstock.wire.mlflow.error_codes import error_body


class HubStatus(NamedTuple):
    """What a client sees."""

    http: int
    error_code: str


INTERNAL = HubStatus(500, "INTERNAL_ERROR")
_MISSING = HubStatus(404, "RESOURCE_DOES_NOT_EXIST")
_EXISTS = HubStatus(400, "RESOURCE_ALREADY_EXISTS")
_INVALID = HubStatus(400, "INVALID_PARAMETER_VALUE")
_CONFLICT = HubStatus(409, "RESOURCE_CONFLICT")

_TABLE: dict[type[PenstockError], HubStatus] = {
    TrackingError: _INVALID,
    SearchInvalid: _INVALID,
    ExperimentNotFound: _MISSING,
    RunNotFound: _MISSING,
    LoggedModelNotFound: _MISSING,
    TagNotFound: _MISSING,
    ExperimentExists: _EXISTS,
    RunExists: _EXISTS,
    RegistryError: _INVALID,
    ModelNotFound: _MISSING,
    VersionNotFound: _MISSING,
    AliasNotFound: _INVALID,  # MLflow's own choice
    ModelExists: _EXISTS,
    TokenExists: _EXISTS,
    TokenNotFound: _MISSING,
    ArtifactNotFound: _MISSING,
    ArtifactRegistered: _CONFLICT,
    AliasMoved: _CONFLICT,
    VersionInUse: _CONFLICT,
    VersionPending: _CONFLICT,
    SignatureIncompatible: _CONFLICT,
    NothingToRollBack: _CONFLICT,
    PackageNotFound: _MISSING,
    SealBroken: _CONFLICT,
    RegistryReadOnly: HubStatus(403, "PERMISSION_DENIED"),
    # The hub's own credentials or bucket, which no caller can mend.
    RegistryDenied: HubStatus(502, "TEMPORARILY_UNAVAILABLE"),
    RegistryNotFound: HubStatus(502, "TEMPORARILY_UNAVAILABLE"),
    RegistryOutdated: HubStatus(503, "TEMPORARILY_UNAVAILABLE"),
    RegistryUnavailable: HubStatus(503, "TEMPORARILY_UNAVAILABLE"),
    RegistryFull: HubStatus(507, "RESOURCE_EXHAUSTED"),  # repeating it makes no room: the client is told at once
    Unsupported: HubStatus(501, "NOT_IMPLEMENTED"),
    Closing: HubStatus(503, "TEMPORARILY_UNAVAILABLE"),
    WorkerLost: HubStatus(503, "TEMPORARILY_UNAVAILABLE"),
    Overloaded: HubStatus(429, "REQUEST_LIMIT_EXCEEDED"),
    InputTooSlow: HubStatus(408, "REQUEST_LIMIT_EXCEEDED"),
    InputTooLarge: HubStatus(413, "INVALID_PARAMETER_VALUE"),
    InputError: HubStatus(400, "BAD_REQUEST"),
    ConfigError: _INVALID,
}

_RETRY_SECONDS = b"2"


def status_of(error: BaseException) -> HubStatus:
    """The row of the nearest class in the table; anything else is our own fault."""
    for kind in type(error).__mro__:
        if kind in _TABLE:
            return _TABLE[kind]
    return INTERNAL


# MLflow's clients, and programs of their users, look for these in messages; the registry itself speaks of commands
# that a client of the hub does not have.
_SENTENCES: Mapping[type[RegistryError], str] = {
    ModelNotFound: "Registered Model with name={name} not found.",
    VersionNotFound: "Model Version (name={name}, version={version}) not found.",
    AliasNotFound: "Registered model alias {alias} not found.",
}
_TAKEN = "Registered Model (name={name}) already exists."


def answer_of(error: BaseException, *headers: Header) -> HubAnswer:
    """The answer to an error, in MLflow's shape."""
    status = status_of(error)
    text = "Internal error; see the server log for this request id." if status is INTERNAL else text_of(error)
    content: tuple[Header, ...] = ((b"content-type", b"application/json"), *headers)
    if status.http == 503:
        content = (*content, (b"retry-after", _RETRY_SECONDS))
    if isinstance(error, Overloaded):
        content = (*content, (b"retry-after", b"%d" % error.retry_after))
    if isinstance(error, InputTooSlow):  # whatever comes still, nobody waits for it
        content = (*content, CLOSE)
    return HubAnswer(error_body(status.error_code, text), status.http, content)


def error_answer(http: int, error_code: str, message: str, *headers: Header) -> HubAnswer:
    """An answer that says no without there being an error."""
    return HubAnswer(error_body(error_code, message), http, ((b"content-type", b"application/json"), *headers))


def in_mlflows_words(error: RegistryError, fields: Fields) -> RegistryError:
    """The same error, where it is about the model, version or alias that the request names; else as it was, since the
    sentences are nothing without their names."""
    given = {field: fields.raw(field) for field in ("name", "new_name", "version", "alias")}
    named = {field: str(value)[:300] if isinstance(value, str | int) else "" for field, value in given.items()}
    if type(error) is ModelExists:
        taken = named["new_name"] or named["name"]
        return ModelExists(_TAKEN.format(name=taken)) if repr(taken) in error.message else error
    sentence = _SENTENCES.get(type(error))
    if sentence is None or repr(named["name"]) not in error.message:
        return error
    if any(f"{{{field}}}" in sentence and not value for field, value in named.items()):
        return error
    return type(error)(sentence.format(**named))
