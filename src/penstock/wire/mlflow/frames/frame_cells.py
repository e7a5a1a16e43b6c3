"""Single values against a column's type, as the second stage sees them: lists, objects, maps and what is in them.

Every function gives the value as the model gets it, and raises Misfit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from penstock.payload import shortened
from penstock.signature import AnyValue, ArrayOf, MapOf, Misfit, ObjectOf, Scalar, Type
from penstock.wire.mlflow.frames.dtypes import numpy_type
from penstock.wire.mlflow.frames.frame_columns import enforce_column
from penstock.wire.mlflow.frames.quick_cells import UNSETTLED, quick_cell, quick_list


def enforce_cell(value: Any, type_: Type, *, required: bool = True) -> Any:
    """One value as `type_`; missing ones pass where it is not required."""
    match type_:
        case Scalar():
            return _scalar(value, type_, required)
        case ArrayOf():
            return _array(value, type_, required)
        case ObjectOf():
            return _object(value, type_, required)
        case MapOf():
            return _map(value, type_, required)
        case AnyValue():
            return value


def _scalar(value: Any, type_: Scalar, required: bool) -> Any:
    import pandas as pd

    if not required and (value is None or (isinstance(value, float) and np.isnan(value))):
        return None
    if not np.isscalar(value):
        raise Misfit(f"{shortened(value)} is not {type_}")
    try:
        if (found := quick_cell(value, type_)) is not UNSETTLED:
            return found
        return enforce_column(pd.Series(value), type_)[0]
    except Misfit:
        raise Misfit(f"{shortened(value)} is not {type_}") from None


def _array(value: Any, type_: ArrayOf, required: bool) -> Any:
    import pandas as pd

    listed = isinstance(value, (list, np.ndarray))
    if (not required or isinstance(type_.items, AnyValue)) and (value is None or (listed and len(value) == 0)):
        return value
    if not listed:
        raise Misfit(f"{shortened(value)} is not a list")
    items = type_.items
    if not isinstance(items, Scalar):
        found: Any = [enforce_cell(item, items, required=required) for item in value]
        return np.array(found) if isinstance(value, np.ndarray) else found
    if not len(value):
        return value
    try:
        if isinstance(value, list) and (quick := quick_list(value, items)) is not UNSETTLED:
            return quick
        array = enforce_column(pd.Series(value), items).to_numpy(dtype=numpy_type(items))
    except Misfit:
        raise Misfit(f"{shortened(value)} is not {type_}") from None
    if isinstance(value, np.ndarray):
        return array
    return pd.Series(array).tolist() if items is Scalar.DATETIME else array.tolist()


def _object(value: Any, type_: ObjectOf, required: bool) -> Any:
    if not required and (value is None or value == {}):
        return value
    if not isinstance(value, dict):
        raise Misfit(f"{shortened(value)} is not an object")
    properties = {p.name: p for p in type_.properties}
    if missing := [p.name for p in type_.properties if p.required and p.name not in value]:
        raise Misfit(f"the object lacks {', '.join(map(repr, missing))}")
    if unknown := [key for key in value if key not in properties]:
        raise Misfit(f"the object has unknown keys {', '.join(map(shortened, unknown[:5]))}")
    return {
        key: _keyed(key, item, properties[key].type, required=properties[key].required) for key, item in value.items()
    }


def _map(value: Any, type_: MapOf, required: bool) -> Any:
    if (not required or isinstance(type_.values, AnyValue)) and (value is None or value == {}):
        return value
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise Misfit(f"{shortened(value)} is not an object")
    return {key: _keyed(key, item, type_.values, required=required) for key, item in value.items()}


def _keyed(key: str, value: Any, type_: Type, *, required: bool) -> Any:
    try:
        return enforce_cell(value, type_, required=required)
    except Misfit as misfit:
        raise Misfit(f"key {shortened(key)}: {misfit}") from None
