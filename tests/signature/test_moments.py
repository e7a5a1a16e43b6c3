"""The rule for dates and times: what is read and as what, and what is told of the rest."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.errors import PackageInvalid
from penstock.payload import as_object_array
from penstock.signature import Casting, Field, Misfit, Scalar, Signature, breaking_changes
from penstock.signature.casts import cast, cast_moments
from penstock.signature.moments import EPOCH_UNITS, OUT_OF_RANGE, read_moment

NAT = np.datetime64("NaT", "ns")

READ = {
    "2024-01-31": "2024-01-31",
    "20240131": "2024-01-31",
    " 2024-01-31\t": "2024-01-31",
    "2024-01-31T12": "2024-01-31T12:00",
    "2024-01-31T12:30": "2024-01-31T12:30",
    "2024-01-31 12:30:15": "2024-01-31T12:30:15",
    "2024-01-31t12:30:15z": "2024-01-31T12:30:15",  # RFC 3339 allows small letters
    "20240131T123015Z": "2024-01-31T12:30:15",
    "2024-01-31T12:30:15.123Z": "2024-01-31T12:30:15.123",  # JavaScript's toISOString
    "2024-01-31T12:30:15,5": "2024-01-31T12:30:15.5",
    "2024-01-31T12:30:15.123456789": "2024-01-31T12:30:15.123456789",
    "2024-01-31T12:30:15.1234567890000": "2024-01-31T12:30:15.123456789",
    "2024-01-31T00:30:00+01:00": "2024-01-30T23:30",
    "2024-01-31T00:30:00-0930": "2024-01-31T10:00",
    "2024-01-31 12:00:00.000001+00": "2024-01-31T12:00:00.000001",  # PostgreSQL's
    "2024-12-31T23:30:00-00:30": "2025-01-01T00:00",
    "1969-12-31T23:59:59.999999999": "1969-12-31T23:59:59.999999999",
    "1677-09-21T00:12:43.145224193": "1677-09-21T00:12:43.145224193",
    "2262-04-11T23:47:16.854775807Z": "2262-04-11T23:47:16.854775807",
}
REFUSED = {
    "03.04.2021": "could be 2021-04-03 or 2021-03-04; send the one that is meant, year first",
    "03/04/2021": "could be 2021-04-03 or 2021-03-04; send the one that is meant, year first",
    "3-4-2021 9:05": "could be 2021-04-03T09:05 or 2021-03-04T09:05",
    "1/2/03": "could be 2003-02-01 or 2003-01-02",
    "01/02/03": "could be 2003-02-01, 2003-01-02 or 2001-02-03",
    "31.01.2024": "is not written as ISO 8601; send 2024-01-31",
    "2024/1/31": "is not written as ISO 8601; send 2024-01-31",
    "2024-1-31": "is not written as ISO 8601; send 2024-01-31",
    "12:30:00": "is a time without a date; send both, like 2024-01-31T12:30:00",
    "9:30": "is a time without a date; send both, like 2024-01-31T09:30",
    "2016-12-31T23:59:60Z": "is a leap second, which datetimes do not have; send 2016-12-31T23:59:59",
    "2024-01-31T24:00:00": "ends a day; send the beginning of the next one, 2024-02-01T00:00:00",
    "2024-02-30": "is on a day that does not exist",
    "20240230": "is on a day that does not exist",
    "2024-01-31T25:00": "has a time of day that does not exist",
    "2024-01-31T12:60": "has a time of day that does not exist",
    "2024-01-31T12:00:00.0000000001": "has 10 digits after the second; send 9 at most",
    "9999-12-31": "is out of range (1677-09-21 to 2262-04-11); send null, or an empty cell, where there is no date",
    "1677-09-21T00:12:43.145224192": "is out of range",
    "2262-04-11T23:47:16.854775808": "is out of range",
    "2262-04-11T23:47:16-01:00": "is out of range",
    "1617408000000": "send text: 2021-04-03T00:00:00Z if these are milliseconds since 1970",
    "1617408000": "send text: 2021-04-03T00:00:00Z if these are seconds since 1970",
    "-1.5": "no unit is stated for this column",
    "2024": "no unit is stated for this column",
    **dict.fromkeys(
        [
            "2024-W05-3",
            "2024-031",
            "2024-01",
            "2024-01-31Z",
            "2024-01-31T12:00:00 UTC",
            "2024-01-31T12:00:00 +01:00",
            "2024-01-31T12:00:00+24:00",
            "2024-01-31T12:00:00[Europe/Paris]",
            "2024-01-31T1200",
            "20240131T12:00",
            "+002024-01-31T12:00:00Z",
            "Wed, 31 Jan 2024 12:00:00 GMT",
            "January 31, 2024",
            "2024-01-31\n2024-02-01",
            "\uff12\uff10\uff12\uff14-01-31",
            "now",
            "today",
            " ",
        ],
        "is not a date in ISO 8601, like 2024-01-31, 2024-01-31T12:00:00 or 2024-01-31T12:00:00Z",
    ),
    "2024-01-31" * 8: "has 80 characters, which no datetime has",
}


@pytest.mark.parametrize(("text", "meant"), READ.items())
def test_iso_8601_is_read_in_utc(text: str, meant: str) -> None:
    assert read_moment(text) == np.datetime64(meant, "ns")


@pytest.mark.parametrize(("text", "told"), REFUSED.items())
def test_what_is_no_single_date_is_refused_and_told_what_to_send(text: str, told: str) -> None:
    with pytest.raises(Misfit) as refused:
        read_moment(text)
    assert told in str(refused.value)


@pytest.mark.parametrize("cell", [None, float("nan"), pd.NaT, NAT, "", "NaT", "NA", "null", "None", "NaN"])
def test_what_stands_for_nothing_is_nothing(cell: Any) -> None:
    assert np.isnat(read_moment(cell))


BERLIN = dt.timezone(dt.timedelta(hours=1))


@pytest.mark.parametrize(
    ("cell", "meant"),
    [
        (dt.date(2024, 1, 31), "2024-01-31"),
        (dt.datetime(2024, 1, 31, 12, 0, 0, 5), "2024-01-31T12:00:00.000005"),
        (dt.datetime(2024, 1, 31, tzinfo=BERLIN), "2024-01-30T23:00"),
        (pd.Timestamp("2024-01-31T00:00:00.000000001", tz="Europe/Berlin"), "2024-01-30T23:00:00.000000001"),
        (np.datetime64("2024-01-31", "D"), "2024-01-31"),
    ],
)
def test_pythons_own_values_are_read_by_the_same_rule(cell: Any, meant: str) -> None:
    assert read_moment(cell) == np.datetime64(meant, "ns")


@pytest.mark.parametrize("cell", [True, False, [1], {}, b"2024-01-31", dt.time(12)])
def test_other_values_are_refused(cell: Any) -> None:
    with pytest.raises(Misfit, match="is not a datetime"):
        read_moment(cell)


NOON = np.datetime64("2024-01-31T12:00:00", "ns")


@pytest.mark.parametrize("unit", list(EPOCH_UNITS))
def test_numbers_count_in_the_unit_that_is_stated(unit: str) -> None:
    count = int(NOON.astype(np.int64)) // EPOCH_UNITS[unit]
    for cell in (count, np.int64(count), str(count), f" {count} ", f"{count}.0", Decimal(count)):
        assert read_moment(cell, unit) == NOON
    assert cast_moments(np.array([count, count]), unit).column.tolist() == [NOON.item()] * 2
    assert read_moment("2024-01-31T12:00:00Z", unit) == NOON
    with pytest.raises(Misfit, match="no unit is stated"):
        read_moment(count)


def test_fractions_of_a_unit_are_what_they_are_written_as() -> None:
    assert read_moment(1617408000.1, "s") == np.datetime64("2021-04-03T00:00:00.1", "ns")
    assert read_moment("1617408000.123456789", "s") == np.datetime64("2021-04-03T00:00:00.123456789", "ns")


@pytest.mark.parametrize(("cell", "unit"), [(1e300, "s"), (2**70, "ns"), ("1e999999", "ms"), (float("inf"), "s")])
def test_numbers_past_the_range_are_refused(cell: Any, unit: str) -> None:
    with pytest.raises(Misfit, match="out of range"):
        read_moment(cell, unit)


@pytest.mark.parametrize("dtype", ["bool", "int8", "int64", "uint64", "float32", "float64", "complex64", "m8[s]"])
def test_typed_columns_that_are_no_datetimes_are_refused(dtype: str) -> None:
    column = np.array([3, 2, 5]).astype(dtype)
    assert [row for row, _ in cast(column, Scalar.DATETIME, Casting.TYPED).misfits] == [0, 1, 2]


def _alone(cells: list[Any], unit: str) -> list[Any]:
    found: list[Any] = []
    for cell in cells:
        try:
            found.append(str(read_moment(cell, unit)))
        except Misfit as misfit:
            found.append(misfit.args)
    return found


zones = st.sampled_from(["", "Z", "+00:00", "+02:00", "-09:30", "+0530", "-03"])
texts = st.one_of(
    st.sampled_from([*READ, *REFUSED, "", "NaT", "NA"]),
    st.builds(
        lambda at, sep, digits, zone: at.isoformat(sep)[: 19 if not digits else 19 + 1 + digits] + zone,
        st.datetimes(dt.datetime(1600, 1, 1), dt.datetime(2400, 1, 1)),
        st.sampled_from("T "),
        st.integers(0, 6),
        zones,
    ),
    st.dates().map(str),
)


@given(
    st.lists(texts | st.none() | st.integers(-(2**65), 2**65) | st.floats(), max_size=6), st.sampled_from(["", "ms"])
)
@example(["2024-01-31T00:00:00+02:00", "2024-07-31T00:00:00+03:00"], "")
@example(["2024-01-31T00:00:00Z", None, "", "2024-01-31"], "")
@example(["2024-01-31T00:00:00+02:00", "2024-01-31T00:00:00Z"], "")
@example(["2024-01-31T00:00:00+02:00\n2024-01-31T00:00:00+02:00"], "")
@example(["2024-01-31", "2024-02-30"], "")
def test_a_whole_column_is_read_as_its_cells_are(cells: list[Any], unit: str) -> None:
    alone = _alone(cells, unit)
    together = cast_moments(as_object_array(cells), unit)
    assert {row: (why,) for row, why in together.misfits} == {
        row: found for row, found in enumerate(alone) if isinstance(found, tuple)
    }
    if not together.misfits:
        assert together.column.dtype == np.dtype("M8[ns]")
        assert [str(cell) for cell in together.column] == alone


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.floats(width=64), min_size=1, max_size=4),
    st.sampled_from(["s", "ms", "ns"]),
)
def test_whole_columns_of_numbers_are_read_as_their_cells_are(cells: list[Any], unit: str) -> None:
    for dtype in ("int64", "float64"):
        if dtype == "int64" and not all(isinstance(cell, int) for cell in cells):
            continue
        column = np.array(cells, dtype=dtype)
        alone = _alone(column.tolist(), unit)
        together = cast_moments(column, unit)
        assert [row for row, _ in together.misfits] == [row for row, one in enumerate(alone) if isinstance(one, tuple)]
        if not together.misfits:
            assert [str(cell) for cell in together.column] == alone


@settings(max_examples=50)
@given(st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1), timezones=st.timezones()))
def test_what_python_and_pandas_write_is_read_back(at: dt.datetime) -> None:
    offset = at.utcoffset()
    assert offset is not None
    utc = at.astimezone(dt.UTC).replace(tzinfo=None)
    assert read_moment(at) == np.datetime64(utc, "ns")
    if not offset.total_seconds() % 60:  # ISO 8601 has no seconds there
        assert read_moment(at.isoformat()) == np.datetime64(utc, "ns")
        assert read_moment(str(pd.Timestamp(at))) == np.datetime64(utc, "ns")


COLUMNS = Signature((Field("ts", Scalar.DATETIME), Field("n", Scalar.LONG)))


def test_units_survive_being_written() -> None:
    counted = COLUMNS.with_epoch_units({"ts": "ms"})
    assert str(counted.inputs[0] if counted.inputs else None) == "ts: datetime or ms since 1970"
    assert Signature.from_mlflow(counted.to_mlflow()) == counted
    assert "epoch_units" not in COLUMNS.to_mlflow()


@pytest.mark.parametrize(
    ("units", "told"),
    [
        ({"n": "ms"}, "name 'n', no datetime column of the model; they are 'ts'"),
        ({"ts": "days"}, "The epoch unit of column 'ts' is 'days'; units are s, ms, us, ns."),
        ("ms", "must map columns to units"),
        (5, "must map columns to units"),
    ],
)
def test_units_of_no_column_or_no_kind_are_refused(units: Any, told: str) -> None:
    with pytest.raises(PackageInvalid) as refused:
        COLUMNS.with_epoch_units(units)
    assert told in refused.value.message


def test_callers_who_send_numbers_are_broken_by_another_unit() -> None:
    millis, seconds = COLUMNS.with_epoch_units({"ts": "ms"}), COLUMNS.with_epoch_units({"ts": "s"})
    assert breaking_changes(COLUMNS, millis) == []
    assert breaking_changes(millis, seconds) == ["numbers in input 'ts' change from ms since 1970 to s since 1970"]
    assert breaking_changes(millis, COLUMNS) == ["numbers in input 'ts' change from ms since 1970 to not taken"]


@pytest.mark.parametrize("epoch", EPOCH_UNITS)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_column_of_numbers_has_the_range_of_one_number(epoch: str, sign: int) -> None:
    """One more than the last that there are nanoseconds for is no moment of another century."""
    most = sign * ((2**63 - 1) // EPOCH_UNITS[epoch])
    assert cast_moments(np.array([most]), epoch).column.tolist() == [int(read_moment(most, epoch).astype(np.int64))]
    if epoch != "ns":
        ((row, why),) = cast_moments(np.array([most + sign]), epoch).misfits
        assert (row, why.split(" ", 1)[1]) == (0, OUT_OF_RANGE)
