"""A request made up from a signature: one row of values that fit, for pages and documents where no example was kept."""

from __future__ import annotations

from typing import Any

from penstock.signature.schema import Field, Schema, Signature, TensorField, names_of
from penstock.signature.types import AnyValue, ArrayOf, MapOf, ObjectOf, Scalar, Type

_CELLS: dict[Scalar, Any] = {
    Scalar.BOOLEAN: True,
    Scalar.INTEGER: 1,
    Scalar.LONG: 1,
    Scalar.FLOAT: 0.5,
    Scalar.DOUBLE: 0.5,
    Scalar.STRING: "text",
    Scalar.BINARY: "AA==",
    Scalar.DATETIME: "2024-01-31T12:00:00",
}


def sample_request(signature: Signature) -> dict[str, Any] | None:
    """A body in one of MLflow's envelopes; None where the signature says nothing of the inputs."""
    schema = signature.inputs
    if not schema:
        return None
    fields = [field for field in schema if isinstance(field, Field)]
    if not fields:
        return {"inputs": _arrays(schema)}
    row = [_cell(field.type) for field in fields]
    if signature.hinted:
        return {"inputs": row if len(row) == 1 else [dict(zip(names_of(fields) or (), row, strict=False))]}
    names = names_of(fields)
    columns = {} if names is None else {"columns": list(names)}
    return {"dataframe_split": {**columns, "data": [row]}}


def _cell(type_: Type) -> Any:
    match type_:
        case Scalar():
            return _CELLS[type_]
        case ArrayOf(items):
            return [_cell(items)]
        case ObjectOf(properties):
            return {p.name: _cell(p.type) for p in properties}
        case MapOf(values):
            return {"key": _cell(values)}
        case AnyValue():
            return "text"


def _arrays(schema: Schema) -> Any:
    arrays = [_nested(f.shape, _item(f)) for f in schema if isinstance(f, TensorField)]
    return arrays[0] if schema[0].name is None else dict(zip((f.name for f in schema), arrays, strict=True))


def _item(field: TensorField) -> Any:
    return {"b": True, "i": 1, "u": 1, "f": 0.5, "M": "2024-01-31T12:00:00"}.get(field.dtype.kind, "text")


def _nested(shape: tuple[int, ...], item: Any) -> Any:
    """Lists of this shape, with one item where any number will do."""
    if not shape:
        return item
    return [_nested(shape[1:], item) for _ in range(1 if shape[0] == -1 else shape[0])]
