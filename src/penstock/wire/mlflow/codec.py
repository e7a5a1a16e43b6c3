"""MLflow's scoring protocol, as a server speaks it at /invocations: a body to the payload that the model gets, read and
conformed, params beside it; and the payload that the model answers to bytes.

The quick readers make arrays of the body without pandas; `conform` puts them into the signature's form. A model that is
handed pandas frames has pandas anyway: what is not settled beyond doubt so far, it has read by pandas (`frames`), which
is what MLflow's protocol means.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

from penstock.errors import AnswerHasNoColumns, SchemaViolation
from penstock.payload import MAX_VIOLATIONS, Payload, Value
from penstock.signature import Signature, conform, is_tensor_schema
from penstock.wire.decoded import Decoded
from penstock.wire.interface import DecodedRequest, LibraryWanted
from penstock.wire.mlflow.answers import encode_answer
from penstock.wire.mlflow.error_codes import error_body
from penstock.wire.mlflow.formats import CSV, JSON, PARQUET, READERS, accepted, encode_columns
from penstock.wire.mlflow.invocations import (
    decode_envelope,
    decode_hinted,
    decode_unwrapped,
    envelope_of,
    exactly,
    is_unwrapped,
    read_object,
    split_unwrapped,
)
from penstock.wire.mlflow.quick_readers import FloatReader, settle


@dataclass(slots=True)
class PredictRequest(DecodedRequest):
    """One of MLflow's. `wrapped` is whether the answer goes under a "predictions" key."""

    wrapped: bool = True


class BodyReader:
    """Reads bodies for one signature. `frames` is whether the model is handed pandas frames.

    With `may_import` false, libraries that take long to import are asked for instead (LibraryWanted).
    """

    def __init__(self, signature: Signature | None, *, frames: bool, may_import: bool = True) -> None:
        self._signature = signature
        self._schema = signature.inputs if signature is not None else None
        self._hinted = signature is not None and signature.hinted
        self._frames = frames
        self._may_import = may_import
        self._floats = FloatReader(None if self._hinted else self._schema)

    def read(self, media: str, body: bytes) -> PredictRequest:
        """A body of a media type in `READERS`. Raises MalformedInput, SchemaViolation, UnsupportedMedia,
        LibraryWanted."""
        if media == JSON:
            return self._read_json(body)
        if media != CSV:
            self._needs("pyarrow")
        if not self._frames:
            return _conformed(READERS[media](body, self._signature), self._signature)
        self._needs("pandas")
        from penstock.wire.mlflow import frames as pandas_reader

        if media == CSV:
            return PredictRequest(pandas_reader.read_csv(body, self._schema))
        from penstock.wire import columnar

        if media == PARQUET:
            return PredictRequest(pandas_reader.read_columnar(columnar.open_parquet(body), self._schema))
        return PredictRequest(pandas_reader.read_columnar(columnar.open_arrow(body), self._schema))

    def _needs(self, library: str) -> None:
        if not self._may_import and library not in sys.modules and find_spec(library) is not None:
            raise LibraryWanted(library)

    def _read_json(self, body: bytes) -> PredictRequest:
        document = read_object(body)
        if (payload := self._floats.read(document)) is not None:
            params = document.get("params")
            return PredictRequest(payload, exactly(body, document)["params"] if params else params)
        if self._hinted or is_unwrapped(document):
            return self._read_special(exactly(body, document))
        envelope, schema = envelope_of(document), self._schema
        if (payload := settle(envelope, document[envelope], self._signature)) is not None:
            document = exactly(body, document) if document.get("params") else document
            return PredictRequest(payload, document.get("params"))
        document = exactly(body, document)
        value, params = document[envelope], document.get("params")
        arrays = envelope in ("inputs", "instances") and (not schema or is_tensor_schema(schema))
        if not self._frames and not arrays:
            return _conformed(decode_envelope(envelope, value, params, self._signature), self._signature)
        if self._frames:
            self._needs("pandas")
        from penstock.wire.mlflow.frames import read_document

        return PredictRequest(read_document(envelope, value, schema), params)

    def _read_special(self, document: dict[str, Any]) -> PredictRequest:
        """Chat-shaped bodies, and those for a model that checks them itself by a type hint."""
        signature = self._signature
        if not is_unwrapped(document):
            decoded = decode_hinted(document)
            return PredictRequest(decoded.payload, decoded.params)
        value, params = split_unwrapped(document, signature)
        schema = signature.enforced if signature is not None else None
        if not schema:
            return PredictRequest(Value(value), params, wrapped=False)
        if not self._frames:
            return _conformed(decode_unwrapped(value, params, schema), signature)
        self._needs("pandas")
        from penstock.wire.mlflow.frames import read_unwrapped

        return PredictRequest(read_unwrapped(value, schema), params, wrapped=False)


def _conformed(decoded: Decoded, signature: Signature | None) -> PredictRequest:
    schema = signature.enforced if signature is not None else None
    conformed = conform(decoded.payload, schema, decoded.casting, limit=MAX_VIOLATIONS)
    if conformed.violations:
        raise SchemaViolation(conformed.violations)
    return PredictRequest(conformed.payload, decoded.params, decoded.wrapped)


@cache
def _pandas_installed() -> bool:
    return find_spec("pandas") is not None


class MlflowCodec(BodyReader):
    """Reads bodies and writes answers for one signature, on an event loop: libraries that take long to import are asked
    for (LibraryWanted). `nan_words` writes what is not finite as MLflow does, NaN and Infinity."""

    def __init__(self, signature: Signature | None, *, frames: bool, nan_words: bool = False) -> None:
        super().__init__(signature, frames=frames and _pandas_installed(), may_import=False)
        self._nan_words = nan_words

    def write(self, payload: Payload, request: PredictRequest, media: str) -> tuple[bytes, str]:
        """The answer, and its media type: JSON where it has no columns. Raises AnswerUnserializable."""
        if media != JSON:
            try:
                return encode_columns(payload, media), media
            except AnswerHasNoColumns:
                pass  # the caller asked for a table, and there is none: what there is, is better than a refusal
        return encode_answer(payload, wrapped=request.wrapped, nan_words=self._nan_words), JSON


class MlflowProtocol:
    """The scoring protocol of `mlflow models serve`, 2.0 to 3.x."""

    name = "invocations"
    readable = tuple(READERS)

    def __init__(self, *, nan_words: bool = False) -> None:
        self._nan_words = nan_words

    def answer_media(self, accept: bytes | None) -> str:
        """The best format that is written here, JSON where none is."""
        if accept is None or accept in (b"*/*", b"application/json"):
            return JSON
        return accepted(accept.decode("latin-1"))

    def error_body(self, error_code: str, message: str) -> tuple[bytes, str]:
        """The JSON object that MLflow's server answers with."""
        return error_body(error_code, message), JSON

    def codec(self, signature: Signature | None, *, frames: bool) -> MlflowCodec:
        return MlflowCodec(signature, frames=frames, nan_words=self._nan_words)
