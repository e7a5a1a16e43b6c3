"""Payloads as a plan, which is JSON, and one body of raw bytes; and back, with every claim of the plan checked.

An array's bytes stand in the body as numpy has them, each at a multiple of 16, in the plan's order; the reader makes
arrays of the very bytes that arrived. Text, objects and pandas frames stand there as `json_values` writes them. Plans
repeat from request to request, so both sides keep those that they have seen.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any, Literal, TypeAlias

import numpy as np

from penstock.errors import AnswerUnserializable
from penstock.model_process.protocol.json_values import dtype_of, is_plain, pack, unpack
from penstock.payload import TEXT, Array, Name, Payload, Table, Tensors, Value, as_object_array

_ALIGNED = 16
_MAX_AXES = 64

Buffer: TypeAlias = bytes | bytearray | memoryview
Form: TypeAlias = Literal["raw", "text", "objects"]


@dataclass(frozen=True, slots=True)
class _Place:
    """One array of a plan: how it is written, as what, in which shape, in how many bytes."""

    form: Form
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    size: int


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a body holds. `arrays` in the order of their bytes; an index is the last of them."""

    kind: Literal["block", "columns", "tensors", "value", "frame"]
    names: tuple[Any, ...] | None
    indexed: bool
    arrays: tuple[_Place, ...]
    size: int


def encode(payload: Payload, *, question: bool = False) -> tuple[bytes, list[Buffer]]:
    """A payload as its plan and the pieces of its body, in order. Only a question may hold a frame. Raises
    AnswerUnserializable."""
    if isinstance(payload, Value):
        framed = question and _is_frame(payload.value)
        text = pack(_frame_parts(payload.value) if framed else payload.value)
        return _plan("frame" if framed else "value", None, False, (("objects", "", (), len(text)),)), [text]
    arrays: Sequence[Array]
    if isinstance(payload, Tensors):
        kind, arrays = "tensors", payload.arrays
    elif payload.block is not None:
        kind, arrays = "block", (payload.block,)
    else:
        kind, arrays = "columns", payload.columns or ()
    index = payload.index if isinstance(payload, Table) else None
    if index is not None:
        arrays = (*arrays, index)
    pieces: list[Buffer] = []
    places = []
    for array in arrays:
        place, data = _write(array)
        places.append(place)
        pieces.append(data)
        if gap := -place[3] % _ALIGNED:
            pieces.append(bytes(gap))
    return _plan(kind, payload.names, index is not None, tuple(places)), pieces


def _is_frame(value: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame)


_Written: TypeAlias = tuple[str, str, tuple[int, ...], int]


def _write(array: Array) -> tuple[_Written, Buffer]:
    if is_plain(array.dtype):
        if not array.size:
            return ("raw", array.dtype.str, array.shape, 0), b""
        contiguous = np.ascontiguousarray(array)
        return ("raw", array.dtype.str, array.shape, array.nbytes), contiguous.reshape(-1).view(np.uint8).data
    if array.dtype.kind == "f":  # of a width that only this machine knows
        return _write(array.astype(np.float64))
    form = "text" if array.dtype.kind == TEXT.kind else "objects"
    cells = array.astype(object).ravel().tolist()
    if form == "text":
        cells = [None if isinstance(cell, float) else cell for cell in cells]
    text = pack(cells)
    return (form, "", array.shape, len(text)), text


@lru_cache(maxsize=1024)
def _plan(kind: str, names: tuple[Name, ...] | None, indexed: bool, arrays: tuple[_Written, ...]) -> bytes:
    plan = {"kind": kind, "names": names, "indexed": indexed, "arrays": arrays}
    return json.dumps(plan, separators=(",", ":")).encode()


