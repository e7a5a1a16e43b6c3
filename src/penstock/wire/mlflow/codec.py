"""MLflow's scoring protocol, as a server speaks it at /invocations."""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import find_spec
from typing import Any

from penstock.defaults import MAX_BODY_BYTES
from penstock.payload import Payload, Table, Tensors, Value
from penstock.signature import Signature
from penstock.wire.interface import ReadElsewhere
from penstock.wire.mlflow.body_reader import BodyReader, PredictRequest
from penstock.wire.mlflow.error_codes import error_body
from penstock.wire.mlflow.formats import COLUMNAR, JSON, READERS, accepted, encode


@cache
def _pandas_installed() -> bool:
    return find_spec("pandas") is not None


# On an event loop: the most cells of an answer, each a millisecond's work: arrays of whole numbers or floats, others.
_MAX_WHOLE = 256 * 1024
_MAX_FLOATS = 32 * 1024
_MAX_OTHERS = 8 * 1024


class MlflowCodec(BodyReader):
    """Reads bodies and writes answers for one signature; `on_loop` as in `BodyReader`. `nan_words` writes what is not
    finite as MLflow does, NaN and Infinity."""

    request_type = PredictRequest

    def __init__(
        self,
        signature: Signature | None,
        *,
        frames: bool,
        nan_words: bool = False,
        max_body_bytes: int = MAX_BODY_BYTES,
        on_loop: bool = True,
    ) -> None:
        super().__init__(
            signature, frames=frames and _pandas_installed(), on_loop=on_loop, max_body_bytes=max_body_bytes
        )
        self._nan_words = nan_words

    def write(self, payload: Payload, request: PredictRequest, media: str) -> tuple[bytes, str]:
        """The answer, and its media type: JSON where it has no columns. Raises AnswerUnserializable, ReadElsewhere."""
        if self._on_loop and _takes_long(payload, media, self._nan_words):
            raise ReadElsewhere
        return encode(payload, media, wrapped=request.wrapped, nan_words=self._nan_words)


class MlflowProtocol:
    """The scoring protocol of `mlflow models serve`, 2.0 to 3.x. `on_loop` is whether its codecs are for event loops,
    where nobody says it."""

    name = "invocations"
    readable = tuple(READERS)

    def __init__(self, *, nan_words: bool = False, max_body_bytes: int = MAX_BODY_BYTES, on_loop: bool = True) -> None:
        self._nan_words, self._max_body_bytes = nan_words, max_body_bytes
        self._on_loop = on_loop

    def answer_media(self, accept: bytes | None) -> str:
        """The best format that is written here, JSON where none is."""
        if accept is None or accept in (b"*/*", b"application/json"):
            return JSON
        return accepted(accept.decode("latin-1"))

    def error_body(self, error_code: str, message: str) -> tuple[bytes, str]:
        """The JSON object that MLflow's server answers with."""
        return error_body(error_code, message), JSON

    def codec(self, signature: Signature | None, *, frames: bool, on_loop: bool | None = None) -> MlflowCodec:
        return MlflowCodec(signature, frames=frames, **self._options(on_loop))

    def _options(self, on_loop: bool | None) -> dict[str, Any]:
        """What every codec of this protocol is made with."""
        return {
            "nan_words": self._nan_words,
            "max_body_bytes": self._max_body_bytes,
            "on_loop": self._on_loop if on_loop is None else on_loop,
        }

    def libraries(self, media: str, frames: bool) -> tuple[str, ...]:
        """The modules that reading a body of this type always imports."""
        own = (type(self).__module__, "penstock.wire.content_encoding")
        columnar = ("penstock.wire.columnar", "pyarrow.ipc", "pyarrow.parquet") if media in COLUMNAR else ()
        by_pandas = ("pandas", "penstock.wire.mlflow.frames") if frames and media != JSON else ()
        return (*own, *columnar, *by_pandas)


def _takes_long(payload: Payload, media: str, nan_words: bool) -> bool:
    if isinstance(payload, Value):
        return False  # it is made of Python's objects, and would have to be written for another process first
    if media in COLUMNAR and "pyarrow" not in sys.modules and find_spec("pyarrow") is not None:
        return True  # which takes a third of a second to import
    if isinstance(payload, Table) or media != JSON or nan_words:
        return _cells(payload) > _MAX_OTHERS
    kinds = {array.dtype.kind for array in payload.arrays}
    return _cells(payload) > (
        _MAX_WHOLE if kinds <= set("biu") else _MAX_FLOATS if kinds <= set("biuf") else _MAX_OTHERS
    )


def _cells(payload: Table | Tensors) -> int:
    return payload.rows * payload.width if isinstance(payload, Table) else sum(array.size for array in payload.arrays)
