"""One text means one date, or is refused, whatever road it comes by: requests in every form, and files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.errors import SchemaViolation
from penstock.payload import Payload, Table
from penstock.scoring.file_formats import FileFormat
from penstock.scoring.plan import Source
from penstock.scoring.read.chunks import Chunk
from penstock.scoring.read.decoding import decode
from penstock.signature import Field, Misfit, Scalar, Schema, Signature, conform
from penstock.signature.moments import read_moment
from penstock.wire.mlflow.codec import BodyReader
from penstock.wire.mlflow.formats import ARROW, CSV, JSON, PARQUET

Road = tuple[str, Any]


def requests_of(cells: list[Any]) -> Iterator[Road]:
    """The same column in every form of a request."""
    records = [{"ts": cell} for cell in cells]
    split = {"columns": ["ts"], "data": [[cell] for cell in cells]}
    for envelope, value in {
        "dataframe_split": split,
        "dataframe_records": records,
        "inputs": {"ts": cells},
        "instances": records,
    }.items():
        yield JSON, json.dumps({envelope: value}).encode()
    if all(cell is None or isinstance(cell, str) for cell in cells):
        yield CSV, csv_of(cells).encode()
    table = arrow_of(cells)
    if table is not None:
        file, stream = BytesIO(), pa.BufferOutputStream()
        pq.write_table(table, file)
        with pa.ipc.new_stream(stream, table.schema) as writer:
            writer.write_table(table)
        yield PARQUET, file.getvalue()
        yield ARROW, stream.getvalue().to_pybytes()


def csv_of(cells: list[Any]) -> str:
    quoted = ["" if cell is None else '"' + str(cell).replace('"', '""') + '"' for cell in cells]
    return "ts,n\n" + "".join(f"{cell},1\n" for cell in quoted)


def arrow_of(cells: list[Any]) -> Any:
    try:
        return pa.table({"ts": pa.array(cells)})
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return None


def files_of(cells: list[Any]) -> Iterator[tuple[str, Any]]:
    """The same column as a chunk of a file, by the file's format."""
    lines = "".join(json.dumps({"ts": cell}) + "\n" for cell in cells)
    yield "jsonl", lines.encode()
    if all(cell is None or isinstance(cell, str) for cell in cells):
        yield "csv", csv_of(cells).partition("\n")[2].encode()
    if (table := arrow_of(cells)) is not None:
        yield "parquet", table


def in_a_file(kind: str, data: Any, rows: int, schema: Schema) -> Any:
    chunk = Chunk(0, 0, 0, rows, data, ("ts", "n") if kind == "csv" else None)
    found = decode(chunk, Source("rows", FileFormat(kind)), schema, ())
    return told(found.table, schema, found.casting)


def told(payload: Payload, schema: Schema, casting: Any) -> Any:
    conformed = conform(payload, schema, casting)
    if conformed.violations:
        return [(v.row, v.reason) for v in conformed.violations]
    return cells_in(conformed.payload)


def in_a_request(media: str, body: bytes, schema: Schema, *, frames: bool) -> Any:
    try:
        return cells_in(BodyReader(Signature(schema), frames=frames).read(media, body).payload)
    except SchemaViolation as refusal:
        return [(v.row, v.reason) for v in refusal.violations]


def cells_in(payload: Payload) -> list[str]:
    assert isinstance(payload, Table)
    column = payload.column(0)
    assert column.dtype == np.dtype("M8[ns]")
    return [str(cell) for cell in column]


def by_the_rule(cells: list[Any], unit: str) -> Any:
    read, refused = [], []
    for row, cell in enumerate(cells):
        try:
            read.append(str(read_moment(cell, unit)))
        except Misfit as misfit:
            refused.append((row, str(misfit)))
    return refused or read


TEXTS = [
    "2024-01-31",
    "2024-01-31T12:00:00Z",
    "2024-01-31 12:00:00.123456789+02:00",
    "20240131",
    "03.04.2021",
    "03/04/2021",
    "1/2/03",
    "1617408000000",
    "1617408000.5",
    "2016-12-31T23:59:60Z",
    "2024-W05-3",
    "9999-12-31",
    "12:30",
    "",
    "NaT",
    "NA",
    "now",
    "soon",
    '"',
    "a,b",
]
texts = (
    st.sampled_from(TEXTS) | st.datetimes().map(lambda at: at.isoformat()) | st.text("0123456789-:TZ+./ ", max_size=20)
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.none() | texts, min_size=1, max_size=3), st.sampled_from(["", "ms"]))
@example(["2024-01-31", None, "2024-01-31T12:00:00Z"], "")
@example(["03.04.2021"], "")
@example(["1617408000000", "2021-04-03"], "ms")
def test_every_road_reads_a_text_by_the_one_rule(cells: list[Any], unit: str) -> None:
    schema: Schema = (Field("ts", Scalar.DATETIME, epoch=unit),)
    expected = by_the_rule(cells, unit)
    for media, body in requests_of(cells):
        for frames in (True, False):
            found = in_a_request(media, body, schema, frames=frames)
            assert found == expected[: len(found)], (media, frames, body)  # of arrays the first misfit is told
            assert len(found) == len(expected) or isinstance(found[0], tuple)
    for kind, data in files_of(cells):
        assert in_a_file(kind, data, len(cells), schema) == expected, kind


