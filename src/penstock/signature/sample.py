"""A request made up from a signature: one row of values that fit, for pages and documents where no example was kept."""

from __future__ import annotations

from collections.abc import Iterable
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


# Inside lists and objects MLflow's enforcement knows neither base64 nor ISO 8601 text, and narrows no number; pydantic,
# which checks the objects of a type hint, is as strict with texts. No JSON fits those.
_UNSENDABLE = frozenset({Scalar.BINARY, Scalar.DATETIME, Scalar.INTEGER, Scalar.FLOAT})
_UNSENDABLE_TO_PYDANTIC = frozenset({Scalar.BINARY, Scalar.DATETIME})


class _NoJson(Exception):
    """No JSON fits this type where it stands."""


def sample_request(signature: Signature) -> dict[str, Any] | None:
    """A body in one of MLflow's envelopes; None where the signature says nothing of the inputs, or no JSON fits them.
    What is optional and cannot be sent is left out."""
    schema = signature.inputs
    if not schema:
        return None
    fields = [field for field in schema if isinstance(field, Field)]
    if not fields:
        return {"inputs": _arrays(schema)}
    try:
        return {"inputs": [_hinted(fields)]} if signature.hinted else {"dataframe_split": _table(fields)}
    except _NoJson:
        return None


def _hinted(fields: list[Field]) -> Any:
    """One item of the list that a type hint asks for: an object where its fields have names."""
    names = names_of(fields)
    if names is None:
        return _cell(fields[0].type, frozenset(), _UNSENDABLE_TO_PYDANTIC)
    return _object([(str(f.name), f.type, f.required) for f in fields], _UNSENDABLE_TO_PYDANTIC)


def _table(fields: list[Field]) -> dict[str, Any]:
    names = names_of(fields)
    columns, row = [], []
    for field in fields:
        try:
            cell = _cell(field.type, _UNSENDABLE, _UNSENDABLE)
        except _NoJson:
            if field.required or names is None:
                raise
            continue
        columns.append(field.name)
        row.append(cell)
    return {"data": [row]} if names is None else {"columns": columns, "data": [row]}


def _object(properties: Iterable[tuple[str, Type, bool]], unsendable: frozenset[Scalar]) -> dict[str, Any]:
    """Raises _NoJson."""
    found = {}
    for name, type_, required in properties:
        try:
            if type_ in unsendable:
                raise _NoJson
            found[name] = _cell(type_, unsendable, unsendable)
        except _NoJson:
            if required:
                raise
    return found


def _cell(type_: Type, in_lists: frozenset[Scalar], in_objects: frozenset[Scalar]) -> Any:
    """A value, which inside lists and objects must not be of these types. Raises _NoJson."""
    match type_:
        case Scalar():
            return _CELLS[type_]
        case ArrayOf(inner) | MapOf(inner):
            if inner in in_lists:
                raise _NoJson
            cell = _cell(inner, in_lists, in_objects)
            return [cell] if isinstance(type_, ArrayOf) else {"key": cell}
        case ObjectOf(properties):
            return _object(((p.name, p.type, p.required) for p in properties), in_objects)
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
