"""CSV bodies: every dialect accident is read as meant or refused with the place."""

from __future__ import annotations

import csv
import re
from io import StringIO
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.errors import MalformedInput
from penstock.payload import Table, as_object_array
from penstock.signature import Casting, Field, Scalar, Schema, TensorField, conform
from penstock.wire.csv import decode_csv, decode_plain, guess_column
from penstock.wire.mlflow.frames import read_csv

TEXT = (Field("a", Scalar.STRING), Field("b", Scalar.STRING))


def read(body: bytes | str, schema: Schema | None = None) -> dict[Any, list[Any]]:
    decoded = decode_csv(body if isinstance(body, bytes) else body.encode(), schema)
    assert decoded.casting is Casting.TEXT
    assert decoded.params is None
    result = conform(decoded.payload, schema, decoded.casting)
    assert result.violations == ()
    assert isinstance(result.payload, Table)
    return dict(zip(result.payload.names or (), [c.tolist() for c in result.payload.iter_columns()], strict=True))


def violations(body: str, schema: Schema) -> list[str]:
    decoded = decode_csv(body.encode(), schema)
    return [str(v) for v in conform(decoded.payload, schema, decoded.casting).violations]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_every_line_end_and_a_byte_order_mark_are_read(end: str, bom: str) -> None:
    assert read(bom + end.join(["a,b", "x,y", "z,w", ""]), TEXT) == {"a": ["x", "z"], "b": ["y", "w"]}


def test_quotes_newlines_and_commas_in_cells_are_kept() -> None:
    assert read('a,b\n"x,1","line\nbreak"\n"say ""hi""",é\n', TEXT) == {
        "a": ["x,1", 'say "hi"'],
        "b": ["line\nbreak", "é"],
    }


def test_blank_lines_are_skipped() -> None:
    assert read("\n\na,b\n\nx,y\n\n\n", TEXT) == {"a": ["x"], "b": ["y"]}


def test_a_header_alone_is_no_rows() -> None:
    assert read("a,b\n", TEXT) == {"a": [], "b": []}
    assert read("a,b") == {"a": [], "b": []}


def test_cells_longer_than_pythons_own_limit_are_read() -> None:
    long = "x" * 200_000
    assert read(f"a,b\n{long},y\n", TEXT)["a"] == [long]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"a,b\n\xff\xfe,1\n", r"not valid UTF-8 at byte 4"),
        ("a,b\n1,2".encode("utf-16"), "not valid UTF-8"),
        (b"a,b\n1,2,3\n", "Row 0 of the CSV has 3 cells, but the header has 2"),
        (b"a,b\n1,2\n3\n", "Row 1 of the CSV has 1 cells, but the header has 2"),
        (b"a,b\n1,2,\n3,4,\n", "Row 0 of the CSV has 3 cells, .*ends with a comma"),
        (b'a,b\n1,2\n1,"2\n3,4\n', "Row 1 of the CSV has a quote that is never closed"),
        (b'a,"b\n1,2\n', "The header of the CSV has a quote that is never closed"),
    ],
)
def test_what_is_malformed_is_said_with_the_place(body: bytes, why: str) -> None:
    for schema in (None, TEXT):
        for reader in (decode_csv, read_csv):
            with pytest.raises(MalformedInput) as caught:
                reader(body, schema)
            assert re.search(why, f"{caught.value.message} {caught.value.hint}")


def test_cells_are_cast_by_the_signature() -> None:
    schema = (
        Field("d", Scalar.DOUBLE),
        Field("n", Scalar.LONG),
        Field("s", Scalar.STRING),
        Field("o", Scalar.BOOLEAN),
        Field("t", Scalar.DATETIME),
        Field("x", Scalar.BINARY),
    )
    body = "t,s,n,d,o,x,extra\n2026-01-02,007,7,1e3,true,YWI=,?\n2026-01-02 03:04,NA,-1,,0,YQ==,?\n"
    got = read(body, schema)
    assert list(got) == ["d", "n", "s", "o", "t", "x"]
    assert got["d"][0] == 1000.0
    assert np.isnan(got["d"][1])
    assert got["n"] == [7, -1]
    assert got["s"] == ["007", None]  # text stays text
    assert got["o"] == [True, False]
    assert got["x"] == [b"ab", b"a"]
    moments = conform(decode_csv(body.encode(), schema).payload, schema, Casting.TEXT).payload
    assert isinstance(moments, Table)
    assert [str(c)[:16] for c in moments.column(4)] == ["2026-01-02T00:00", "2026-01-02T03:04"]


@pytest.mark.parametrize("word", ["", "NA", "N/A", "null", "NULL", "None", "nan", "NaN", "<NA>", "#N/A"])
def test_words_for_missing_values_are_missing(word: str) -> None:
    """In two columns, since a line with nothing on it is no row."""
    assert np.isnan(read(f"d,s\n{word},x\n", (Field("d", Scalar.DOUBLE),))["d"][0])
    assert read(f"s,x\n{word},1\n", (Field("s", Scalar.STRING),))["s"] == [None]
    assert violations(f"n,x\n{word},1\n1,1\n", (Field("n", Scalar.LONG),)) == [
        "row 0, column 'n': a missing value cannot be long"
    ]


def test_violations_name_row_and_column() -> None:
    schema = (Field("n", Scalar.LONG), Field("d", Scalar.DOUBLE))
    assert violations("n,d\n1,2\n1_0,x\n2.5,1\n", schema) == [
        "row 1, column 'n': '1_0' is not a whole number (long)",
        "row 1, column 'd': 'x' is not a number (double)",
        "row 2, column 'n': '2.5' is not a whole number (long)",
    ]


