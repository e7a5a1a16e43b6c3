"""The columns of data as MLflow's schemas describe them."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

_OF_CELLS = (
    (str, "string"),
    (bytes, "binary"),
    (bool, "boolean"),
    (datetime.date, "datetime"),
)


def schema_of_frame(frame: Any) -> str | None:
    """Of a DataFrame; None where a column holds what has no type there, as texts and numbers mixed."""
    columns = []
    for name, column in frame.items():
        kind = _kind_of(column)
        if kind is None or not isinstance(name, (str, int)):
            return None
        columns.append({"type": kind, "name": name, "required": not bool(column.isna().any())})
    return json.dumps({"mlflow_colspec": columns})


def schema_of_arrays(features: Any, targets: Any = None) -> str | None:
    """Of arrays, or dicts of them; None for an array without dimensions."""
    try:
        described = [None if given is None else json.dumps(_tensors(given)) for given in (features, targets)]
    except ValueError:
        return None
    return json.dumps({"mlflow_tensorspec": dict(zip(("features", "targets"), described))})


def _kind_of(column: Any) -> str | None:
    kind, size = getattr(column.dtype, "kind", "O"), getattr(column.dtype, "itemsize", 8)
    if str(column.dtype) == "category":
        return _of_cells(column.cat.categories) if column.cat.categories.dtype.kind == "O" else None
    if kind in "iuf":
        size = getattr(getattr(column.dtype, "numpy_dtype", column.dtype), "itemsize", size)
    if kind == "i":
        return "integer" if size <= 4 else "long"
    if kind == "u":
        return {1: "integer", 2: "integer", 4: "long"}.get(size)
    if kind == "f":
        return "float" if size <= 4 else "double"
    return {"b": "boolean", "M": "datetime"}.get(kind) or (_of_cells(column.dropna()) if kind == "O" else None)


def _of_cells(cells: Iterable[Any]) -> str | None:
    kinds = {next((kind for of, kind in _OF_CELLS if isinstance(cell, of)), None) for cell in cells}
    return "any" if not kinds else kinds.pop() if len(kinds) == 1 else None


def _tensors(given: Any) -> list[dict[str, Any]]:
    if isinstance(given, Mapping):
        return [{"name": name, **_tensor(array)} for name, array in given.items()]
    return [_tensor(given)]


def _tensor(array: Any) -> dict[str, Any]:
    """The first axis is the rows, of which there may be any number."""
    array = import_module("numpy").asarray(array)
    if not array.ndim:
        raise ValueError("an array without dimensions")
    named = {"U": "str", "S": "bytes"}.get(array.dtype.kind, array.dtype.name)
    return {"type": "tensor", "tensor-spec": {"dtype": named, "shape": [-1, *array.shape[1:]]}}
