"""A signature guessed from an example's payloads, by the rules of MLflow's infer_signature."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import numpy as np

from penstock.errors import PackagingFailed
from penstock.payload import TEXT, Array, Payload, Table, Tensors, shortened
from penstock.signature.schema import Field, Param, Schema, Signature, TensorField
from penstock.signature.types import AnyValue, ArrayOf, ObjectOf, Property, Scalar, Type

_BY_DTYPE = {
    "b1": Scalar.BOOLEAN,
    "i1": Scalar.INTEGER,
    "i2": Scalar.INTEGER,
    "i4": Scalar.INTEGER,
    "u1": Scalar.INTEGER,
    "u2": Scalar.INTEGER,
    "i8": Scalar.LONG,
    "u4": Scalar.LONG,
    "f2": Scalar.FLOAT,
    "f4": Scalar.FLOAT,
    "f8": Scalar.DOUBLE,
}
_BY_CLASS: list[tuple[type, Scalar]] = [
    (bool, Scalar.BOOLEAN),
    (int, Scalar.LONG),
    (float, Scalar.DOUBLE),
    (str, Scalar.STRING),
    (bytes, Scalar.BINARY),
    (np.datetime64, Scalar.DATETIME),
    (date, Scalar.DATETIME),  # and datetime, which is one
]


def infer_signature(
    inputs: Payload, outputs: Payload | None = None, params: Mapping[str, Any] | None = None
) -> Signature:
    """What these payloads look like. Raises PackagingFailed where the type of an input column cannot be told.

    Outputs whose type cannot be told are left out: callers do without, and the model is none the worse.
    """
    try:
        answers = None if outputs is None else infer_schema(outputs)
    except PackagingFailed:
        answers = None
    return Signature(
        inputs=infer_schema(inputs),
        outputs=answers,
        params=tuple(_infer_param(name, value) for name, value in (params or {}).items()),
    )


def infer_schema(payload: Payload) -> Schema | None:
    """Columns for a table, tensors for arrays, one unnamed column for a plain list; None for other values."""
    if isinstance(payload, Table):
        names = payload.names or (None,) * payload.width
        return tuple(_infer_field(n, column) for n, column in zip(names, payload.iter_columns(), strict=True)) or None
    if isinstance(payload, Tensors):
        names_ = payload.names or (None,) * len(payload.arrays)
        return tuple(_infer_tensor(n, array) for n, array in zip(names_, payload.arrays, strict=True))
    if isinstance(payload.value, list) and payload.value:
        return (Field(None, _common([_infer_cell(v) for v in payload.value])),)
    return None


def _infer_tensor(name: str | None, array: Array) -> TensorField:
    # The width of text is the example's alone.
    dtype = np.dtype(array.dtype.kind) if array.dtype.kind in "US" else array.dtype
    return TensorField(name, dtype, (-1, *array.shape[1:]) if array.ndim else ())


def _infer_field(name: Any, column: Array) -> Field:
    if column.dtype.kind == "M":
        return Field(name, Scalar.DATETIME)
    if column.dtype.kind in "US":
        return Field(name, Scalar.STRING if column.dtype.kind == "U" else Scalar.BINARY)
    if column.dtype.kind == TEXT.kind:
        column = column.astype(object)
    if column.dtype != object:
        key = f"{column.dtype.kind}{column.dtype.itemsize}"
        if key not in _BY_DTYPE:
            raise PackagingFailed(
                f"Column {name!r} of the example has dtype {column.dtype}, and no signature type covers it."
            )
        return Field(name, _BY_DTYPE[key])
    present = [cell for cell in column if not _is_missing(cell)]
    if not present:
        raise PackagingFailed(
            f"Column {name!r} of the example has only missing values, so its type is unknown.",
            hint="Add a row with a value in this column.",
        )
    found, whole = _common([_infer_cell(cell) for cell in present]), len(present) == len(column)
    # A whole number cannot be missing; beside gaps it is a float, as in pandas.
    return Field(name, Scalar.DOUBLE if found is Scalar.LONG and not whole else found, required=whole)


def _is_missing(cell: Any) -> bool:
    return cell is None or (isinstance(cell, (float, np.floating, datetime)) and bool(cell != cell))


def _infer_cell(cell: Any) -> Type:
    if isinstance(cell, (np.number, np.bool_)):
        cell = cell.item()
    for cls, scalar in _BY_CLASS:
        if isinstance(cell, cls):
            return scalar
    if isinstance(cell, dict) and all(isinstance(key, str) for key in cell):
        return ObjectOf(tuple(Property(key, _infer_cell(value)) for key, value in cell.items()))
    if isinstance(cell, np.ndarray):
        cell = cell.tolist()
    if isinstance(cell, (list, tuple)):
        return ArrayOf(_common([_infer_cell(item) for item in cell]) if len(cell) else AnyValue())
    if cell is None:
        return AnyValue()
    raise PackagingFailed(f"The example holds {shortened(cell)}, and no signature type covers it.")


def _common(types: list[Type]) -> Type:
    """One type for all: whole numbers among floats are floats, objects share what they all have, the rest is any."""
    distinct = list(dict.fromkeys(types))
    if len(distinct) == 1:
        return distinct[0]
    if set(distinct) == {Scalar.LONG, Scalar.DOUBLE}:
        return Scalar.DOUBLE
    objects = [t for t in distinct if isinstance(t, ObjectOf)]
    if len(objects) == len(distinct):
        return _common_object(objects)
    return AnyValue()


def _common_object(objects: list[ObjectOf]) -> ObjectOf:
    found: dict[str, list[Property]] = {}
    for one in objects:
        for prop in one.properties:
            found.setdefault(prop.name, []).append(prop)
    return ObjectOf(
        tuple(
            Property(
                name,
                _common([p.type for p in props]),
                required=len(props) == len(objects) and all(p.required for p in props),
            )
            for name, props in found.items()
        )
    )


def _infer_param(name: str, value: Any) -> Param:
    if isinstance(value, list):
        return Param(name, _common([_infer_cell(item) for item in value]) if value else Scalar.STRING, value, (-1,))
    return Param(name, _infer_cell(value), value)
