"""Every scalar type from every kind of source: what fits, what is refused, and that nothing changes on the way.

The refusals are those of the table "where Penstock differs on purpose" (wrapped integers, truncated floats, "false"
read as true …); the rest is as MLflow casts.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from penstock.payload import as_object_array
from penstock.signature.casts import Casting, cast
from penstock.signature.types import Scalar, Type

FRAME, TENSOR, TEXT, TYPED = Casting.FRAME, Casting.TENSOR, Casting.TEXT, Casting.TYPED
JSON = (FRAME, TENSOR)
PARSED = (FRAME, TENSOR, TEXT)
ALL = tuple(Casting)
B, I, L, F, D, S, BIN, T = (  # noqa: E741
    Scalar.BOOLEAN,
    Scalar.INTEGER,
    Scalar.LONG,
    Scalar.FLOAT,
    Scalar.DOUBLE,
    Scalar.STRING,
    Scalar.BINARY,
    Scalar.DATETIME,
)
NAN = float("nan")
INF = float("inf")
NAT = np.datetime64("NaT", "ns")


def moment(text: str) -> np.datetime64:
    return np.datetime64(text, "ns")


def read(cell: Any, type_: Type, casting: Casting) -> Any:
    """One cell in an object column; raises ValueError with the reason of a misfit."""
    result = cast(as_object_array([cell]), type_, casting)
    if result.misfits:
        assert [row for row, _ in result.misfits] == [0]
        raise ValueError(result.misfits[0][1])
    assert len(result.column) == 1
    value = result.column[0]
    return value.item() if isinstance(value, (np.bool_, np.integer, np.floating)) else value


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    if isinstance(one, np.datetime64) and np.isnat(one):
        return isinstance(other, np.datetime64) and bool(np.isnat(other))
    return type(one) is type(other) and bool(one == other)


FITS: list[tuple[Scalar, tuple[Casting, ...], Any, Any]] = [
    # booleans
    (B, ALL, True, True),
    (B, ALL, False, False),
    (B, ALL, None, None),
    (B, PARSED, "true", True),
    (B, PARSED, "False", False),
    (B, PARSED, " FALSE ", False),
    (B, PARSED, "0", False),
    (B, PARSED, "1", True),
    (B, PARSED, "0.0", False),
    (B, (TEXT,), "1e0", True),
    (B, PARSED, 0, False),
    (B, PARSED, 1.0, True),
    # whole numbers
    *((t, ALL, 7, 7) for t in (I, L)),
    *((t, ALL, -7.0, -7) for t in (I, L)),
    *((t, PARSED, "7", 7) for t in (I, L)),
    *((t, PARSED, " -7 ", -7) for t in (I, L)),
    *((t, (TEXT,), cell, 7) for t in (I, L) for cell in ("7.0", "7.", "+7", "70e-1", " 0.7E1 ", "007")),
    (L, (TEXT,), "9007199254740993.0", 9007199254740993),  # which no float is
    *((t, PARSED, True, 1) for t in (I, L)),
    *((t, JSON, "1_000", 1000) for t in (I, L)),  # as Python, and so MLflow, reads it
    (I, ALL, 2**31 - 1, 2**31 - 1),
    (I, ALL, -(2**31), -(2**31)),
    (L, ALL, 2**63 - 1, 2**63 - 1),
    (L, ALL, -(2**63), -(2**63)),
    (L, PARSED, str(2**63 - 1), 2**63 - 1),
    (L, ALL, 2**53 + 1, 2**53 + 1),
    (L, ALL, float(2**62), 2**62),
    # floats
    *((t, ALL, 1.5, 1.5) for t in (F, D)),
    *((t, ALL, 3, 3.0) for t in (F, D)),
    *((t, PARSED, True, 1.0) for t in (F, D)),
    *((t, ALL, None, NAN) for t in (F, D)),
    *((t, ALL, NAN, NAN) for t in (F, D)),
    *((t, ALL, INF, INF) for t in (F, D)),
    *((t, PARSED, "1.5", 1.5) for t in (F, D)),
    *((t, PARSED, "-inf", -INF) for t in (F, D)),
    *((t, PARSED, " 1e3 ", 1000.0) for t in (F, D)),
    *((t, PARSED, "nan", NAN) for t in (F, D)),
    *((t, (TYPED,), Decimal("0.5"), 0.5) for t in (F, D)),
    (D, ALL, 1e300, 1e300),
    (F, ALL, 0.1, float(np.float32(0.1))),
    # text
    (S, ALL, "abc", "abc"),
    (S, ALL, "é\n\x00", "é\n\x00"),
    (S, ALL, None, None),
    (S, ALL, NAN, None),
    (S, (FRAME,), 5, 5),  # MLflow leaves a number in a frame as it is …
    (S, (FRAME,), 1.5, 1.5),
    (S, (TENSOR,), 5, "5"),  # … and makes text of one in an array
    (S, (TENSOR,), 1.5, "1.5"),
    (S, (FRAME, TENSOR, TYPED), "", ""),
    (S, (FRAME, TENSOR, TYPED), "NA", "NA"),  # only CSV has words for nothing
    (S, (TEXT,), "NA", None),
    (S, (TEXT,), "", None),
    # bytes
    (BIN, ALL, b"ab", b"ab"),
    (BIN, (FRAME, TEXT), "YWI=", b"ab"),
    (BIN, (FRAME, TEXT), "YW\nI=\n", b"ab"),  # as MLflow writes it
    (BIN, (TENSOR,), "YWI=", "YWI="),  # MLflow does not decode under inputs
    # moments
    (T, ALL, None, NAT),
    (T, ALL, NAN, NAT),
    (T, ALL, "2026-01-02T03:04:05", moment("2026-01-02T03:04:05")),
    (T, ALL, "2026-01-02 03:04", moment("2026-01-02T03:04")),
    (T, ALL, "2026-01-02", moment("2026-01-02")),
    (T, ALL, "20260102", moment("2026-01-02")),
    (T, ALL, "2026-01-02T03:04:05.123456789", moment("2026-01-02T03:04:05.123456789")),
    (T, ALL, "2026-01-02T03:04:05.1234567", moment("2026-01-02T03:04:05.123456700")),
    (T, ALL, "1677-09-22", moment("1677-09-22")),
    (T, ALL, "2262-04-11", moment("2262-04-11")),
    (T, ALL, "NaT", NAT),  # what our answers, like MLflow's, write for a missing one
    (T, ALL, datetime(2026, 1, 2, 3, 4, 5, 6), moment("2026-01-02T03:04:05.000006")),
    (T, ALL, date(2026, 1, 2), moment("2026-01-02")),
    (T, ALL, np.datetime64("2026-01-02", "D"), moment("2026-01-02")),
    (T, ALL, "2026-01-02T03:04:05Z", moment("2026-01-02T03:04:05")),
    (T, ALL, "2026-01-02T03:04:05.000000007+01:00", moment("2026-01-02T02:04:05.000000007")),
    (T, ALL, datetime(2026, 1, 2, tzinfo=UTC), moment("2026-01-02")),
    # the words for nothing
    *((t, (TEXT,), word, NAN) for t in (F, D) for word in ("", "NA", "null", "None", "NaN", "<NA>")),
    *((B, (TEXT,), word, None) for word in ("", "NA", "null")),
    *((T, ALL, word, NAT) for word in ("", "NA", "null")),
]

REFUSED: list[tuple[Scalar, tuple[Casting, ...], Any, str]] = [
    (B, ALL, "yes", "not a boolean"),
    (B, ALL, 2, "not a boolean"),
    (B, ALL, 0.5, "not a boolean"),
    (B, ALL, [], "not a boolean"),
    (B, (TYPED,), "true", "not a boolean"),
    (B, (TYPED,), 1, "not a boolean"),
    *((t, ALL, None, "missing value") for t in (I, L)),
    *((t, ALL, NAN, "missing value") for t in (I, L)),
    *((t, ALL, INF, "whole number") for t in (I, L)),
    *((t, ALL, 1.9, "whole number") for t in (I, L)),
    *((t, ALL, "7.5", "whole number") for t in (I, L)),
    *((t, (FRAME, TENSOR, TYPED), "7.0", "whole number") for t in (I, L)),
    *((t, (TEXT,), cell, "whole number") for t in (I, L) for cell in ("1e-3", "inf", "7.0.0", "\u0667", "NAN")),
    *((t, (TEXT,), "1e30", "out of range") for t in (I, L)),
    *((t, (TEXT,), "1e999999999", "whole number") for t in (I, L)),
    *((t, ALL, "x", "whole number") for t in (I, L)),
    *((t, ALL, [1], "whole number") for t in (I, L)),
    *((t, ALL, {"a": 1}, "whole number") for t in (I, L)),
    *((t, (TEXT,), "1_000", "whole number") for t in (I, L)),
    *((t, (TEXT,), word, "missing value") for t in (I, L) for word in ("", "NA")),
    (I, ALL, 2**31, "out of range"),
    (I, ALL, 2**33, "out of range"),  # MLflow: 0
    (I, ALL, float(2**31), "out of range"),
    (I, PARSED, str(2**33), "out of range"),
    (L, ALL, 2**63, "out of range"),  # MLflow: negative
    (L, ALL, -(2**63) - 1, "out of range"),
    (L, ALL, float(2**63), "out of range"),
    (L, ALL, 1e300, "out of range"),
    (L, PARSED, str(2**64), "out of range"),
    *((t, ALL, "x", "not a number") for t in (F, D)),
    *((t, ALL, [1.0], "not a number") for t in (F, D)),
    *((t, ALL, {"a": 1.0}, "not a number") for t in (F, D)),
    *((t, (FRAME, TENSOR, TYPED), "", "not a number") for t in (F, D)),
    *((t, (TEXT,), cell, "not a number") for t in (F, D) for cell in ("1_0", "NAN", "\u0661", "1\xa0", "0x1p3", "1e")),
    *((t, ALL, 10**400, "out of range") for t in (F, D)),
    *((t, PARSED, "1e400", "out of range") for t in (F, D)),
    *((t, (TYPED,), Decimal("1e400"), "out of range") for t in (F, D)),
    (F, ALL, 1e300, "out of range"),  # MLflow: inf
    (F, PARSED, "-1e39", "out of range"),
    (S, (TEXT, TYPED), 5, "not a string"),
    (S, (TYPED,), b"ab", "not a string"),
    (BIN, (FRAME, TENSOR, TYPED), None, "missing value"),
    (BIN, ALL, 5, "not binary"),
    (BIN, (FRAME, TEXT), "YWI", "not base64"),
    (BIN, (FRAME, TEXT), "é", "not base64"),
    (BIN, (TYPED,), "YWI=", "not binary"),
    (T, ALL, True, "not a datetime"),
    (T, ALL, 1.5, "is a number, and no unit is stated"),
    (T, ALL, [1], "not a datetime"),
    (T, ALL, "yesterday", "not a date in ISO 8601"),
    (T, ALL, "2026-13-01", "a day that does not exist"),
    (T, ALL, "2026-01-02T25:00", "a time of day that does not exist"),
    (T, ALL, "0001-01-01T00:00+05:00", "out of range"),
    (T, ALL, "1600-01-01", "out of range"),  # numpy would wrap it round to another century
    (T, ALL, "9999-12-31", "out of range"),
    (T, ALL, date(1, 1, 1), "out of range"),
    (T, ALL, np.datetime64("3000-01-01", "s"), "out of range"),
    (T, ALL, 1_700_000_000_000, "2023-11-14T22:13:20Z if these are milliseconds since 1970"),
    (T, ALL, 2**70, "is a number, and no unit is stated"),
]


def cases(table: list[tuple[Scalar, tuple[Casting, ...], Any, Any]], *, arrays: bool = False) -> list[Any]:
    """One case for each source; with `arrays` only those whose cells numpy has a dtype for."""
    return [
        pytest.param(type_, casting, cell, then, id=f"{type_}-{casting.value}-{str(cell)[:24]}")
        for type_, castings, cell, then in table
        for casting in castings
        if not arrays or (isinstance(cell, (bool, int, float)) and not abs(cell) > 2**63 and casting is not TYPED)
    ]


@pytest.mark.parametrize(("type_", "casting", "cell", "expected"), cases(FITS))
def test_a_cell_that_fits_is_cast(type_: Scalar, casting: Casting, cell: Any, expected: Any) -> None:
    got = read(cell, type_, casting)
    assert same(got, expected), (got, expected)


@pytest.mark.parametrize(("type_", "casting", "cell", "why"), cases(REFUSED))
def test_a_cell_that_does_not_fit_is_refused_with_a_reason(
    type_: Scalar, casting: Casting, cell: Any, why: str
) -> None:
    with pytest.raises(ValueError, match=why) as caught:
        read(cell, type_, casting)
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize(("type_", "casting", "cell", "expected"), cases(FITS, arrays=True))
def test_a_whole_array_is_cast_as_its_cells_are(type_: Scalar, casting: Casting, cell: Any, expected: Any) -> None:
    """The quick ways for whole arrays give what the way cell by cell gives."""
    result = cast(np.array([cell, cell]), type_, casting)
    assert result.misfits == ()
    got = result.column[1].item() if type_ in (B, I, L, F, D) and result.column.dtype != object else result.column[1]
    assert same(got, expected)


@pytest.mark.parametrize(("type_", "casting", "cell", "why"), cases(REFUSED, arrays=True))
def test_a_whole_array_is_refused_as_its_cells_are(type_: Scalar, casting: Casting, cell: Any, why: str) -> None:
    result = cast(np.array([cell, cell]), type_, casting)
    assert [row for row, _ in result.misfits] == [0, 1]
    assert all(why.split()[-1] in said or "cannot be" in said for _, said in result.misfits)


def test_every_misfit_is_found_up_to_the_limit() -> None:
    column = as_object_array([1, "x", 2, None, 3.5])
    assert [row for row, _ in cast(column, L, FRAME).misfits] == [1, 3, 4]
    assert [row for row, _ in cast(column, L, FRAME, limit=2).misfits] == [1, 3]
    floats = np.array([1.0, 1.5, NAN, 2.0, 1e300])
    assert [row for row, _ in cast(floats, L, FRAME).misfits] == [1, 2, 4]
    assert [row for row, _ in cast(floats, L, FRAME, limit=1).misfits] == [1]


@pytest.mark.parametrize("type_", list(Scalar))
@pytest.mark.parametrize("casting", ALL)
def test_empty_columns_get_their_dtype(type_: Scalar, casting: Casting) -> None:
    result = cast(as_object_array([]), type_, casting)
    assert result.misfits == ()
    assert result.column.dtype == type_.dtype


@pytest.mark.parametrize(
    ("type_", "dtype"),
    [(B, "bool"), (I, "int32"), (L, "int64"), (F, "float32"), (D, "float64"), (T, "datetime64[ns]")],
)
def test_a_column_of_the_right_dtype_is_not_touched(type_: Scalar, dtype: str) -> None:
    column = np.zeros(3, dtype=dtype)
    for casting in ALL:
        assert cast(column, type_, casting).column is column


WIDENED = {
    I: {"int8", "int16", "int32", "uint8", "uint16"},
    L: {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"},
    F: {"float16", "float32", "int8", "int16", "uint8", "uint16"},
    D: {"float16", "float32", "float64", "int8", "int16", "int32", "uint8", "uint16", "uint32"},
    B: {"bool"},
    S: set(),
}


@pytest.mark.parametrize("type_", list(WIDENED))
@pytest.mark.parametrize(
    "dtype",
    [
        "bool",
        *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
        "float16",
        "float32",
        "float64",
        "complex64",
        "timedelta64[s]",
    ],
)
def test_typed_columns_are_only_widened(type_: Scalar, dtype: str) -> None:
    column = np.array([3, 2, 5]).astype(dtype)
    result = cast(column, type_, TYPED)
    assert (result.misfits == ()) == (dtype in WIDENED[type_])
    if result.misfits:
        assert dtype in result.misfits[0][1]
    else:
        assert result.column.dtype == type_.dtype
        assert result.column.tolist() == column.tolist()


def test_a_typed_column_of_zeros_and_ones_may_become_doubles() -> None:
    """MLflow's exception: its decimal points may have been lost on the way."""
    assert cast(np.array([0, 1, 1]), D, TYPED).column.tolist() == [0.0, 1.0, 1.0]
    assert cast(np.array([0, 1, 2]), D, TYPED).misfits
    assert cast(np.empty(0, dtype=np.int64), D, TYPED).column.dtype == np.float64


