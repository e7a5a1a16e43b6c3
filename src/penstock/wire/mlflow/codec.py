"""MLflow's scoring protocol, as a server speaks it at /invocations."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

from penstock.errors import AnswerHasNoColumns
from penstock.payload import Payload
from penstock.signature import Signature
from penstock.wire.mlflow.answers import encode_answer
from penstock.wire.mlflow.body_reader import BodyReader, PredictRequest
from penstock.wire.mlflow.error_codes import error_body
from penstock.wire.mlflow.formats import JSON, READERS, accepted, encode_columns


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
