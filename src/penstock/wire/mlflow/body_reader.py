"""A request body to the payload that the model gets: read, conformed, params beside it.

The quick readers make arrays of the body without pandas; `conform` puts them into the signature's form. A model that is
handed pandas frames has pandas anyway: what is not settled beyond doubt so far, it has read by pandas (`frames`), which
is what MLflow's protocol means.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

from penstock.errors import MalformedInput, SchemaViolation
from penstock.payload import MAX_VIOLATIONS, TEXT, Array, Payload, Table, Tensors, Value, Violation
from penstock.signature import (
    ArrayOf,
    Casting,
    Field,
    ObjectOf,
    Scalar,
    Schema,
    Signature,
    conform,
    is_tensor_schema,
)
from penstock.wire.arrow_claims import is_plain_numbers
from penstock.wire.budget import Budget, check_columns
from penstock.wire.decoded import Decoded
from penstock.wire.interface import DecodedRequest, ReadElsewhere
from penstock.wire.json_sizes import MAX_NESTING, check_frame, check_rows, is_too_nested
from penstock.wire.mlflow.float_reader import FloatReader
from penstock.wire.mlflow.formats import CSV, JSON, PARQUET, READERS
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

# On an event loop: the longest body that is looked at, of those that are not numbers alone, and of those that pandas
# has to read.
MAX_ON_LOOP = 256 * 1024
_MAX_MIXED = 64 * 1024
_MAX_FOR_PANDAS = 16 * 1024


@dataclass(slots=True)
class PredictRequest(DecodedRequest):
    """One of MLflow's. `wrapped` is whether the answer goes under a "predictions" key."""

    wrapped: bool = True


