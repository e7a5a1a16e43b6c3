"""Answers as what the caller expects: in the container that it gave, and in the types that the signature names.

JSON has no dates, no narrow floats and one kind of missing value. The signature's outputs say what was meant; without
them the values decide, which is right for all but dates: those stay text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from penstock.client.arrow_bodies import payload_of_stream
from penstock.client.request_bodies import RequestBody
from penstock.loading.python_data import Container, PythonInput, answer_in_kind
from penstock.payload import Array, Name, Payload, Table, Tensors, Value, as_object_array
from penstock.signature import Casting, Field, Scalar, Schema, TensorField, is_tensor_schema
from penstock.signature.casts import cast
from penstock.wire.mlflow.formats import ARROW
from penstock.wire.mlflow.invocations import parse_json, with_long_numbers


@dataclass(frozen=True, slots=True)
class Prediction:
    """A model's answer with what came beside it. `value` is in a container of the kind that was sent; `model` and
    `version` are what answered, `request_id` is what the server's log has, and `timing` are the milliseconds that its
    stages took: decode, queue, predict, encode."""

    value: Any
    model: str = ""
    version: str = ""
    request_id: str = ""
    timing: Mapping[str, float] | None = None


def read_answer(body: bytes, media: str, request: RequestBody, outputs: Schema | None) -> Any:
    """The answer to a request in the caller's container. Raises MalformedInput for what is no answer."""
    if media == ARROW:
        payload = _in_signatures_types(payload_of_stream(body), outputs)
        return answer_in_kind(payload, PythonInput(payload, request.container, index=request.index))
    document = parse_json(body)
    wrapped = isinstance(document, dict) and document.keys() == {"predictions"}
    if wrapped:
        document = with_long_numbers(body, document)
    value = document["predictions"] if wrapped else document
    given = PythonInput(Value(value), request.container, index=request.index)
    return answer_in_kind(payload_of_answer(value, request, outputs) if wrapped else Value(value), given)


def payload_of_answer(value: Any, request: RequestBody, outputs: Schema | None) -> Payload:
    """What the model answered, as far as its JSON tells."""
    named = outputs is not None and is_tensor_schema(outputs) and outputs[0].name is not None
    if isinstance(value, dict) and (named or (not outputs and _are_columns(value, request.rows))):
        dtypes = {str(field.name): field for field in outputs or () if isinstance(field, TensorField)}
        if all(isinstance(cells, list) for cells in value.values()):
            plain = request.container in (Container.RECORDS, Container.RECORD)
            return Tensors.named(
                {
                    name: as_object_array(cells) if plain else _tensor(cells, dtypes.get(name))
                    for name, cells in value.items()
                }
            )
    if request.container in (Container.RECORDS, Container.RECORD) or not isinstance(value, list):
        return Value(value)
    if value and all(isinstance(item, dict) and item.keys() == value[0].keys() for item in value):
        return _table(value, outputs)
    field = outputs[0] if outputs and len(outputs) == 1 else None
    array = _tensor(value, field) if not isinstance(field, Field) else _column(value, field)
    return Tensors.single(array) if array.dtype != object or array.ndim == 1 else Value(value)


def _are_columns(value: Mapping[str, Any], rows: int | None) -> bool:
    return bool(value) and all(isinstance(cells, list) and len(cells) == rows for cells in value.values())


def _in_signatures_types(payload: Payload, outputs: Schema | None) -> Payload:
    """As they are read from JSON, where there is one kind of numbers."""
    if isinstance(payload, Table):
        fields = {str(f.name): f for f in outputs or () if isinstance(f, Field)}
        names = [str(name) for name in payload.names or ()]
        columns = [_cast(column, fields.get(n)) for n, column in zip(names, payload.iter_columns(), strict=True)]
        return Table.of([_name(name, fields) for name in names], columns)
    if not isinstance(payload, Tensors):
        return payload
    by_name = {f.name: f for f in outputs or () if isinstance(f, TensorField)}
    only = outputs[0] if outputs and len(outputs) == 1 else None
    fields_of = [by_name.get(name, only) for name in payload.names or (None,)]
    return Tensors(payload.names, tuple(_as_field(a, f) for a, f in zip(payload.arrays, fields_of, strict=True)))


