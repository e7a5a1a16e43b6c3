"""The second stage for signatures of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.errors import SchemaViolation
from penstock.payload import Array, Violation, shortened, some
from penstock.signature import Misfit, TensorField
from penstock.signature.schema import dtype_name
from penstock.wire.mlflow.frames.faults import array_fault
from penstock.wire.mlflow.frames.frame_payloads import is_frame


def enforce_tensors(data: Any, schema: tuple[TensorField, ...]) -> Any:
    """One array, or a dict of them, as the schema says. Raises Misfit, and what numpy and pandas raise."""
    if schema[0].name is None:
        if is_frame(data):
            return _of_frame(data, schema[0])
        if isinstance(data, np.ndarray):
            return _checked(data, schema[0])
        if data == []:  # a list of nothing is one of no objects
            raise Misfit("the input has no rows")
        names = f"named ones ({some(data)})" if isinstance(data, dict) and data else shortened(data)
        raise Misfit(f"the model takes one array without a name, not {names}")
    data = _by_name(data, schema)
    if is_frame(data):
        return {f.name: _of_column(data[f.name], f) for f in schema}
    for field in schema:
        if not isinstance(data[field.name], np.ndarray):
            raise Misfit(f"the model takes an array for {field.name!r}, not {shortened(data[field.name])}")
    return {f.name: _checked(data[f.name], f) for f in schema}


def _by_name(data: Any, schema: tuple[TensorField, ...]) -> Any:
    if len(schema) == 1 and isinstance(data, np.ndarray):
        return {schema[0].name: data}
    if not isinstance(data, dict) and not is_frame(data):
        raise Misfit(f"the model takes named arrays, not {shortened(data)}")
    if missing := [f.name for f in schema if f.name not in data]:
        raise Misfit(f"missing arrays: {', '.join(map(shortened, missing))}")
    return data


def _of_frame(frame: Any, field: TensorField) -> Array:
    width = len(frame.columns)
    if frame.empty:
        raise Misfit("the input has no rows")
    if width == 1:
        return _of_column(frame[frame.columns[0]], field)
    if field.shape != (-1, width):
        raise Misfit(f"the model takes shape {list(field.shape)}, but the input has {width} columns")
    return _checked(frame.to_numpy(), field)


def _of_column(values: Any, field: TensorField) -> Array:
    """A frame's column as an array. Raises Misfit, and SchemaViolation with the rows that numpy refuses."""
    try:
        return _reshaped(values, field)
    except (Misfit, MemoryError):
        raise
    except Exception:
        row, why = array_fault(values.tolist(), field.dtype)
        raise SchemaViolation([Violation(why, row, field.name)]) from None


def _reshaped(values: Any, field: TensorField) -> Array:
    """Numbers, lists of numbers or arrays, row by row."""
    shape, dtype = field.shape, field.dtype
    if shape[:1] != (-1,) or -1 in shape[1:]:
        raise Misfit(f"columns of a frame cannot fill the shape {list(shape)}; send arrays")
    first = values.iloc[0]
    if np.isscalar(first):
        if shape not in ((-1,), (-1, 1)):
            raise Misfit(f"single values cannot fill the shape {list(shape)}")
        return _checked(np.array(values, dtype=dtype).reshape(shape), field)
    if isinstance(first, list) and np.isscalar(first[0]):
        array = np.vstack(values.tolist()).reshape(shape).astype(dtype)
    elif isinstance(first, np.ndarray):
        array = np.vstack(values.tolist()).reshape(shape)
    else:
        raise Misfit(f"{shortened(first)} is neither a value, a flat list nor an array")
    if len(array) != len(values):
        raise Misfit(f"each row must have the shape {list(shape[1:])}")
    return array


def _checked(array: Array, field: TensorField) -> Array:
    shape = field.shape
    if field.dtype.kind == "O" and shape == (-1,):
        return array  # ragged arrays, whatever is in them
    if len(shape) > 1 and -1 in shape[1:] and array.ndim == 1 and array.dtype == object:
        return array
    if array.ndim != len(shape) or any(w not in (-1, n) for w, n in zip(shape, array.shape, strict=True)):
        raise Misfit(f"the model takes shape {list(shape)}, but the input has {list(array.shape)}")
    same = array.dtype.kind == field.dtype.kind if field.dtype.kind in "US" else array.dtype == field.dtype
    if not same:
        raise Misfit(f"the model takes {dtype_name(field.dtype)}, but the input is {dtype_name(array.dtype)}")
    return array