NUMBERS: list[list[Any]] = [
    [1617408000000, 1617408000001],
    [1617408000000, None],
    [1617408000000.5],
    [0],
    [2**62],
    [True],
]


@pytest.mark.parametrize("unit", ["", "ms", "ns"])
@pytest.mark.parametrize("cells", NUMBERS, ids=str)
def test_every_road_reads_a_number_by_the_stated_unit(cells: list[Any], unit: str) -> None:
    schema: Schema = (Field("ts", Scalar.DATETIME, epoch=unit),)
    expected = by_the_rule(cells, unit)
    for media, body in requests_of(cells):
        for frames in (True, False):
            found = in_a_request(media, body, schema, frames=frames)
            assert _rows(found) == _rows(expected)[: len(found)], (media, frames, found)
    for kind, data in files_of(cells):
        assert _rows(in_a_file(kind, data, len(cells), schema)) == _rows(expected), kind


def _rows(found: Any) -> Any:
    """Moments, or the rows that are refused: a number beside a gap is told as the float that pandas makes of it."""
    return [one if isinstance(one, str) else one[0] for one in found]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_typed_moments_are_read_in_utc(unit: str, zone: str | None) -> None:
    schema: Schema = (Field("ts", Scalar.DATETIME),)
    at = pd.Timestamp("2024-07-31T12:00:00", tz=zone)
    expected = [str(read_moment(at.to_pydatetime())), "NaT"]
    table = pa.table({"ts": pa.array([at, None], pa.timestamp(unit, zone))})
    file = BytesIO()
    pq.write_table(table, file)
    for frames in (True, False):
        assert in_a_request(PARQUET, file.getvalue(), schema, frames=frames) == expected
    assert in_a_file("parquet", table, 2, schema) == expected


@pytest.mark.parametrize(
    "kind", [pa.timestamp("s"), pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.date32(), pa.date64()]
)
def test_typed_moments_past_the_range_are_refused_and_not_wrapped(kind: pa.DataType) -> None:
    schema: Schema = (Field("ts", Scalar.DATETIME),)
    table = pa.table({"ts": pa.array([pd.Timestamp("2024-01-31"), pd.Timestamp("9999-12-31")]).cast(kind)})
    file = BytesIO()
    pq.write_table(table, file)
    found = [in_a_request(PARQUET, file.getvalue(), schema, frames=frames) for frames in (True, False)]
    for refused in (*found, in_a_file("parquet", table, 2, schema)):
        ((row, why),) = refused
        assert (row, "out of range" in why) == (1, True)


def test_a_frame_with_the_moments_as_row_labels_is_read() -> None:
    frame = pd.DataFrame({"n": [1.0]}, index=pd.DatetimeIndex(["2024-01-31T12:00:00"], tz="Europe/Berlin", name="ts"))
    file = BytesIO()
    frame.to_parquet(file)
    schema: Schema = (Field("ts", Scalar.DATETIME), Field("n", Scalar.DOUBLE))
    assert in_a_request(PARQUET, file.getvalue(), schema, frames=True) == ["2024-01-31T11:00:00.000000000"]


def test_arrays_of_moments_follow_the_rule_too() -> None:
    from penstock.signature import TensorField

    signature = Signature((TensorField(None, np.dtype("M8[ns]"), (-1, 2)),))
    reader = BodyReader(signature, frames=True)
    read = reader.read(JSON, b'{"inputs": [["2024-01-31T12:00:00+01:00", null]]}').payload
    assert [str(cell) for cell in read.arrays[0][0]] == ["2024-01-31T11:00:00.000000000", "NaT"]  # type: ignore[union-attr]
    for cell, why in (("03.04.2021", "year first"), (1617408000000, "no unit"), ("now", "ISO 8601")):
        with pytest.raises(SchemaViolation, match=why):
            reader.read(JSON, json.dumps({"inputs": [[cell, None]]}).encode())


def test_moments_inside_lists_and_objects_follow_the_rule_too() -> None:
    from penstock.signature import ArrayOf, ObjectOf, Property

    when = ObjectOf((Property("at", Scalar.DATETIME), Property("all", ArrayOf(Scalar.DATETIME))))
    signature = Signature((Field("e", when),))
    good = {"at": "2024-01-31T12:00:00+01:00", "all": ["2024-01-31"]}
    for envelope, value in (("dataframe_records", [{"e": good}]), ("inputs", [{"e": good}])):
        read = BodyReader(signature, frames=True).read(JSON, json.dumps({envelope: value}).encode()).payload
        assert isinstance(read, Table)
        cell = read.column(0)[0]
        assert pd.Timestamp(cell["at"]) == pd.Timestamp("2024-01-31T11:00:00")
        assert list(map(pd.Timestamp, cell["all"])) == [pd.Timestamp("2024-01-31")]
    bad = json.dumps({"dataframe_records": [{"e": {**good, "at": "03.04.2021"}}]}).encode()
    with pytest.raises(SchemaViolation, match="year first"):
        BodyReader(signature, frames=True).read(JSON, bad)


def test_exact_requests_are_read_as_mlflow_reads_them() -> None:
    reader = BodyReader(Signature((Field("ts", Scalar.DATETIME),)), frames=True, exact=True)
    read = reader.read(JSON, b'{"dataframe_split": {"columns": ["ts"], "data": [["03.04.2021"]]}}').payload
    assert cells_in(read) == ["2021-03-04T00:00:00.000000000"]