class BodyReader:
    """Reads bodies for one signature. `frames` is whether the model is handed pandas frames.

    On an event loop (`on_loop`) nothing is imported, and nothing read that may take long: that is ReadElsewhere.
    Without `max_body_bytes` a body may unfold to anything: those of files, and of the caller's own values.
    """

    def __init__(
        self,
        signature: Signature | None,
        *,
        frames: bool,
        on_loop: bool = False,
        max_body_bytes: int | None = None,
    ) -> None:
        self._max_body_bytes = max_body_bytes
        self._signature = signature
        self._schema = signature.inputs if signature is not None else None
        self._hinted = signature is not None and signature.hinted
        self._frames = frames
        self._on_loop = on_loop
        self._floats = FloatReader(None if self._hinted else self._schema)

    def read(self, media: str, body: bytes) -> PredictRequest:
        """A body of a media type in `READERS`. Raises MalformedInput, InputTooLarge, SchemaViolation, UnsupportedMedia,
        ReadElsewhere."""
        self._bound(body, MAX_ON_LOOP)
        if media == JSON:
            return self._read_json(body)
        self._bound(body, _MAX_MIXED if media == CSV or self._is_plain(media, body) else 0)
        if not self._frames:
            return _conformed(READERS[media](body, self._signature, self._budget(media, body)), self._signature)
        self._needs_pandas(body)
        from penstock.wire.mlflow import frames as pandas_reader

        if media == CSV:
            return PredictRequest(pandas_reader.read_csv(body, self._schema, self._budget(media, body)))
        from penstock.wire import columnar

        if media == PARQUET:
            table = columnar.open_parquet(body, self._budget(media, body))
        else:
            table = columnar.open_arrow(body, self._budget(media, body))
        if self._max_body_bytes is not None:
            check_columns(table.num_columns, len(self._schema or ()))
        return PredictRequest(pandas_reader.read_columnar(table, self._schema))

    def _budget(self, media: str, body: bytes) -> Budget:
        if self._max_body_bytes is None:
            return Budget.unlimited()
        if media == JSON:
            return Budget.of_json(len(body))
        return Budget.of_csv(len(body)) if media == CSV else Budget.of_columnar(self._max_body_bytes)

    @staticmethod
    def _is_plain(media: str, body: bytes) -> bool:
        """Whether it is Arrow that can be read in no time."""
        return media != PARQUET and "pyarrow" in sys.modules and is_plain_numbers(body)

    def _bound(self, body: bytes, most: int) -> None:
        if self._on_loop and len(body) > most:
            raise ReadElsewhere

    def _needs_pandas(self, body: bytes) -> None:
        self._bound(body, _MAX_FOR_PANDAS if "pandas" in sys.modules else 0)

    def _read_json(self, body: bytes) -> PredictRequest:
        document = read_object(body)
        if (payload := self._floats.read(document)) is not None:
            params = document.get("params")
            return PredictRequest(payload, exactly(body, document)["params"] if params else params)
        self._bound(body, _MAX_MIXED)
        if is_too_nested(body, document):
            why = f"lists or objects are more than {MAX_NESTING} deep inside of each other"
            if self._hinted:
                raise SchemaViolation([Violation(why)])
            raise MalformedInput(f"The body cannot be read: {why}.")
        if self._hinted or is_unwrapped(document):
            return self._read_special(body, exactly(body, document))
        envelope, schema = envelope_of(document), self._schema
        budget = self._budget(JSON, body)
        check_rows(_rows_under(envelope, document[envelope]), budget)
        if (settled := _settled(envelope, document[envelope], self._signature)) is not None:
            document = exactly(body, document) if document.get("params") else document
            return PredictRequest(settled, document.get("params"))
        document = exactly(body, document)
        value, params = document[envelope], document.get("params")
        arrays = envelope in ("inputs", "instances") and (not schema or is_tensor_schema(schema))
        if not self._frames and not arrays:
            return _conformed(decode_envelope(envelope, value, params, self._signature), self._signature)
        if self._frames:
            if self._max_body_bytes is not None:
                check_frame(envelope, value, len(schema or ()), budget)
            self._needs_pandas(body)
        from penstock.wire.mlflow.frames import read_document

        return PredictRequest(read_document(envelope, value, schema), params)

    def _read_special(self, body: bytes, document: dict[str, Any]) -> PredictRequest:
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
        self._needs_pandas(body)
        from penstock.wire.mlflow.frames import read_unwrapped

        return PredictRequest(read_unwrapped(value, schema), params, wrapped=False)


def _rows_under(envelope: str, value: Any) -> Any:
    return value.get("data") if envelope == "dataframe_split" and isinstance(value, dict) else value


def _conformed(decoded: Decoded, signature: Signature | None) -> PredictRequest:
    schema = signature.enforced if signature is not None else None
    conformed = conform(decoded.payload, schema, decoded.casting, limit=MAX_VIOLATIONS)
    if conformed.violations:
        raise SchemaViolation(conformed.violations)
    return PredictRequest(conformed.payload, decoded.params, decoded.wrapped)


def _settled(envelope: str, value: Any, signature: Signature | None) -> Payload | None:
    """The conformed payload, where pandas would certainly make the same of it; None where it has to be asked."""
    if envelope == "instances" and not _alike(value):
        return None
    try:
        decoded = decode_envelope(envelope, value, None, signature)
    except (MalformedInput, SchemaViolation):
        return None
    payload, schema = decoded.payload, signature.inputs if signature is not None else None
    if isinstance(payload, Value) or not payload.rows:
        return None
    plain: Payload | None
    if isinstance(payload, Tensors):
        plain = payload if _plain_arrays(payload, schema) else None
    else:
        plain = _plain_table(payload, schema, decoded.casting)
    if plain is None:
        return None
    conformed = conform(plain, schema, decoded.casting, limit=1)
    return None if conformed.violations else conformed.payload


def _alike(instances: Any) -> bool:
    """Whether records have the same keys: MLflow reads them column by column, so that a gap makes one shorter."""
    if not isinstance(instances, list) or not instances or not isinstance(instances[0], dict):
        return True
    return all(isinstance(record, dict) and record.keys() == instances[0].keys() for record in instances)