def test_csv_becomes_an_array_for_a_model_of_arrays() -> None:
    schema = (TensorField(None, np.dtype("float32"), (-1, 2)),)
    decoded = decode_csv(b"x,y\n1,2.5\n3,\n", schema)
    got = conform(decoded.payload, schema, decoded.casting, side_by_side=True)
    assert got.violations == ()
    assert np.array_equal(got.payload.arrays[0], np.array([[1, 2.5], [3, np.nan]], np.float32), equal_nan=True)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("cells", "dtype", "expected"),
    [
        (["1", "-2"], "int64", [1, -2]),
        (["1", "2.5"], "float64", [1.0, 2.5]),
        (["1", "", "3"], "float64", [1.0, None, 3.0]),
        (["1.5", "NA"], "float64", [1.5, None]),
        (["True", "false", "TRUE"], "bool", [True, False, True]),
        (["true", ""], "object", [True, None]),
        (["a", "NA"], "object", ["a", None]),
        (["1", "x"], "object", ["1", "x"]),
        (["1_000", "2"], "object", ["1_000", "2"]),
        (["12345678901234567890", "1"], "uint64", [12345678901234567890, 1]),
        (["12345678901234567890", "-1"], "object", ["12345678901234567890", "-1"]),
        (["123456789012345678901", "1"], "object", ["123456789012345678901", "1"]),
        (["9007199254740993", "-9223372036854775808"], "int64", [9007199254740993, -9223372036854775808]),
        (["00123"], "int64", [123]),
        (["NA", ""], "float64", [None, None]),
        (["NAN", "1"], "object", ["NAN", "1"]),
        (["\u0661"], "object", ["\u0661"]),
        (["12345678901234567890", ""], "object", ["12345678901234567890", None]),
        (["", "NA"], "float64", [None, None]),
        (["2026-01-02"], "object", ["2026-01-02"]),
        (["1e3", "inf"], "float64", [1000.0, float("inf")]),
    ],
)
def test_columns_without_a_signature_are_guessed(cells: list[str], dtype: str, expected: list[Any]) -> None:
    column = guess_column(as_object_array(cells))
    assert column.dtype == np.dtype(dtype)
    assert [None if v != v else v for v in column.tolist()] == expected


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60), st.sampled_from([None, TEXT, (Field("a", Scalar.DOUBLE),)]))
@example(b'"\x00', None)
@example(b"a\n" + b"9" * 5000, None)
def test_any_bytes_are_read_or_malformed(body: bytes, schema: Schema | None) -> None:
    try:
        decoded = decode_csv(body, schema)
    except MalformedInput as error:
        message = error.message
    else:
        message = "read"
        conform(decoded.payload, schema, decoded.casting)
    assert message


words = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), min_size=1, max_size=6).filter(
    lambda w: w.strip() == w
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(words, words), max_size=5))
def test_what_pythons_csv_writes_is_read_back(rows: list[tuple[str, str]]) -> None:
    from penstock.signature import is_missing_word

    text = StringIO()
    csv.writer(text).writerows([("a", "b"), *rows])
    got = read(text.getvalue(), TEXT)
    assert got["a"] == [None if is_missing_word(a) else a for a, _ in rows]
    assert got["b"] == [None if is_missing_word(b) else b for _, b in rows]


PLAIN = tuple(Field(name, Scalar.DOUBLE) for name in ("a", "b"))
short_numbers = st.one_of(
    st.integers(-(10**13), 10**13).map(str),
    st.decimals(-1000, 1000, places=9).map(lambda n: f"{n:f}"[:15]),
    st.sampled_from(["0", "-0", "007", ".5", "5.", "-.5", "0.1", "0.30000000000000004"[:15], "123456789012345"]),
)
odd_cells = st.sampled_from(
    ["", " 1", "1e3", "nan", "inf", "-", ".", "1.2.3", "--1", "1-2", '"1"', "1" * 16, "x", "1\r"]
)


@settings(max_examples=300)
@given(
    st.lists(st.tuples(short_numbers, short_numbers), min_size=1, max_size=5), st.booleans(), st.booleans(),
    st.one_of(st.none(), odd_cells), st.sampled_from(["", "\n", "\n\n", "\n1", "\n1,2,3", ","]),
)  # fmt: skip
def test_what_is_plain_is_read_as_pandas_reads_it(
    rows: list[tuple[str, str]], swapped: bool, ends: bool, odd: str | None, more: str
) -> None:
    """And what is not is left to it."""
    if odd is not None:
        rows = [(odd, rows[0][1]), *rows[1:]]
    body = ('"b","a"\n' if swapped else "a,b\n") + "\n".join(map(",".join, rows)) + ("\n" if ends else "") + more
    found = decode_plain(body.encode(), PLAIN)
    if found is None:
        assert odd is not None or more.strip("\n") or "\n\n" in body
        return
    wanted = read_csv(body.encode(), PLAIN)
    assert isinstance(wanted, Table)
    assert (found.names, found.index is None) == (wanted.names, wanted.index is None)
    assert found.block is not None
    assert wanted.block is not None
    assert found.block.tobytes() == wanted.block.tobytes()


@pytest.mark.parametrize(
    "header", ["a", "a,b,c", "a,a", "a,c", " a,b", '"a,b"', '""a"",b', '"a"",b', "a,b\r", "\ufeffa,b", ""]
)
def test_other_columns_are_not_plain(header: str) -> None:
    assert decode_plain(f"{header}\n1,2\n".encode(), PLAIN) is None


@pytest.mark.parametrize(
    "schema", [None, (), (PLAIN[0], Field("b", Scalar.LONG)), (PLAIN[0], Field("b", Scalar.FLOAT))]
)
def test_other_signatures_are_not_plain(schema: Any) -> None:
    assert decode_plain(b"a,b\n1,2\n", schema) is None
