"""Bodies read without pandas, by readers that settle only what pandas and MLflow would surely read the same.

`FloatReader` takes the commonest requests in one step: numbers for a model that takes floats and nothing else. numpy
makes the array straight from the JSON lists, which is what pandas' `astype` and MLflow's own conversion come to for
such columns: text that is a number counts as one, true as 1, null as missing. `settle` takes any other envelope whose
cells are plainly of the signature's types. Whatever is neither is left to others.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np

from penstock.errors import MalformedInput, SchemaViolation
from penstock.payload import TEXT, Array, Payload, Table, Tensors, Value
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
from penstock.wire.mlflow.invocations import decode_envelope

_FLOATING = (Scalar.DOUBLE, Scalar.FLOAT)


class FloatReader:
    """For one schema: `dataframe_split` where it has named columns of one floating type, `inputs` where it has one
    unnamed array of floats."""

    def __init__(self, schema: Schema | None) -> None:
        self._columns: list[Any] | None = None
        self._names: tuple[Any, ...] = ()
        self._shape: tuple[int, ...] | None = None
        self._dtype = np.dtype(np.float64)
        if not schema:
            return
        if is_tensor_schema(schema):
            field = schema[0]
            if len(schema) == 1 and field.name is None and field.dtype.kind == "f" and field.shape:
                self._shape, self._dtype = field.shape, field.dtype
            return
        types = {field.type for field in schema if isinstance(field, Field)}
        names = tuple(field.name for field in schema)
        if len(types) == 1 and types <= set(_FLOATING) and all(type(n) is str for n in names):
            self._columns, self._names, self._shape = list(names), names, (-1, len(names))
            self._dtype = next(iter(types)).dtype  # type: ignore[union-attr]

    def read(self, document: dict[str, Any]) -> Payload | None:
        """The conformed payload; None where somebody else has to look."""
        if self._shape is None or not (len(document) == 1 or (len(document) == 2 and "params" in document)):
            return None
        if self._columns is None:
            array = self._array(document.get("inputs"))
            return None if array is None else Tensors.single(array)
        split = document.get("dataframe_split")
        if type(split) is not dict or len(split) != 2 or split.get("columns") != self._columns:
            return None
        block = self._array(split.get("data"))
        return None if block is None else Table(self._names, block=block)

    def _array(self, value: Any) -> Array | None:
        assert self._shape is not None
        if type(value) is not list or not value:
            return None
        try:
            array = np.array(value, dtype=np.float64)
        except (ValueError, TypeError, OverflowError):
            return None
        shape = array.shape
        if len(shape) != len(self._shape) or any(w not in (-1, n) for w, n in zip(self._shape, shape, strict=True)):
            return None
        if self._dtype != np.float64:
            with np.errstate(over="ignore"):
                array = array.astype(self._dtype)
        # An infinity may be a number that was too large. The sum of squares has one look at all numbers, and none in it
        # cancels another: infinities of both signs have no plain sum, of which numpy warns.
        return array if isfinite(np.vdot(array, array)) or not np.isinf(array).any() else None


def settle(envelope: str, value: Any, signature: Signature | None, *, exact: bool = False) -> Payload | None:
    """The conformed payload, where pandas would certainly make the same of it; None where it has to be asked. Datetimes
    are read by the rule of every road, and optional columns that are left out are gaps, unless it is to be `exact`:
    then pandas reads the former, and the latter stay out."""
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
        plain = _plain_table(payload, schema, decoded.casting, exact)
    if plain is None:
        return None
    conformed = conform(plain, schema, decoded.casting, limit=1, fill_gaps=not exact)
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


def _plain_table(table: Table, schema: Schema | None, casting: Casting, exact: bool) -> Table | None:
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
    if exact and any(f.type is Scalar.DATETIME for f in fields):
        return None
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
        if type_ is Scalar.DATETIME:
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
    Scalar.DATETIME: "fi",
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