@pytest.mark.parametrize("unit", ["D", "s", "ms", "us"])
def test_moments_of_other_units_are_widened_or_out_of_range(unit: str) -> None:
    good = np.array(["2026-01-02", "NaT"], dtype=f"datetime64[{unit}]")
    result = cast(good, T, TYPED).column
    assert result.dtype == np.dtype("datetime64[ns]")
    assert result[0] == moment("2026-01-02")
    assert np.isnat(result[1])
    bad = np.array(["2026-01-02", "3000-01-02", "NaT"], dtype=f"datetime64[{unit}]")
    for casting in ALL:
        assert [row for row, _ in cast(bad, T, casting).misfits] == [1]


def test_pandas_moments_keep_their_nanoseconds() -> None:
    import pandas as pd

    cells = [pd.Timestamp("2026-01-02T03:04:05.123456789"), pd.NaT]
    column = cast(as_object_array(cells), T, TYPED).column
    assert column[0] == moment("2026-01-02T03:04:05.123456789")
    assert np.isnat(column[1])


@pytest.mark.parametrize("casting", PARSED)
def test_text_columns_are_parsed_at_once_with_the_same_rules(casting: Casting) -> None:
    assert cast(as_object_array(["1", "2"]), L, casting).column.tolist() == [1, 2]
    assert cast(as_object_array(["1", "2.5"]), D, casting).column.tolist() == [1.0, 2.5]
    assert [row for row, _ in cast(as_object_array(["1", "1e400"]), D, casting).misfits] == [1]
    assert [row for row, _ in cast(as_object_array(["1", str(2**63)]), L, casting).misfits] == [1]
    underscore = cast(as_object_array(["1", "1_0"]), L, casting)
    assert bool(underscore.misfits) is (casting is TEXT)


def test_zones_with_odd_offsets_are_converted() -> None:
    from datetime import timedelta

    zone = timezone(timedelta(hours=5, minutes=45))
    assert read(datetime(2026, 1, 2, tzinfo=zone), T, TENSOR) == moment("2026-01-01T18:15")
