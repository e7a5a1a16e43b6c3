"""Payloads of every kind, for property tests, and what makes two of them the same."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from penstock.payload import TEXT, Array, Payload, Table, Tensors, Value, as_object_array

_DTYPES = st.sampled_from(
    [
        *("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"),
        *(">i4", ">f8", "M8[ns]", "M8[D]", "M8[us]", "m8[s]", "S3", "U5"),
    ]
)
_ZONES = st.sampled_from([None, UTC, timezone(timedelta(hours=-3, minutes=-30))])

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
    | st.datetimes(timezones=_ZONES) | st.dates() | st.times() | st.timedeltas()
    | st.decimals(allow_nan=False) | st.uuids()
    | _DTYPES.flatmap(lambda name: npst.from_dtype(np.dtype(name)))
)  # fmt: skip

values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3) | st.just("$"), inner, max_size=4)
        | st.dictionaries(st.integers() | st.none() | st.booleans(), inner, max_size=3)
        | st.tuples(inner, inner)
    ),
    max_leaves=12,
)


def _raw(rows: int) -> st.SearchStrategy[Array]:
    return _DTYPES.flatmap(lambda name: npst.arrays(np.dtype(name), (rows,)))


def _text(rows: int) -> st.SearchStrategy[Array]:
    cell = st.text(st.characters(exclude_categories=["Cs"])) | st.just(math.nan)
    return st.lists(cell, min_size=rows, max_size=rows).map(lambda found: np.array(found, dtype=TEXT))


def _objects(rows: int) -> st.SearchStrategy[Array]:
    return st.lists(values, min_size=rows, max_size=rows).map(as_object_array)


_rows = st.integers(0, 5)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    rows = draw(_rows)
    index = draw(st.none() | _raw(rows) | _objects(rows))
    if draw(st.booleans()):
        block = draw(_DTYPES.flatmap(lambda d: npst.arrays(np.dtype(d), st.tuples(st.just(rows), st.integers(0, 4)))))
        if draw(st.booleans()):
            block = np.asfortranarray(block)
        width = block.shape[1]
        names = draw(st.none() | st.lists(st.text() | st.integers(), min_size=width, max_size=width))
        return Table(None if names is None else tuple(names), block=block, index=index)
    columns = draw(st.lists(_raw(rows) | _text(rows) | _objects(rows), max_size=4))
    width = len(columns)
    names = draw(st.none() | st.lists(st.text() | st.integers(), min_size=width, max_size=width))
    return Table(None if names is None else tuple(names), columns=tuple(columns), index=index)


_arrays = _DTYPES.flatmap(lambda d: npst.arrays(np.dtype(d), npst.array_shapes(min_dims=0, min_side=0, max_side=3)))


@st.composite
def tensors(draw: st.DrawFn) -> Tensors:
    if draw(st.booleans()):
        return Tensors.single(draw(_arrays | _objects(2)))
    return Tensors.named(draw(st.dictionaries(st.text(), _arrays | _rows.flatmap(_objects), max_size=3)))


payloads: st.SearchStrategy[Payload] = tables() | tensors() | values.map(Value)


def same(one: Any, two: Any) -> bool:
    """Whether two values are of one type and alike, NaN like NaN."""
    if type(one) is not type(two):
        return False
    if isinstance(one, np.ndarray):
        if one.dtype != two.dtype or one.shape != two.shape:
            return False
        return all(same(a, b) for a, b in zip(one.ravel(), two.ravel(), strict=True))
    if isinstance(one, (list, tuple)):
        return len(one) == len(two) and all(same(a, b) for a, b in zip(one, two, strict=True))
    if isinstance(one, dict):
        return list(one) == list(two) and all(same(one[key], two[key]) for key in one)
    if isinstance(one, np.generic):
        return bool(one.dtype == two.dtype and one.tobytes() == two.tobytes())
    if isinstance(one, float):
        return (one == two and math.copysign(1, one) == math.copysign(1, two)) or (one != one and two != two)
    assert isinstance(one, str | bytes | int | None | datetime | date | time | timedelta | Decimal | UUID), one
    return bool(one == two)


def same_payload(one: Payload, two: Payload) -> bool:
    if type(one) is not type(two):
        return False
    if isinstance(one, Value) and isinstance(two, Value):
        return same(one.value, two.value)
    if isinstance(one, Tensors) and isinstance(two, Tensors):
        return one.names == two.names and same(one.arrays, two.arrays)
    assert isinstance(one, Table)
    assert isinstance(two, Table)
    return (
        same(one.names, two.names) and same(one.index, two.index) and same(one.block, two.block)
        and same(one.columns, two.columns)
    )  # fmt: skip
