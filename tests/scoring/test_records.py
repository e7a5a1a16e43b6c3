"""Text cut into records: never inside a cell, the same however the stream gives its bytes and wherever it begins."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.errors import ScoringError
from penstock.scoring.read import text_records as records
from penstock.scoring.read.text_records import RecordReader, split_lines
from penstock.wire.csv.records import split_records

cells = st.text(st.sampled_from('ab1,"\n\r é'), max_size=6)
tables = st.lists(st.lists(cells, min_size=2, max_size=3), max_size=12)


class Dribble(io.BytesIO):
    """Gives at most so many bytes a read, as pipes and object stores do."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self._most = most

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self._most if size is None or size < 0 else min(size, self._most))


def written(table: list[list[str]], *, last_newline: bool = True) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(table)
    return (text.getvalue() if last_newline else text.getvalue().removesuffix("\n")).encode()


def taken(reader: RecordReader, rows: int, size: int) -> list[records.Records]:
    found = []
    while (piece := reader.take(rows, size)) is not None:
        found.append(piece)
    return found


@pytest.fixture(autouse=True, params=[1, 7, 2 << 20])
def steps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read a byte at a time, or a few, or all at once."""
    monkeypatch.setattr(records, "_STEP", request.param)


# The fixture is the same for all of one test's examples, and should be.
shared = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@shared
@given(tables, st.integers(1, 5), st.integers(1, 40), st.integers(1, 9), st.booleans())
def test_records_are_whole_and_all_there(
    table: list[list[str]], rows: int, size: int, most: int, last_newline: bool
) -> None:
    data = written(table, last_newline=last_newline)
    pieces = taken(RecordReader(Dribble(data, most), delimiter=","), rows, size)

    assert b"".join(piece.data for piece in pieces) == data
    assert all(0 < piece.rows <= rows for piece in pieces)
    found = [next(csv.reader(io.StringIO(r.decode(), newline=""))) for p in pieces for r in split_records(p.data)]
    assert found == table
    assert [piece.rows for piece in pieces] == [len(split_records(piece.data)) for piece in pieces]


@shared
@given(tables, st.integers(1, 5), st.integers(1, 40), st.integers(1, 9), st.integers(1, 9))
def test_pieces_do_not_depend_on_how_the_stream_is_read(
    table: list[list[str]], rows: int, size: int, one: int, other: int
) -> None:
    data = written(table)
    assert taken(RecordReader(Dribble(data, one), delimiter=","), rows, size) == taken(
        RecordReader(Dribble(data, other), delimiter=","), rows, size
    )


@shared
@given(tables, st.integers(1, 5), st.integers(1, 40), st.data())
def test_a_reader_that_begins_after_a_piece_goes_on_as_the_first_one_did(
    table: list[list[str]], rows: int, size: int, data: st.DataObject
) -> None:
    text = written(table)
    pieces = taken(RecordReader(io.BytesIO(text), delimiter=","), rows, size)
    done = data.draw(st.integers(0, len(pieces)))
    start = pieces[done - 1].end if done else 0
    stream = io.BytesIO(text)
    stream.seek(start)

    assert taken(RecordReader(stream, delimiter=",", start=start), rows, size) == pieces[done:]
    skipping = RecordReader(io.BytesIO(text), delimiter=",")
    assert skipping.skip(sum(p.rows for p in pieces[:done]), 64) == sum(p.rows for p in pieces[:done])
    assert taken(skipping, rows, size) == pieces[done:]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_empty_lines_are_no_records(end: str) -> None:
    text = end.join(["", "a", "", "", "b", "c", "", ""]).encode()
    (piece,) = taken(RecordReader(io.BytesIO(text), delimiter=None), 100, 1000)
    assert (split_lines(piece.data), piece.rows, piece.end) == ([b"a", b"b", b"c"], 3, len(text))


def test_a_quote_that_is_never_closed_ends_with_the_file() -> None:
    (piece,) = taken(RecordReader(io.BytesIO(b'a,b\n"c,d\ne,f\n'), delimiter=","), 10, 1000)
    assert split_records(piece.data) == [b"a,b", b'"c,d\ne,f\n']


def test_an_endless_record_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LONGEST_RECORD", 64)
    text = io.BytesIO(b'a\n"' + b"x" * 1000)
    reader = RecordReader(text, delimiter=",", name="rows.csv")
    assert reader.take(1, 8) is not None
    with pytest.raises(ScoringError, match=r"^rows\.csv has a record longer than 0 MB, from byte 2 on"):
        reader.take(1, 8)


def test_carriage_returns_alone_end_records_but_inside_quotes() -> None:
    text = b'a,"b\rb"\r1,2\r\r3,4\r\n5,6\n7,8\r'
    (piece,) = taken(RecordReader(Dribble(text, 3), delimiter=","), 100, 1000)
    assert split_records(piece.data) == [b'a,"b\rb"', b"1,2", b"3,4", b"5,6", b"7,8"]
    again = io.BytesIO(text)
    again.seek(8)
    (piece,) = taken(RecordReader(again, delimiter=",", start=8), 100, 1000)
    assert (split_records(piece.data), piece.end) == ([b"1,2", b"3,4", b"5,6", b"7,8"], len(text))


def test_a_byte_order_mark_is_passed_over_and_counted() -> None:
    text = b'\xef\xbb\xbf"a\nb",c\n1,2\n'
    (piece,) = taken(RecordReader(Dribble(text, 1), delimiter=","), 100, 1000)
    assert (split_records(piece.data), piece.end) == ([b'"a\nb",c', b"1,2"], len(text))


def test_lines_of_blanks_are_no_records() -> None:
    (piece,) = taken(RecordReader(io.BytesIO(b' \na\t\n \t \r\n b\n""\n\t'), delimiter=","), 100, 1000)
    assert split_records(piece.data) == [b"a\t", b" b", b'""']
    (piece,) = taken(RecordReader(io.BytesIO(b"a\tb\n\t\n \n"), delimiter="\t"), 100, 1000)
    assert split_records(piece.data) == [b"a\tb", b"\t"]


# What quotes can be: around cells, doubled, in the middle, after a quoted cell, never closed.
texts = st.text(st.sampled_from('"",a\n\r '), max_size=14).map(str.encode)


@shared
@given(texts, st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))
def test_any_text_is_cut_where_pythons_csv_ends_its_rows(text: bytes, rows: int, size: int, most: int) -> None:
    """Which reads quotes, doubled ones and mere characters as pandas does."""
    pieces = taken(RecordReader(Dribble(text, most), delimiter=","), rows, size)
    got = [record for piece in pieces for record in split_records(piece.data)]
    wanted = [row for row in csv.reader(io.StringIO(text.decode(), newline="")) if row]
    read = [next(csv.reader(io.StringIO(record.decode(), newline=""))) for record in got]
    assert read == [row for row, blank in zip(wanted, _blank_rows(text), strict=True) if not blank]
    assert sum(piece.rows for piece in pieces) == len(got)


def _blank_rows(text: bytes) -> list[bool]:
    """Whether a row that is not empty was written with blanks alone; those are never quoted, nor over several lines."""
    lines = io.StringIO(text.decode(), newline="")
    reader, taken_lines, found = csv.reader(lines), list(io.StringIO(text.decode(), newline="")), []
    last = 0
    for row in reader:
        if row:
            found.append(not "".join(taken_lines[last : reader.line_num]).strip())
        last = reader.line_num
    return found
