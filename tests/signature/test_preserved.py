"""Properties of casts: a cell is refused, or says afterwards what it said before, and its neighbours do not matter."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.payload import as_object_array
from penstock.signature.casts import Casting, cast
from penstock.signature.cell_texts import MISSING_WORDS
from penstock.signature.types import Scalar
from penstock.wire.json_rows import column_of

FRAME, TENSOR = Casting.FRAME, Casting.TENSOR
JSON = (FRAME, TENSOR)
ALL = tuple(Casting)
B, I, L, F, D, S, BIN = (  # noqa: E741
    Scalar.BOOLEAN,
    Scalar.INTEGER,
    Scalar.LONG,
    Scalar.FLOAT,
    Scalar.DOUBLE,
    Scalar.STRING,
    Scalar.BINARY,
)

# Anything JSON can hold in a cell.
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64)
    | st.sampled_from([2**31, 2**31 - 1, -(2**31) - 1, 2**53 + 1, 2**63, 2**63 - 1, -(2**63)])
    | st.floats()
    | st.floats(width=32)
    | st.text(max_size=6)
    | st.integers().map(str)
    | st.floats().map(repr)
    | st.sampled_from(["true", "False", "1e400", "1_0", "", "NA", "nan", "2026-01-02", "1600-01-01", "YWI=", "NaT"])
)
json_cells = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)
like_columns = st.sampled_from([st.floats(), st.integers(), st.booleans(), st.text(max_size=4), scalars, json_cells])


def preserved(type_: Scalar, cell: Any, got: Any, casting: Casting) -> bool:
    """Whether the cast cell says what the cell said."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return got is None or bool(got != got)
    if type_ in (F, D):
        number = float(cell)
        if math.isnan(number):
            return math.isnan(got)
        if math.isinf(number):
            return got == number and (isinstance(cell, float) or "inf" in str(cell))
        return bool(got == (np.float32(number) if type_ is F else number))
    if type_ in (I, L):
        exact = int(cell) if isinstance(cell, str) else cell
        return bool(got == exact) and isinstance(got, (np.integer, int))
    if type_ is B:
        words = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}
        return bool(got) is (words[cell.strip().lower()] if isinstance(cell, str) else bool(cell)) and cell in (
            0,
            1,
            cell if isinstance(cell, str) else 0,
        )
    if type_ is S:
        return bool(got == cell if casting is FRAME else got == str(cell))
    if type_ is BIN:
        return isinstance(got, bytes) or got == cell
    if np.isnat(got):
        return cell == "NaT" or cell in MISSING_WORDS
    return isinstance(cell, str) and str(got)[:4] == cell.strip()[:4]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(list(Scalar)), st.sampled_from(JSON), like_columns.flatmap(lambda c: st.lists(c, max_size=6)))
@example(D, FRAME, [2**53 + 1, 0.5])
@example(L, FRAME, [2**53 + 1, 2.0])
@example(F, TENSOR, ["1e39", 1.0])
def test_a_cast_reports_a_misfit_or_preserves_every_value(type_: Scalar, casting: Casting, cells: list[Any]) -> None:
    for column in (as_object_array(cells), column_of(cells, known=True)):
        result = cast(column, type_, casting)
        if result.misfits:
            assert all(0 <= row < len(cells) and why for row, why in result.misfits)
            continue
        assert len(result.column) == len(cells)
        for cell, got in zip(cells, result.column, strict=True):
            assert preserved(type_, cell, got, casting), (cell, got)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(list(Scalar)), st.sampled_from(ALL), st.lists(json_cells, max_size=5))
def test_the_rows_that_misfit_alone_are_those_that_misfit_together(
    type_: Scalar, casting: Casting, cells: list[Any]
) -> None:
    together = {row for row, _ in cast(as_object_array(cells), type_, casting).misfits}
    apart = {row for row, cell in enumerate(cells) if cast(as_object_array([cell]), type_, casting).misfits}
    assert together == apart
