"""Dates and times in frames and in nested values, read by the rule of every road (`penstock.signature.moments`) before
pandas or numpy have a look at them: those would take a number for nanoseconds, 03.04.2021 for the fourth of March, and
"now" for the present.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.payload import MAX_VIOLATIONS, Array, Name, Violation, as_object_array
from penstock.signature import ArrayOf, Field, MapOf, ObjectOf, Scalar, Schema, TensorField, Type
from penstock.signature.casts import cast_moments
from penstock.signature.moments import read_moment


def is_moments(field: object) -> bool:
    """Whether a field of a signature is one column of datetimes."""
    return isinstance(field, Field) and field.type is Scalar.DATETIME


def read_series(values: Any, field: Field, label: Name, *, at_parse: bool) -> tuple[Any, list[Violation]]:
    """A pandas.Series as datetimes, and the cells that are none; with those it is not to be used."""
    found = cast_moments(_cells(values), field.epoch, MAX_VIOLATIONS)
    if found.misfits:
        return values, [Violation(why, row, label, at_parse=at_parse) for row, why in found.misfits]
    return type(values)(found.column, index=values.index, name=values.name), []


def _cells(values: Any) -> Array:
    """What stands in a series; moments with a zone are those of UTC."""
    kind = getattr(values.dtype, "kind", "O")
    if kind == "M":
        moments: Array = (
            values if values.dt.tz is None else values.dt.tz_convert("UTC").dt.tz_localize(None)
        ).to_numpy()
        return moments
    plain = isinstance(values.dtype, np.dtype) and kind in "iuf"
    return values.to_numpy() if plain else as_object_array(values.tolist())


def read_typed(frame: Any, schema: Schema) -> tuple[Any, list[Violation]]:
    """A frame of cells that have types already: its columns of datetimes, whatever they hold. Those of moments without
    a zone are left to the second stage, which only widens them."""
    violations: list[Violation] = []
    known = set(frame.columns)
    fields: tuple[Field | TensorField, ...] = schema
    for position, field in enumerate(fields):
        label: Any = field.name
        if label is None and position < len(frame.columns):
            label = frame.columns[position]
        if not isinstance(field, Field) or not is_moments(field) or label not in known:
            continue
        values = frame[label]
        if values.ndim == 1 and not isinstance(values.dtype, np.dtypes.DateTime64DType):
            frame[label], misfits = read_series(values, field, label, at_parse=False)
            violations += misfits
    return frame, violations


def has_moments(type_: Type) -> bool:
    """Whether there are datetimes somewhere inside."""
    match type_:
        case ArrayOf(inner) | MapOf(inner):
            return inner is Scalar.DATETIME or has_moments(inner)
        case ObjectOf(properties):
            return any(p.type is Scalar.DATETIME or has_moments(p.type) for p in properties)
    return False


def with_moments(value: Any, type_: Type) -> Any:
    """A nested value with its texts as datetimes, where the type says that they are. Raises Misfit."""
    match type_:
        case Scalar.DATETIME if isinstance(value, str):
            return read_moment(value)
        case ArrayOf(inner) if isinstance(value, list):
            return [with_moments(item, inner) for item in value]
        case MapOf(inner) if isinstance(value, dict):
            return {key: with_moments(item, inner) for key, item in value.items()}
        case ObjectOf(properties) if isinstance(value, dict):
            types = {p.name: p.type for p in properties}
            return {key: with_moments(item, types[key]) if key in types else item for key, item in value.items()}
    return value