def decode(plan: bytes, body: bytearray, *, question: bool = False) -> Payload:
    """The payload of a plan and its body; arrays are views of it. Raises ValueError where the two do not agree, or an
    answer holds a frame."""
    read = _known_plan(plan) if len(plan) <= _KEPT_PLAN else _read_plan(plan)
    if read.size != len(body):
        raise ValueError(f"a body of {len(body):,} bytes where the plan has {read.size:,}")
    if read.kind == "block" and not read.indexed:  # what most requests are
        return Table(read.names, block=_read(read.arrays[0], body, 0))
    arrays = []
    position = 0
    for place in read.arrays:
        arrays.append(_read(place, body, position))
        position += place.size + -place.size % _ALIGNED
    match read.kind:
        case "value":
            return Value(arrays[0])
        case "frame":
            return Value(_frame(arrays[0]) if question else _refuse("a frame for an answer"))
        case "tensors":
            return Tensors(read.names, tuple(arrays))
    index = arrays.pop() if read.indexed else None
    if read.kind == "block":
        return Table(read.names, block=arrays[0], index=index)
    return Table(read.names, columns=tuple(arrays), index=index)


def _frame(parts: Any) -> Any:
    try:
        return _frame_of(parts)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"invalid frame: {error}") from None


def _read(place: _Place, body: bytearray, position: int) -> Any:
    if place.form == "raw":
        if not place.size:
            return np.empty(place.shape, dtype=place.dtype)
        count = place.size // place.dtype.itemsize
        return np.frombuffer(body, dtype=place.dtype, count=count, offset=position).reshape(place.shape)
    value = unpack(memoryview(body)[position : position + place.size])
    if place.shape == () and place.form == "objects" and place.dtype == _OPAQUE:
        return value
    if not isinstance(value, list) or len(value) != prod(place.shape):
        raise ValueError("a number of cells that differs from the plan")
    if place.form == "text":
        if not all(cell is None or type(cell) is str for cell in value):
            raise ValueError("a text column with other values")
        return np.array([np.nan if cell is None else cell for cell in value], dtype=TEXT).reshape(place.shape)
    return as_object_array(value).reshape(place.shape)


_OPAQUE = np.dtype(np.void)  # marks a value that is no array


def _read_plan(plan: bytes) -> _Plan:
    """Raises ValueError for a plan that no payload has."""
    try:
        found = json.loads(plan)
        kind, names, indexed, arrays = found["kind"], found["names"], found["indexed"], found["arrays"]
        places = tuple(_place(*array, opaque=kind in ("value", "frame")) for array in arrays)
    except (KeyError, TypeError, RecursionError, OverflowError) as error:
        raise ValueError(f"invalid payload plan: {type(error).__name__}: {error}") from None
    if names is not None:
        names = tuple(names) if isinstance(names, list) else _refuse("names that are not a list")
    _check(kind, names, indexed, places)
    # The last array of a body is followed by no gap only where it needs none, as everywhere.
    size = places[0].size if kind in ("value", "frame") else sum(p.size + -p.size % _ALIGNED for p in places)
    return _Plan(kind, names, indexed, places, size)


# What is kept of another process's plans is bounded.
_KEPT_PLAN = 8 * 1024
_known_plan = lru_cache(maxsize=1024)(_read_plan)


def _place(form: Any, dtype: Any, shape: Any, size: Any, *, opaque: bool) -> _Place:
    if not isinstance(shape, list) or len(shape) > _MAX_AXES or not all(_is_count(n) for n in (*shape, size)):
        _refuse(f"an array of shape {str(shape)[:80]}")
    if form == "raw":
        kind = dtype_of(dtype)
        if prod(shape) * kind.itemsize != size:
            _refuse("an array whose size does not match its shape")
    elif form in ("text", "objects"):
        kind = _OPAQUE if opaque else TEXT if form == "text" else np.dtype(object)
    else:
        _refuse(f"an array in the form {str(form)[:40]!r}")
    return _Place(form, kind, tuple(shape), size)


def _is_count(number: Any) -> bool:
    return type(number) is int and 0 <= number < 1 << 62