def _table(records: Sequence[Mapping[str, Any]], outputs: Schema | None) -> Table:
    fields = {str(f.name): f for f in outputs or () if isinstance(f, Field)}
    columns = [_column([record[name] for record in records], fields.get(name)) for name in records[0]]
    return Table.of([_name(name, fields) for name in records[0]], columns)


def _name(name: str, fields: Mapping[str, Field]) -> Name:
    """The column's name as the signature has it, which may be a whole number."""
    known = fields[name].name if name in fields else None
    return name if known is None else known


def _column(cells: list[Any], field: Field | None) -> Array:
    """One cell a row, in the field's type where all of them are of it."""
    if field is None or not isinstance(field.type, Scalar):
        return plain_array(cells, 1)
    read = cast(as_object_array(cells), field.type, Casting.FRAME, optional=True, limit=1)
    return plain_array(cells, 1) if read.misfits else read.column


def _cast(column: Array, field: Field | None) -> Array:
    """The same for a column that has a type already."""
    if field is None or not isinstance(field.type, Scalar):
        return column
    read = cast(column, field.type, Casting.FRAME, optional=True, limit=1)
    return column if read.misfits else read.column


def _tensor(cells: list[Any], field: TensorField | Field | None) -> Array:
    return _as_field(plain_array(cells), field)


def _as_field(array: Array, field: TensorField | Field | None) -> Array:
    """In the dtype that the signature names, where nothing is lost."""
    if isinstance(field, Field) and isinstance(field.type, Scalar) and array.ndim == 1:
        return _cast(array, field)
    if not isinstance(field, TensorField) or array.ndim != len(field.shape):
        return array
    kind = field.dtype.kind
    if kind in "mM" and array.dtype.kind in "iu":  # JSON has such arrays as whole numbers of their unit
        return array.astype(np.int64).view(field.dtype)
    if kind in "biuf" and array.dtype.kind in "biuf" and (kind == "f" or array.dtype.kind in "biu"):
        return array.astype(field.dtype)
    if kind == "U" and array.dtype == object and all(isinstance(cell, str) for cell in array.flat):
        return array.astype(str)
    return array


def plain_array(cells: list[Any], most_axes: int = 32) -> Array:
    """The array of nested JSON lists, as numpy would have it, but for what numpy changes: numbers beside text stay
    numbers, whole numbers past 64 bits stay whole, and null is NaN among floats alone. Lists of several lengths are
    an array of lists."""
    flat, shape = cells, [len(cells)]
    while len(shape) < most_axes and flat and all(type(item) is list for item in flat):
        width = len(flat[0])
        if any(len(item) != width for item in flat):
            break
        flat = list(chain.from_iterable(flat))
        shape.append(width)
    kinds = set(map(type, flat))
    if float in kinds and kinds <= {float, int, type(None)}:
        # A whole number among floats is one that a model answered as such; past 2⁵³ it would lose digits.
        if all(abs(cell) <= _EXACT for cell in flat if type(cell) is int):
            return np.array([np.nan if cell is None else cell for cell in flat], dtype=np.float64).reshape(shape)
    elif kinds == {bool}:
        return np.array(flat, dtype=bool).reshape(shape)
    elif kinds == {int}:
        least, most = min(flat), max(flat)
        if least >= -(2**63) and most < 2**63:
            return np.array(flat, dtype=np.int64).reshape(shape)
        if least >= 0 and most < 2**64:
            return np.array(flat, dtype=np.uint64).reshape(shape)
    return as_object_array(flat).reshape(shape)


_EXACT = 2**53
