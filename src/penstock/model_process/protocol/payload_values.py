"""Payloads as a plan, which is JSON, and one body of raw bytes; and back, with every claim of the plan checked.

An array's bytes stand in the body as numpy has them, each at a multiple of 16, in the plan's order; the reader makes
arrays of the very bytes that arrived. Text, objects and pandas frames stand there as `json_values` writes them, long
columns in pieces: who reads many of them beside other work takes a rest after each. Plans repeat from request to
request, so both sides keep those that they have seen.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any, Literal, TypeAlias

import numpy as np

from penstock.model_process.protocol.json_values import dtype_of, is_plain, name_of, pack, packed, unpack
from penstock.model_process.protocol.payload_weight import LARGE, PIECE, light_pieces
from penstock.payload import TEXT, Array, Name, PackedValue, Payload, Table, Tensors, Value, as_object_array

_ALIGNED = 16
_MAX_AXES = 64


Buffer: TypeAlias = bytes | bytearray | memoryview
Form: TypeAlias = Literal["raw", "text", "objects"]


@dataclass(frozen=True, slots=True)
class _Place:
    """One array of a plan: how it is written, as what, in which shape, in how many bytes; and in the pieces of which
    sizes, where it is text or objects."""

    form: Form
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    size: int
    pieces: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a body holds. `arrays` in the order of their bytes; an index is the last of them."""

    kind: Literal["block", "columns", "tensors", "value", "frame"]
    names: tuple[Any, ...] | None
    indexed: bool
    arrays: tuple[_Place, ...]
    size: int


def encode(
    payload: Payload, *, question: bool = False, rest: Callable[[], object] | None = None
) -> tuple[bytes, list[Buffer]]:
    """A payload as its plan and the pieces of its body, in order. Only a question may hold a frame. `rest` is called
    after each piece of text or objects, which are no longer than what takes a millisecond where it is given. Raises
    AnswerUnserializable."""
    if isinstance(payload, PackedValue):
        kind = "frame" if payload.framed else "value"
        return _plan(kind, None, False, (("objects", "", (), len(payload.packed)),)), [payload.packed]
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
        place, data = _write(array, rest)
        places.append(place)
        pieces += data
        if gap := -place[3] % _ALIGNED:
            pieces.append(bytes(gap))
    return _plan(kind, payload.names, index is not None, tuple(places)), pieces


def _is_frame(value: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame)


_Written: TypeAlias = (
    tuple[str, str, tuple[int, ...], int] | tuple[str, str, tuple[int, ...], int, tuple[int, ...]]
)  # the last are the pieces, where there are several


def _write(array: Array, rest: Callable[[], object] | None) -> tuple[_Written, list[Buffer]]:
    if is_plain(array.dtype):
        if not array.size:
            return ("raw", name_of(array.dtype), array.shape, 0), []
        contiguous = np.ascontiguousarray(packed(array))
        data = contiguous.reshape(-1).view(np.uint8).data
        return ("raw", name_of(array.dtype), array.shape, len(data)), [data]
    if array.dtype.kind == "f":  # of a width that only this machine knows
        return _write(array.astype(np.float64), rest)
    form = "text" if array.dtype.kind == TEXT.kind else "objects"
    flat = array.ravel()
    texts: list[Buffer] = []
    for cells in (
        light_pieces(flat, form) if rest else (flat[at : at + PIECE] for at in range(0, max(len(flat), 1), PIECE))
    ):
        texts.append(_packed(cells, form))
        if rest:
            rest()
    if len(texts) == 1:
        return (form, "", array.shape, len(texts[0])), texts
    sizes = tuple(map(len, texts))
    return (form, "", array.shape, sum(sizes), sizes), texts


def _packed(cells: Array, form: str) -> bytes:
    items = cells.astype(object).tolist()
    if form == "text":
        items = [None if isinstance(item, float) else item for item in items]
    return pack(items)


@lru_cache(maxsize=1024)
def _plan(kind: str, names: tuple[Name, ...] | None, indexed: bool, arrays: tuple[_Written, ...]) -> bytes:
    plan = {"kind": kind, "names": names, "indexed": indexed, "arrays": arrays}
    return json.dumps(plan, separators=(",", ":")).encode()


def decode(
    plan: bytes,
    body: bytearray | memoryview,
    *,
    question: bool = False,
    packed: bool = False,
    rest: Callable[[], object] = lambda: None,
) -> Payload:
    """The payload of a plan and its body; arrays are views of it. `rest` is called after each piece of text or objects
    that was read; `packed` leaves a large value unread. Raises ValueError where the two do not agree, or an answer
    holds a frame."""
    read = _known_plan(plan) if len(plan) <= _KEPT_PLAN else _read_plan(plan)
    if read.size != len(body):
        raise ValueError(f"a body of {len(body):,} bytes where the plan has {read.size:,}")
    if packed and read.kind in ("value", "frame") and read.size > LARGE:
        if read.kind == "frame" and not question:
            _refuse("a frame for an answer")
        view, framed = memoryview(body)[: read.size], read.kind == "frame"
        return PackedValue(view, framed, (lambda text: _frame(unpack(text))) if framed else unpack)
    if read.kind == "block" and not read.indexed:  # what most requests are
        return Table(read.names, block=_read(read.arrays[0], body, 0, rest))
    arrays = []
    position = 0
    for place in read.arrays:
        arrays.append(_read(place, body, position, rest))
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