def _check(kind: Any, names: tuple[Any, ...] | None, indexed: Any, places: tuple[_Place, ...]) -> None:
    if kind in ("value", "frame"):
        if names is not None or indexed is not False or len(places) != 1 or places[0].form != "objects":
            _refuse("a value with parts of an array")
        return
    if kind not in ("tensors", "block", "columns") or type(indexed) is not bool or (indexed and kind == "tensors"):
        _refuse(f"a payload of kind {str(kind)[:40]!r}")
    own = places[:-1] if indexed else places
    if kind == "tensors":
        if names is None and len(own) != 1:
            _refuse("several arrays without names")
        if names is not None and (len(names) != len(own) or not all(type(n) is str for n in names)):
            _refuse("names that do not match the arrays")
        return
    if kind == "block" and (len(own) != 1 or len(own[0].shape) != 2):
        _refuse("a block that is not one two-dimensional array")
    if kind == "columns" and any(len(p.shape) != 1 for p in own):
        _refuse("a column that has several axes")
    if len({p.shape[0] for p in places}) > 1 or (indexed and len(places[-1].shape) != 1):
        _refuse("columns of different lengths")
    width = own[0].shape[1] if kind == "block" else len(own)
    if names is not None and (len(names) != width or not all(type(n) in (str, int) for n in names)):
        _refuse("names that do not match the columns")


def _refuse(why: str) -> Any:
    raise ValueError(why)


# -- pandas frames that no `Table` says exactly: odd row labels, names twice, extension types --------------------------
# Only questions hold them, from the gateway to a model: what a model answers with is never made into a frame.


def _frame_parts(frame: Any) -> dict[str, Any]:
    """A frame as plain values and arrays. Raises AnswerUnserializable for labels of several levels."""
    if frame.columns.nlevels > 1 or frame.index.nlevels > 1:
        raise AnswerUnserializable("A frame with multi-level labels cannot be sent to a model process.")
    return {
        "names": _labels(frame.columns),
        "index": _labels(frame.index),
        "columns": [_column(frame.iloc[:, i]) for i in range(frame.shape[1])],
    }


def _labels(labels: Any) -> Any:
    import pandas as pd

    if isinstance(labels, pd.RangeIndex):
        return [labels.start, labels.stop, labels.step]
    return {"name": labels.name, "values": _column(labels.to_series())}


def _column(series: Any) -> dict[str, Any]:
    dtype = series.dtype
    if isinstance(dtype, np.dtype) and (is_plain(dtype) or dtype.kind == "O"):
        return {"dtype": "", "cells": np.asarray(series)}
    if hasattr(dtype, "categories"):
        cells = np.asarray(series.cat.codes)
        return {
            "dtype": "category",
            "ordered": bool(dtype.ordered),
            "cells": cells,
            "categories": _column(dtype.categories.to_series()),
        }
    cells = series.astype(object).to_numpy(dtype=object)
    gone = series.isna().to_numpy(dtype=bool)
    cells = as_object_array([None if missing else cell for cell, missing in zip(cells, gone, strict=True)])
    return {"dtype": str(dtype), "cells": cells}


def _frame_of(parts: Any) -> Any:
    """The frame again. Raises ValueError, TypeError or KeyError for what `_frame_parts` never gives."""
    import pandas as pd

    index = _index(parts["index"])
    columns = [_series(part).set_axis(index) for part in parts["columns"]]
    frame = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=index)
    frame.columns = _index(parts["names"])
    return frame


def _index(part: Any) -> Any:
    import pandas as pd

    if isinstance(part, list):
        return pd.RangeIndex(*part)
    values = part["values"]
    series = _series(values)
    return pd.Index(series.array if values["dtype"] else series.to_numpy(), dtype=series.dtype, name=part["name"])


def _series(part: Any) -> Any:
    import pandas as pd

    cells, dtype = part["cells"], part["dtype"]
    if dtype == "category":
        categories = _index({"name": None, "values": part["categories"]})
        return pd.Series(pd.Categorical.from_codes(cells, categories, ordered=part["ordered"]))
    series = pd.Series(cells, dtype=cells.dtype)
    return series.astype(dtype) if dtype else series
