"""MLflow's scoring protocol, as a server speaks it at /invocations: a body to the payload that the model gets, read and
conformed, params beside it; and the payload that the model answers to bytes.

The quick readers make arrays of the body without pandas; `conform` puts them into the signature's form. A model that is
handed pandas frames has pandas anyway: what is not settled beyond doubt so far, it has read by pandas (`frames`), which
is what MLflow's protocol means.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

from penstock.defaults import MAX_BODY_BYTES
from penstock.errors import MalformedInput, SchemaViolation
from penstock.payload import MAX_VIOLATIONS, Payload, Table, Value, Violation
from penstock.signature import Casting, Field, Signature, conform, is_tensor_schema, long_texts
from penstock.wire.arrow_claims import is_plain_numbers
from penstock.wire.budget import Budget, check_columns
from penstock.wire.csv import check_header, header_names
from penstock.wire.decoded import Decoded
from penstock.wire.interface import MAX_ON_LOOP, DecodedRequest, ReadElsewhere
from penstock.wire.json_sizes import MAX_NESTING, check_frame, check_rows, is_too_nested
from penstock.wire.mlflow.error_codes import error_body
from penstock.wire.mlflow.formats import (
    COLUMNAR,
    CSV,
    JSON,
    PARQUET,
    READERS,
    accepted,
    arrays_in,
    is_one_array,
    one_line_hint,
    open_table,
)
from penstock.wire.mlflow.ignored import ignored_columns, ignored_keys, sent_columns
from penstock.wire.mlflow.invocations import (
    decode_envelope,
    decode_hinted,
    decode_unwrapped,
    envelope_of,
    is_unwrapped,
    read_object,
    rows_under,
    split_unwrapped,
    with_long_numbers,
)
from penstock.wire.mlflow.quick_readers import FloatReader, settle
from penstock.wire.mlflow.row_pieces import LARGE, RowPieces, read_in_pieces
from penstock.wire.mlflow.writing import cells_in, takes_long, write_answer
from penstock.wire.text_sizes import check_texts

# On an event loop: the longest body, in bytes, that is not numbers alone, and that pandas has to read.
_MAX_MIXED = 64 * 1024
_MAX_FOR_PANDAS = 16 * 1024

# One text may have an eighth of the largest body's bytes, and so much always: whoever handles it does so in one step.
_TEXTS = 8
_LEAST_TEXT = 1024 * 1024


# So many of the names that are ignored in a request are kept.
_MOST_IGNORED = 20


@dataclass(slots=True)
class PredictRequest(DecodedRequest):
    """One of MLflow's. `wrapped` is whether the answer goes under a "predictions" key; `rows` is how many rows were
    sent, where the payload is not at hand any more."""

    wrapped: bool = True
    rows: int | None = None

    def state(self) -> dict[str, Any]:
        rows = self.payload.rows if self.rows is None else self.rows
        return {"ignored": self.ignored, "wrapped": self.wrapped, "rows": rows}


class BodyReader:
    """Reads bodies for one signature. `frames` is whether the model is handed pandas frames.

    On an event loop (`on_loop`) nothing is imported, and nothing read that may take long: that is ReadElsewhere.
    Without `max_body_bytes` a body may unfold to anything: those of files, and of the caller's own values. With `exact`
    pandas, which MLflow reads with, has the last word for every model, also where it changes a number without a word.
    """

    def __init__(
        self,
        signature: Signature | None,
        *,
        frames: bool,
        on_loop: bool = False,
        max_body_bytes: int | None = None,
        exact: bool = False,
    ) -> None:
        self._exact = exact
        self._max_body_bytes = max_body_bytes
        self._signature = signature
        self._schema = signature.inputs if signature is not None else None
        self._hinted = signature is not None and signature.hinted
        self._frames = frames or exact
        self._labels = frames
        self._on_loop = on_loop
        self._max_text = signature.max_text if signature is not None else 0
        self._optional = any(isinstance(f, Field) and not f.required for f in self._schema or ())
        self._floats = FloatReader(None if self._hinted else self._schema)
        # The whole mutable state: the last body that was left to others after it had been parsed. The fast path asks
        # before the slow path does, and the same answer should not cost another parse.
        self._left = b""

    def read(self, media: str, body: bytes) -> PredictRequest:
        """A body of a media type in `READERS`. Raises MalformedInput, InputTooLarge, SchemaViolation, UnsupportedMedia,
        ReadElsewhere."""
        try:
            request = self._read(media, body)
        except UnicodeEncodeError:
            raise MalformedInput(
                "The body has a text with half a character (half of a UTF-16 pair).",
                hint="Texts were cut in the middle of a character, as of an emoji, before they were sent.",
            ) from None
        except SchemaViolation as error:
            if hint := one_line_hint(media, body):
                raise SchemaViolation(error.violations, hint=hint) from None
            raise
        if self._max_body_bytes is not None and len(body) > _LEAST_TEXT:
            check_texts(request.payload, max(self._max_body_bytes // _TEXTS, _LEAST_TEXT))
        if self._max_text and (violations := long_texts(request.payload, self._max_text, MAX_VIOLATIONS)):
            raise SchemaViolation(violations)
        return request

    def _read(self, media: str, body: bytes) -> PredictRequest:
        self._bound(body, MAX_ON_LOOP)
        if self._on_loop and len(body) > _MAX_FOR_PANDAS and body == self._left:
            self._left = b""
            raise ReadElsewhere
        if media == JSON:
            return self._read_json(body)
        self._bound(body, _MAX_MIXED if media == CSV or self._is_plain(media, body) else 0)
        if not self._frames or (media == CSV and not self._exact and is_one_array(self._schema)):
            decoded = READERS[media](body, self._signature, self._budget(media, body))
            names = decoded.payload.names if isinstance(decoded.payload, Table) else None
            return self._noted(_conformed(decoded, self._signature), names)
        self._needs_pandas(body)
        from penstock.wire.mlflow import frames as pandas_reader

        if media == CSV:
            read_csv = pandas_reader.read_csv_exactly if self._exact else pandas_reader.read_csv
            payload = read_csv(body, self._schema, self._budget(media, body))
            return self._noted(PredictRequest(payload), _header(body) if self._optional else None)
        table = open_table(media, body, self._budget(media, body))
        if self._max_body_bytes is not None:
            check_columns(table.num_columns, len(self._schema or ()))
        if (arrays := arrays_in(table, self._signature)) is not None:
            return _conformed(arrays, self._signature)
        payload = pandas_reader.read_columnar(table, self._schema, exact=self._exact)
        return self._noted(PredictRequest(payload), table.column_names)

    def _noted(
        self, request: PredictRequest, names: Sequence[Any] | None, document: dict[str, Any] | None = None
    ) -> PredictRequest:
        """The request, with what in it is ignored: of the columns that were sent, and of the keys of a document."""
        keys = () if document is None else ignored_keys(document)
        columns = ignored_columns(names, self._schema) if self._optional else ()
        request.ignored = (*keys, *columns)[:_MOST_IGNORED]
        return request

    def _budget(self, media: str, body: bytes) -> Budget:
        if self._max_body_bytes is None:
            return Budget.unlimited()
        if media == JSON:
            return Budget.of_json(len(body), self._max_body_bytes)
        return (
            Budget.of_csv(len(body), self._max_body_bytes) if media == CSV else Budget.of_columnar(self._max_body_bytes)
        )

    @staticmethod
    def _is_plain(media: str, body: bytes) -> bool:
        """Whether it is Arrow that can be read in no time."""
        return media != PARQUET and "pyarrow" in sys.modules and is_plain_numbers(body)

    def _bound(self, body: bytes, most: int) -> None:
        if self._on_loop and len(body) > most:
            self._left = body if len(body) <= _MAX_MIXED else b""
            raise ReadElsewhere

    def _needs_pandas(self, body: bytes) -> None:
        self._bound(body, _MAX_FOR_PANDAS if "pandas" in sys.modules else 0)

    def _read_json(self, body: bytes) -> PredictRequest:
        if not self._on_loop and len(body) >= LARGE and (request := self._read_rows(body)) is not None:
            return request
        document = read_object(body, exact=self._exact)
        if (payload := self._floats.read(document)) is not None:
            params = document.get("params")
            return PredictRequest(payload, self._as_sent(body, document)["params"] if params else params)
        self._bound(body, _MAX_MIXED)
        if is_too_nested(body, document):
            why = f"lists or objects are more than {MAX_NESTING} deep inside of each other"
            if self._hinted:
                raise SchemaViolation([Violation(why)])
            raise MalformedInput(f"The body cannot be read: {why}.")
        if self._hinted or is_unwrapped(document):
            return self._read_special(body, self._as_sent(body, document))
        envelope, schema = envelope_of(document), self._schema
        budget = self._budget(JSON, body)
        check_rows(rows_under(envelope, document[envelope]), budget)
        if (settled := settle(envelope, document[envelope], self._signature, exact=self._exact)) is not None:
            document = self._as_sent(body, document) if document.get("params") else document
            request = PredictRequest(settled, document.get("params"))
            return self._noted(request, sent_columns(envelope, document[envelope]), document)
        if self._frames:
            self._needs_pandas(body)
        document = self._as_sent(body, document)
        value, params = document[envelope], document.get("params")
        arrays = envelope in ("inputs", "instances") and (not schema or is_tensor_schema(schema))
        if not self._frames and not arrays:
            request = _conformed(decode_envelope(envelope, value, params, self._signature), self._signature)
            return self._noted(request, sent_columns(envelope, value), document)
        if self._frames and self._max_body_bytes is not None:
            check_frame(envelope, value, len(schema or ()), budget)
        from penstock.wire.mlflow.frames import read_document, without_row_labels

        payload = read_document(envelope, value, schema, exact=self._exact)
        request = PredictRequest(payload if self._labels else without_row_labels(payload), params)
        return self._noted(request, sent_columns(envelope, value), document)

    def _as_sent(self, body: bytes, document: dict[str, Any]) -> dict[str, Any]:
        return with_long_numbers(body, document, exact=self._exact)

    def _read_rows(self, body: bytes) -> PredictRequest | None:
        """A large body of plain rows, a piece at a time; None for any other."""
        pieces = None if self._hinted else RowPieces.of(body)
        if pieces is None:
            return None

        def read(value: Any) -> Payload | None:
            if (payload := self._floats.read({pieces.envelope: value})) is not None:
                return payload
            rows = rows_under(pieces.envelope, value)
            if is_too_nested(b"[", rows):
                return None
            check_rows(rows, Budget.of_json(LARGE))
            return settle(pieces.envelope, value, self._signature, exact=self._exact)

        payload = read_in_pieces(pieces, read, mixed=not self._schema)
        if payload is None or isinstance(payload, Value):
            return None
        self._budget(JSON, body).check_cells(cells_in(payload))
        params = pieces.document.get("params")
        params = self._as_sent(pieces.around, pieces.document)["params"] if params else params
        names = sent_columns(pieces.envelope, pieces.of_rows(pieces.last))
        return self._noted(PredictRequest(payload, params), names, pieces.document)

    def _read_special(self, body: bytes, document: dict[str, Any]) -> PredictRequest:
        """Chat-shaped bodies, and those for a model that checks them itself by a type hint."""
        signature = self._signature
        if not is_unwrapped(document):
            decoded = decode_hinted(document)
            return self._noted(PredictRequest(decoded.payload, decoded.params), None, document)
        value, params = split_unwrapped(document, signature)
        schema = signature.enforced if signature is not None else None
        if not schema:
            return PredictRequest(Value(value), params, wrapped=False)
        if not self._frames:
            return _conformed(decode_unwrapped(value, params, schema), signature)
        self._needs_pandas(body)
        from penstock.wire.mlflow.frames import read_unwrapped

        return PredictRequest(read_unwrapped(value, schema, exact=self._exact), params, wrapped=False)


def _header(body: bytes) -> list[str]:
    return header_names(check_header(body, 0, None)[0])


def _conformed(decoded: Decoded, signature: Signature | None) -> PredictRequest:
    schema = signature.enforced if signature is not None else None
    text = decoded.casting is Casting.TEXT
    conformed = conform(decoded.payload, schema, decoded.casting, limit=MAX_VIOLATIONS, side_by_side=text)
    if conformed.violations:
        raise SchemaViolation(conformed.violations)
    return PredictRequest(conformed.payload, decoded.params, wrapped=decoded.wrapped)


@cache
def pandas_installed() -> bool:
    return find_spec("pandas") is not None


class MlflowCodec(BodyReader):
    """Reads bodies and writes answers for one signature; `on_loop` as in `BodyReader`. `nan_words` writes what is not
    finite as MLflow does, NaN and Infinity; so does `exact`, which is as in `BodyReader`."""

    request_type = PredictRequest

    def __init__(
        self,
        signature: Signature | None,
        *,
        frames: bool,
        nan_words: bool = False,
        max_body_bytes: int = MAX_BODY_BYTES,
        on_loop: bool = True,
        exact: bool = False,
    ) -> None:
        super().__init__(
            signature,
            frames=frames and pandas_installed(),
            on_loop=on_loop,
            max_body_bytes=max_body_bytes,
            exact=exact,
        )
        self._nan_words = nan_words or exact

    def write(self, payload: Payload, request: PredictRequest, media: str) -> tuple[bytes, str]:
        """The answer, and its media type: JSON where it has no columns. Raises AnswerUnserializable, ReadElsewhere."""
        if self._on_loop and takes_long(payload, media, self._nan_words):
            raise ReadElsewhere
        given = request.payload.rows if request.rows is None else request.rows
        return write_answer(payload, media, given, wrapped=request.wrapped, nan_words=self._nan_words)


class MlflowProtocol:
    """The scoring protocol of `mlflow models serve`, 2.0 to 3.x. `on_loop` is whether its codecs are for event loops,
    where nobody says it. `exact` is for which models it answers bit for bit as MLflow does: for all, for none, or for
    those that a function says; it needs pandas."""

    name = "invocations"
    readable = tuple(READERS)

    def __init__(
        self,
        *,
        nan_words: bool = False,
        max_body_bytes: int = MAX_BODY_BYTES,
        on_loop: bool = True,
        exact: bool | Callable[[str], bool] = False,
    ) -> None:
        self._nan_words, self._max_body_bytes = nan_words, max_body_bytes
        self._on_loop = on_loop
        self._exact = exact

    def of_model(self, name: str) -> MlflowProtocol:
        """The protocol as it is for one model: plain values, which another process can be sent."""
        if isinstance(self._exact, bool):
            return self
        options = {**self._options(None), "exact": self._exact(name)}
        return type(self)(**options)

    def answer_media(self, accept: bytes | None) -> str:
        """The best format that is written here, JSON where none is."""
        if accept is None or accept in (b"*/*", b"application/json"):
            return JSON
        return accepted(accept.decode("latin-1"))

    def error_body(self, error_code: str, message: str, violations: Sequence[Violation] = ()) -> tuple[bytes, str]:
        """The JSON object that MLflow's server answers with, and the violations beside it."""
        return error_body(error_code, message, violations), JSON

    def codec(self, signature: Signature | None, *, frames: bool, on_loop: bool | None = None) -> MlflowCodec:
        return MlflowCodec(signature, frames=frames, **self._options(on_loop))

    def _options(self, on_loop: bool | None) -> dict[str, Any]:
        """What every codec of this protocol is made with."""
        return {
            "nan_words": self._nan_words,
            "max_body_bytes": self._max_body_bytes,
            "on_loop": self._on_loop if on_loop is None else on_loop,
            "exact": self._exact is True,
        }

    def libraries(self, media: str, frames: bool) -> tuple[str, ...]:
        """The modules that reading a body of this type always imports."""
        own = (type(self).__module__, "penstock.wire.content_encoding")
        columnar = ("penstock.wire.columnar", "pyarrow.ipc", "pyarrow.parquet") if media in COLUMNAR else ()
        frames = frames or self._exact is True
        by_pandas = ("pandas", "penstock.wire.mlflow.frames") if frames and media != JSON else ()
        return (*own, *columnar, *by_pandas)