def _read(place: _Place, body: bytearray | memoryview, position: int, rest: Callable[[], object]) -> Any:
    if place.form == "raw":
        if not place.size:
            return np.empty(place.shape, dtype=place.dtype)
        count = place.size // place.dtype.itemsize
        return np.frombuffer(body, dtype=place.dtype, count=count, offset=position).reshape(place.shape)
    if place.dtype == _OPAQUE:
        return unpack(memoryview(body)[position : position + place.size])
    cells = np.empty(prod(place.shape), dtype=place.dtype)
    done = 0
    for items in _pieces(place, body, position):
        if not isinstance(items, list) or len(items) > len(cells) - done:
            raise ValueError("a number of cells that differs from the plan")
        if place.form == "text":
            if not all(item is None or type(item) is str for item in items):
                raise ValueError("a text column with other values")
            cells[done : done + len(items)] = np.array([np.nan if item is None else item for item in items], TEXT)
        else:
            cells[done : done + len(items)] = as_object_array(items)
        done += len(items)
        if place.pieces:
            rest()
    if done != len(cells):
        raise ValueError("a number of cells that differs from the plan")
    return cells.reshape(place.shape)


def _pieces(place: _Place, body: bytearray | memoryview, position: int) -> Iterator[Any]:
    for size in place.pieces or (place.size,):
        yield unpack(memoryview(body)[position : position + size])
        position += size


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


def _place(form: Any, dtype: Any, shape: Any, size: Any, pieces: Any = (), *, opaque: bool) -> _Place:
    if not isinstance(pieces, (list, tuple)) or not all(map(_is_count, pieces)) or (pieces and sum(pieces) != size):
        _refuse("an array whose pieces do not match its size")
    if not isinstance(shape, list) or len(shape) > _MAX_AXES or not all(_is_count(n) for n in (*shape, size)):
        _refuse(f"an array of shape {str(shape)[:80]}")
    if form == "raw":
        kind = dtype_of(dtype)
        if pieces:
            _refuse("numbers in pieces")
        if prod(shape) * kind.itemsize != size:
            _refuse("an array whose size does not match its shape")
    elif form in ("text", "objects"):
        kind = _OPAQUE if opaque else TEXT if form == "text" else np.dtype(object)
        if not opaque and prod(shape) > size:  # each cell has a byte at least
            _refuse("a number of cells that differs from the plan")
    else:
        _refuse(f"an array in the form {str(form)[:40]!r}")
    return _Place(form, kind, tuple(shape), size, tuple(pieces))


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
    """A frame as plain values and arrays."""
    return {
        "names": _labels(frame.columns),
        "index": _labels(frame.index),
        "columns": [_column(frame.iloc[:, i]) for i in range(frame.shape[1])],
    }


def _labels(labels: Any) -> Any:
    import pandas as pd

    if isinstance(labels, pd.RangeIndex) and labels.name is None:
        return [labels.start, labels.stop, labels.step]
    if labels.nlevels > 1:
        return {"levels": [_labels(labels.get_level_values(level)) for level in range(labels.nlevels)]}
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
    if dtype.kind == "O" and hasattr(dtype, "freq"):  # periods, as numpy would have them
        return {"dtype": str(dtype), "cells": np.asarray(series.array.asi8)}
    if hasattr(dtype, "closed"):
        ends = {side: _column(getattr(series.array, side).to_series()) for side in ("left", "right")}
        return {"dtype": "interval", "closed": dtype.closed, "cells": None, **ends}
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
    if "levels" in part:
        levels = [_index(level) for level in part["levels"]]
        return pd.MultiIndex.from_arrays(levels, names=[level.name for level in levels])
    values = part["values"]
    series = _series(values)
    return pd.Index(series.array if values["dtype"] else series.to_numpy(), dtype=series.dtype, name=part["name"])


def _series(part: Any) -> Any:
    import pandas as pd

    cells, dtype = part["cells"], part["dtype"]
    if dtype == "category":
        categories = _index({"name": None, "values": part["categories"]})
        return pd.Series(pd.Categorical.from_codes(cells, categories, ordered=part["ordered"]))
    if dtype.startswith("period["):
        return pd.Series(
            pd.arrays.PeriodArray(cells, dtype=pd.PeriodDtype(dtype.removeprefix("period[").removesuffix("]")))
        )
    if dtype == "interval":
        ends = [_index({"name": None, "values": part[side]}) for side in ("left", "right")]
        return pd.Series(pd.arrays.IntervalArray.from_arrays(*ends, closed=part["closed"]))
    series = pd.Series(cells, dtype=cells.dtype)
    return series.astype(dtype) if dtype else series