def _plain_arrays(tensors: Tensors, schema: Schema | None) -> bool:
    """Numbers, for a model that takes numbers of that kind."""
    kinds = {array.dtype.kind for array in tensors.arrays}
    if not schema:
        return kinds <= set("ifb") and not any(map(_perhaps_whole, tensors.arrays))
    if not is_tensor_schema(schema):
        return False
    wanted = {field.dtype.kind for field in schema}
    return (wanted == {"f"} and kinds <= set("if")) or (wanted <= set("iu") and kinds == {"i"})


def _perhaps_whole(array: Array) -> bool:
    """Whether floats are so large that they may have been whole numbers past 64 bits."""
    return array.dtype.kind == "f" and bool((np.abs(array) >= 2.0**63).any())


def _plain_table(table: Table, schema: Schema | None, casting: Casting) -> Table | None:
    """A table whose every column has the cells that its type is written with; text as pandas holds it."""
    if table.index is not None or (table.names is not None and not _distinct_texts(table.names)):
        return None
    if not schema:
        plain = casting is Casting.FRAME and not any(map(_perhaps_whole, table.iter_columns()))
        return _retyped(table, dict.fromkeys(range(table.width)), casting) if plain else None
    if is_tensor_schema(schema):
        numbers = table.block is not None and table.block.dtype.kind in "fi" and table.width > 1
        floats = len(schema) == 1 and schema[0].name is None and schema[0].dtype.kind == "f"
        return table if numbers and floats and casting is Casting.FRAME else None
    fields: tuple[Field, ...] = schema  # type: ignore[assignment]
    if table.names is None or fields[0].name is None:
        return None
    if casting is Casting.TENSOR and any(isinstance(f.type, (ArrayOf, ObjectOf)) for f in fields):
        return None  # a dict of columns is one row to such a model
    known = {f.name: f.type for f in fields}
    types = {i: known[name] for i, name in enumerate(table.names) if name in known}
    return _retyped(table, types, casting)


def _distinct_texts(names: tuple[Any, ...]) -> bool:
    return len(set(names)) == len(names) and all(type(name) is str for name in names)


def _retyped(table: Table, types: dict[int, Any], casting: Casting) -> Table | None:
    """The table with its text columns as text; None where a column of these types (None is any) is not plain."""
    if table.block is not None and table.block.dtype.kind in "ifb":
        return table if all(_natural(table.block.dtype.kind, type_) for type_ in types.values()) else None
    columns = list(table.iter_columns())
    for position, type_ in types.items():
        column = columns[position]
        if column.dtype.kind != "O":
            if not _natural(column.dtype.kind, type_):
                return None
            continue
        plain = _plain_objects(column, type_, casting)
        if plain is None:
            return None
        columns[position] = plain
    return Table.of(table.names, columns)


def _natural(kind: str, type_: Any) -> bool:
    if type_ is None:
        return True
    return kind in _KINDS.get(type_, "") if isinstance(type_, Scalar) else False


_KINDS = {
    Scalar.DOUBLE: "fi",
    Scalar.FLOAT: "fi",
    Scalar.LONG: "i",
    Scalar.INTEGER: "i",
    Scalar.BOOLEAN: "b",
}


def _plain_objects(column: Array, type_: Any, casting: Casting) -> Array | None:
    """Text as text, or numbers beside missing ones as floats."""
    kinds = set(map(type, column.tolist()))
    if kinds == {str} and type_ in (None, Scalar.STRING) and casting is Casting.FRAME:
        return column.astype(TEXT)
    numbers = kinds <= {int, float, type(None)} and casting is Casting.FRAME
    if numbers and type_ in (Scalar.DOUBLE, Scalar.FLOAT):
        try:
            return column.astype(np.float64)
        except OverflowError:
            return None
    return None
