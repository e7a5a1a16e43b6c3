"""The readers of CSV in requests and in files against pandas: they agree, or docs/csv.md lists the difference."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.errors import InputError, ScoringError
from penstock.payload import Table
from penstock.scoring.file_formats import FileFormat
from penstock.scoring.plan import ScoringOptions, Source
from penstock.scoring.read.chunks import read_sources
from penstock.scoring.read.decoding import decode
from penstock.signature import Field, Scalar, Schema, conform
from penstock.wire.csv import decode_csv
from penstock.wire.mlflow.frames import read_csv

CSV = FileFormat("csv")
REFUSED = "refused"
TYPES = (Scalar.DOUBLE, Scalar.LONG, Scalar.BOOLEAN, Scalar.STRING)

cells = st.sampled_from(
    ["", "NA", "null", "1", "0", "-2", "007", "1.0", "1e3", "2.5", ".5", " 3 ", "+4", "1_0", "0x10", "NAN", "inf",
     "1e999", "true", "FALSE", "1,5", "x", "a b", '4" tall', "9007199254740993", "9223372036854775808", "\u0661", "\0",
     '"1"', '"x,y"', '"a""b"', '"a"b', '"two\nlines"', '"cr\rin"', '"']
)  # fmt: skip


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, list[list[str]]]:
    """A header, and rows that are mostly as wide; columns that are mostly of one kind of cell."""
    header = draw(headers)
    width = header.count(",") + 1
    pools = [draw(st.lists(cells, min_size=1, max_size=3)) for _ in range(width)]
    rows = draw(st.lists(st.tuples(*map(st.sampled_from, pools)).map(list), min_size=1, max_size=4))
    if draw(st.integers(0, 5)) == 0:
        draw(st.sampled_from(rows)).append(draw(cells))
    if draw(st.integers(0, 5)) == 0:
        draw(st.sampled_from(rows)).pop()
    return header, rows


ends = st.sampled_from(["\n", "\r\n", "\r", "\n\n", "\n \n", "\r\r", "\r \r"])
headers = st.sampled_from(["a,b", "b,a", "a,b,c", "a,a,b", ",a,b", '"a",b'])


def values(payload: Any) -> Any:
    assert isinstance(payload, Table)
    return {name: [plain(cell) for cell in column.tolist()]
            for name, column in zip(payload.names or (), payload.iter_columns(), strict=True)}  # fmt: skip


def plain(cell: Any) -> Any:
    return None if cell is None or (isinstance(cell, float) and math.isnan(cell)) else cell


def over_http(body: bytes, schema: Schema | None) -> Any:
    try:
        return values(read_csv(body, schema))
    except InputError:
        return REFUSED


def without_frames(body: bytes, schema: Schema) -> Any:
    try:
        decoded = decode_csv(body, schema)
        found = conform(decoded.payload, schema, decoded.casting)
    except InputError:
        return REFUSED
    return REFUSED if found.violations else values(found.payload)


def scored(body: bytes, schema: Schema, place: Path) -> Any:
    place.write_bytes(body)
    source = Source(str(place), CSV)
    try:
        (chunk,) = read_sources((source,), ScoringOptions(CSV))
        read = decode(chunk, source, schema, ())
    except ScoringError:
        return REFUSED
    found = conform(read.table, schema, read.casting)
    return REFUSED if read.rejects or found.violations else values(found.payload)


def by_pandas(body: bytes, schema: Schema) -> Any:
    try:
        frame = pd.read_csv(io.BytesIO(body), dtype={f.name: f.type.dtype for f in schema})  # type: ignore[union-attr]
        return {f.name: [plain(cell) for cell in frame[f.name].tolist()] for f in schema}
    except Exception:
        return REFUSED


def listed(body: bytes, ours: Any, theirs: Any) -> str:
    """The name of the difference between us and pandas in docs/csv.md."""
    text = body.decode()
    if ours == REFUSED:
        return "out of range" if "e999" in text else "ragged row"
    if theirs == REFUSED:
        return "column refused"
    if "\r\r" in text or "\r \r" in text:
        return "blank lines"
    return "mixed whole numbers" if "9007199254740993" in text else ""


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=tables(), end=ends, types=st.tuples(st.sampled_from(TYPES), st.sampled_from(TYPES)))
@pytest.mark.filterwarnings("ignore")
def test_requests_files_and_pandas_agree(
    tmp_path: Path, table: tuple[str, list[list[str]]], end: str, types: tuple[Scalar, Scalar]
) -> None:
    body = end.join([table[0], *map(",".join, table[1]), ""]).encode()
    schema = (Field("a", types[0]), Field("b", types[1]))
    http = over_http(body, schema)
    files = scored(body, schema, tmp_path / "rows.csv")
    assert files == without_frames(body, schema)
    if http != files:  # words as numbers
        assert Scalar.DOUBLE in types
        assert b"true" in body.lower() or b"false" in body.lower()
        assert files == REFUSED
    theirs = by_pandas(body, schema)
    if http != theirs:
        assert listed(body, http, theirs)


def test_a_byte_order_mark_behind_the_header_belongs_to_its_cell(tmp_path: Path) -> None:
    schema = (Field("a", Scalar.STRING), Field("b", Scalar.DOUBLE))
    body = "a,b\n\ufeffx,1\n".encode()
    assert scored(body, schema, tmp_path / "rows.csv") == over_http(body, schema) == {"a": ["\ufeffx"], "b": [1.0]}


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("blank", ["", " ", "\t"])
def test_an_empty_cell_after_a_blank_line_stays_in_its_column(blank: str, mark: str, tmp_path: Path) -> None:
    schema = (Field("a", Scalar.DOUBLE), Field("b", Scalar.DOUBLE))
    body = f"{mark}a,b\r1,2\r{blank}\r,3\r".encode()
    assert scored(body, schema, tmp_path / "rows.csv") == over_http(body, schema) == {"a": [1.0, None], "b": [2.0, 3.0]}


def test_every_difference_that_is_found_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "csv.md").read_text(encoding="utf-8")
    names = [
        line.split("|")[1].strip() for line in text.partition("## What differs")[2].splitlines() if line[:2] == "| "
    ]
    assert {
        "out of range",
        "ragged row",
        "column refused",
        "mixed whole numbers",
        "words as numbers",
        "blank lines",
    } <= set(names)
