"""One table of answers, and every way to write them: what JSON says a table says too, or it is refused in a sentence.

Each answer is given to two rows. A table is the same over HTTP and in a scored file; where no table can be made of an
answer, HTTP gives JSON and a job ends with one sentence.
"""

from __future__ import annotations

import csv
import datetime as dt
import enum
import json
import uuid
from collections.abc import Iterator
from decimal import Decimal
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import ipc

from penstock.errors import ScoringError
from penstock.testing.client import GatewayClient, client
from penstock.testing.fakes import AnswerFunction, FakeModel
from penstock.wire.mlflow.formats import ARROW, CSV, JSON, PARQUET
from scoring.jobs import score

UTC, PARIS = dt.UTC, dt.timezone(dt.timedelta(hours=1))
DAY, NOON = dt.date(2024, 1, 31), dt.datetime(2024, 1, 31, 12)
NANO = pd.Timestamp("2024-01-31T12:00:00.123456789")


class Word(enum.Enum):
    YES = "yes"


class Code(enum.IntEnum):
    ONE = 1


class Said(NamedTuple):
    """An answer; its CSV, lines without the header's newline; the type of its first column in Arrow; and whether JSON
    has no form for it, as with MLflow."""

    answer: Any
    csv: str
    type_: str
    no_json: bool = False


def text(*cells: str, header: str = "prediction") -> str:
    return "\n".join([header, *cells, ""])


JSON_TEXT = "json"  # a column of text whose cells are JSON

FRAME = pd.DataFrame(
    {
        "i": pd.array([1, None], dtype="Int64"),
        "b": pd.array([True, None], dtype="boolean"),
        "c": pd.Categorical(["x", None]),
        "k": pd.Categorical([3, 1]),
        "s": pd.arrays.SparseArray([0, 1]),
        "t": pd.to_datetime(["2024-01-31", None]),
        "z": pd.to_datetime(["2024-01-31T12:00", None]).tz_localize("Europe/Paris"),
        "x": ["a", None],
        "f": np.array([0.1, np.nan], dtype=np.float32),
    }
)
RECORDS = np.array(
    [(1, b"x", [1, 2], (0.5,)), (3, b"y", [3, 4], (1.5,))],
    dtype=[("a", ">i4"), ("b", "S1"), ("c", "i2", (2,)), ("d", [("e", "f8")])],
)

SAID: dict[str, Said] = {
    "whole numbers": Said([1, 2], text("1", "2"), "int64"),
    "past 63 bits": Said([2**63, 1], text(str(2**63), "1"), "uint64"),
    "past 64 bits": Said([2**70, -(2**70)], text(str(2**70), str(-(2**70))), "decimal128(38, 0)"),
    "past 38 digits": Said([10**50, 1], text(str(10**50), "1"), "decimal256(76, 0)"),
    "past 76 digits": Said([10**90, 1], text(str(10**90), "1"), JSON_TEXT),
    "whole and not": Said([1, 2.5], text("1", "2.5"), "double"),
    "whole beyond doubles and not": Said([2**60 + 1, 0.5], text(str(2**60 + 1), "0.5"), JSON_TEXT),
    "missing numbers": Said([None, 1], text('""', "1"), "int64"),
    "not a number": Said([float("nan"), 1.5], text('""', "1.5"), "double"),
    "infinite": Said(np.array([np.inf, -np.inf]), text("inf", "-inf"), "double"),
    "nothing": Said([None, None], text('""', '""'), "null"),
    "booleans": Said([True, False], text("true", "false"), "bool"),
    "booleans and numbers": Said([True, 1], text("true", "1"), JSON_TEXT),
    "narrow floats": Said(np.array([0.1, 1 / 3], "f4"), text("0.10000000149011612", "0.3333333432674408"), "float"),
    "half floats": Said(np.array([0.5, 2], "f2"), text("0.5", "2.0"), "halffloat"),
    "wide floats": Said(np.array([0.5, 2], "g"), text("0.5", "2.0"), "double"),
    "other byte order": Said(np.array([1, 2], ">i8"), text("1", "2"), "int64"),
    "numpy scalars": Said([np.float32(0.5), np.int8(2)], text("0.5", "2"), "double"),
    "text": Said(["", 'a,"b'], text('""', '"a,""b"'), "string"),
    "text with gaps": Said(["a", float("nan")], text("a", '""'), "string"),
    "numpy text": Said(np.array(["a", "é☃"]), text("a", "é☃"), "string"),
    "text and numbers": Said([1, "a"], text("1", "a"), JSON_TEXT),
    "text and what is not finite": Said(["a", float("inf")], text("a", '""'), JSON_TEXT),
    "text that is JSON": Said(["null", 1], text("null", "1"), JSON_TEXT),
    "decimals": Said([Decimal("1.10"), 0], text("1.10", "0"), "decimal128(38, 2)", no_json=True),
    "decimals of any size": Said([Decimal("1E+80"), Decimal("NaN")], text("1E+80", '""'), JSON_TEXT, no_json=True),
    "durations": Said(
        [dt.timedelta(seconds=1), dt.timedelta(days=-1, microseconds=1)],
        text("1", "-86399.999999"),
        "duration[ns]",
        no_json=True,
    ),
    "pandas' durations": Said(
        pd.Series(pd.to_timedelta([1, None], unit="ns"), name="prediction"),
        text("0.000000001", '""'),
        "duration[ns]",
    ),
    "durations of numpy": Said(np.array([1, "NaT"], "m8[s]"), text("1", '""'), "duration[ns]", no_json=True),
    "NaT": Said([pd.NaT, pd.NaT], text('""', '""'), "null"),
    "NaT and a moment": Said([pd.NaT, pd.Timestamp(NOON)], text('""', "2024-01-31T12:00:00"), "timestamp[us]"),
    "NaT and text": Said([pd.NaT, "x"], text('""', "x"), "string"),
    "pandas' NA": Said([pd.NA, 1], text('""', "1"), "int64", no_json=True),
    "dates": Said([DAY, None], text("2024-01-31", '""'), "date32[day]"),
    "numpy dates": Said(np.array([DAY, "NaT"], "M8[D]"), text("2024-01-31", '""'), "date32[day]"),
    "moments": Said([NOON, dt.datetime(1, 1, 1)], text("2024-01-31T12:00:00", "0001-01-01T00:00:00"), "timestamp[us]"),
    "nanoseconds": Said([NANO, None], text("2024-01-31T12:00:00.123456789", '""'), "timestamp[ns]"),
    "numpy moments": Said(np.array([NOON, "NaT"], "M8[ns]"), text("2024-01-31T12:00:00", '""'), "timestamp[ns]"),
    "dates and moments": Said([DAY, NOON], text("2024-01-31", "2024-01-31T12:00:00"), JSON_TEXT),
    "moments with a zone": Said(
        [NOON.replace(tzinfo=UTC), None], text("2024-01-31T12:00:00+00:00", '""'), "timestamp[us, tz=UTC]"
    ),
    "moments of two zones": Said(
        [NOON.replace(tzinfo=UTC), NOON.replace(tzinfo=PARIS)],
        text("2024-01-31T12:00:00+00:00", "2024-01-31T12:00:00+01:00"),
        JSON_TEXT,
    ),
    "moments, one without a zone": Said(
        [NOON.replace(tzinfo=UTC), NOON], text("2024-01-31T12:00:00+00:00", "2024-01-31T12:00:00"), JSON_TEXT
    ),
    "times of day": Said([dt.time(1, 2), None], text("01:02:00", '""'), "time64[us]"),
    "UUIDs": Said([uuid.UUID(int=5)] * 2, text(*["00000000-0000-0000-0000-000000000005"] * 2), "string"),
    "enums": Said([Word.YES, Code.ONE], text("yes", "1"), JSON_TEXT),
    "bytes": Said([b"ab", bytearray(b"\xff")], text("YWI=", "/w=="), "binary"),
    "numpy bytes": Said(np.array([b"a", b"bc"]), text("YQ==", "YmM="), "binary"),
    "lists": Said([[1, 2], []], text('"[1,2]"', "[]"), "list<element: int64>"),
    "arrays for rows": Said([np.array([1, 2]), np.array([3])], text('"[1,2]"', "[3]"), "list<element: int64>"),
    "lists of anything": Said([[1, "a"], [None]], text('"[1,""a""]"', "[null]"), JSON_TEXT),
    "deep arrays": Said(np.zeros((2, 1, 1)), text("[[0.0]]", "[[0.0]]"), "list<element: list<element: double>>"),
    "objects": Said(
        [{"a": 1, "b": [0.5]}, {"a": 2, "b": []}],
        text('"{""a"":1,""b"":[0.5]}"', '"{""a"":2,""b"":[]}"'),
        "struct<a: int64, b: list<element: double>>",
    ),
    "objects of other keys": Said([{"a": 1}, {"b": None}], text('"{""a"":1}"', '"{""b"":null}"'), JSON_TEXT),
    "empty objects": Said([{}, {}], text("{}", "{}"), JSON_TEXT),
    "objects with number keys": Said([{1: "x"}, {2: "y"}], text('"{""1"":""x""}"', '"{""2"":""y""}"'), JSON_TEXT),
    "arrays in objects": Said(
        [{"v": np.eye(1)}, {"v": np.eye(1)}],
        text('"{""v"":[[1.0]]}"', '"{""v"":[[1.0]]}"'),
        "struct<v: list<element: list<element: double>>>",
    ),
    "decimals in lists": Said([[Decimal("1.5")], ["x"]], text("[1.5]", '"[""x""]"'), JSON_TEXT, no_json=True),
    "a matrix": Said(np.array([[1, 2], [3, 4]]), text("1,2", "3,4", header="prediction_0,prediction_1"), "int64"),
    "a matrix of anything": Said(
        np.array([[1, "a"], [None, 2]], dtype=object), text("1,a", ",2", header="prediction_0,prediction_1"), "int64"
    ),
    "a tuple of arrays": Said(
        (np.array([1, 2]), np.array([[0.5], [1]])),
        text("1,0.5", "2,1.0", header="prediction_0,prediction_1_0"),
        "int64",
    ),
    "a tuple of lists": Said(([1, 2], ["a", None]), text("1,a", "2,", header="prediction_0,prediction_1"), "int64"),
    "outputs of predict_proba": Said(
        [np.array([[0.25, 0.75], [1, 0]]), np.array([[0.5, 0.5], [0, 1]])],
        text(
            "0.25,0.75,0.5,0.5",
            "1.0,0.0,0.0,1.0",
            header="prediction_0_0,prediction_0_1,prediction_1_0,prediction_1_1",
        ),
        "double",
    ),
    "three outputs": Said(
        [np.ones((2, 1))] * 3,
        text(*["1.0,1.0,1.0"] * 2, header="prediction_0_0,prediction_1_0,prediction_2_0"),
        "double",
    ),
    "named arrays": Said(
        {"a": np.array([1, 2]), "b": np.eye(2)}, text("1,1.0,0.0", "2,0.0,1.0", header="a,b_0,b_1"), "int64"
    ),
    "named lists": Said({"a": [1, 2], "b": ["x", None]}, text("1,x", "2,", header="a,b"), "int64"),
    "records": Said(RECORDS, text("1,eA==,1,2,0.5", "3,eQ==,3,4,1.5", header="a,b,c_0,c_1,d_e"), "int32"),
    "a frame": Said(
        FRAME,
        text(
            "1,true,x,3,0,2024-01-31T00:00:00,2024-01-31T12:00:00+01:00,a,0.10000000149011612",
            ",,,1,1,,,,",
            header="i,b,c,k,s,t,z,x,f",
        ),
        "int64",
    ),
    "a frame of odd names": Said(
        pd.DataFrame([[1, 2], [3, 4]], columns=['a,"b', 7]), text("1,2", "3,4", header='"a,""b",7'), "int64"
    ),
}

ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)

REFUSED: dict[str, Any] = {
    "half a character": ["\ud83d", "x"],
    "half a character in numpy text": np.array(["x", "\ud83d"]),
    "half a character in a key": [{"\ud83d": 1}] * 2,
    "complex numbers": [1 + 2j, 1],
    "an array of complex numbers": np.array([1j, 2]),
    "sets": [{1}, {2}],
    "any object": [object(), 1],
    "a list that holds itself": [ENDLESS, ENDLESS],
    "durations without a length": np.array([1, 2], "m8[M]"),
    "durations past 292 years": [dt.timedelta(days=10**8), dt.timedelta(0)],
    "intervals": pd.DataFrame({"i": pd.interval_range(0, 2)}),
    "periods": pd.DataFrame({"p": pd.period_range("2024-01", periods=2, freq="M")}),
    "frames for rows": [pd.DataFrame({"a": [1]})] * 2,
    "a frame without columns": pd.DataFrame(index=[0, 1]),
    "a tuple of arrays of other lengths": (np.zeros(3), np.zeros(3)),
    "a number": 3,
    "a text": "ab",
    "an object": {"a": 1, "b": 2},
}

# A job's answers stand beside the rows that they are for; an answer over HTTP may have as many as it likes.
OF_OTHER_ROWS = {"too few items": [1], "an array of three": np.zeros(3)}

BODY = {"dataframe_records": [{"row": 0}, {"row": 1}]}


NAMES = {name: f"m{number}" for number, name in enumerate([*SAID, *REFUSED])}


def answering(answer: Any) -> AnswerFunction:
    return lambda data, params: answer


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayClient]:
    answers = {**{name: said.answer for name, said in SAID.items()}, **REFUSED}
    with client(fakes={NAMES[name]: FakeModel(answering(a)) for name, a in answers.items()}) as opened:
        yield opened


def asked(gateway: GatewayClient, name: str, accept: str) -> Any:
    return gateway.post(f"/models/{NAMES[name]}/invocations", json=BODY, headers={"Accept": accept})


def scored(answer: Any, place: Path, ending: str, **shaping: Any) -> Path:
    (place / "model").mkdir(exist_ok=True)
    (place / "rows.csv").write_text("row\n0\n1\n")
    model = FakeModel(answering(answer)).load(place / "model")
    score(model, place / "rows.csv", place / f"out.{ending}", **shaping)
    return place / f"out.{ending}"


def type_of(table: pa.Table) -> str:
    field = table.schema.field(0)
    return JSON_TEXT if field.metadata and b"penstock.cells" in field.metadata else str(field.type)


def cells_of(written: str) -> list[list[Any]]:
    """The cells of a CSV, numbers as such: pyarrow writes 1 where Python writes 1.0."""
    return [[number(cell) for cell in row] for row in csv.reader(StringIO(written))]


def number(cell: str) -> Any:
    try:
        return float(cell) if len(cell) < 16 or "." in cell else cell
    except ValueError:
        return cell


@pytest.mark.parametrize("name", SAID)
def test_csv_says_it_the_same_over_http_and_in_a_file(gateway: GatewayClient, name: str, tmp_path: Path) -> None:
    answer = asked(gateway, name, CSV)
    assert (answer.status, answer.headers["content-type"]) == (200, CSV)
    assert answer.text == SAID[name].csv
    assert cells_of(scored(SAID[name].answer, tmp_path, "csv").read_text()) == cells_of(SAID[name].csv)


@pytest.mark.parametrize("name", SAID)
def test_parquet_and_arrow_say_it_the_same_over_http_and_in_a_file(
    gateway: GatewayClient, name: str, tmp_path: Path
) -> None:
    answers = {media: asked(gateway, name, media) for media in (PARQUET, ARROW)}
    assert {media: (a.status, a.headers["content-type"]) for media, a in answers.items()} == {
        media: (200, media) for media in answers
    }
    parquet, arrow = pq.read_table(BytesIO(answers[PARQUET].body)), ipc.open_stream(answers[ARROW].body).read_all()
    assert type_of(parquet) == SAID[name].type_
    files = [pq.read_table(scored(SAID[name].answer, tmp_path, "parquet"))]
    files += [ipc.open_file(scored(SAID[name].answer, tmp_path, ending)).read_all() for ending in ("arrow", "feather")]
    for table in (arrow, *files):
        assert table.schema.names == parquet.schema.names
        assert str(table.to_pylist()) == str(parquet.to_pylist())  # as text: what is not a number is not itself


# What JSON says otherwise than a table does, since it says what MLflow's says: the words of `docs/answers.md`.
OTHERWISE = {
    "NaT and text": "NaT is text in JSON",
    "NaT": "NaT is text in JSON",
    "NaT and a moment": "NaT is text in JSON",
    "a frame": "NaT is text in JSON",
    "bytes": "base64 has line ends in JSON",
    "numpy bytes": "base64 has line ends in JSON",
    "numpy moments": "numpy's nanoseconds are whole numbers in JSON",
    "pandas' durations": "numpy's nanoseconds are whole numbers in JSON",
}


@pytest.mark.parametrize("name", SAID)
def test_json_lines_say_what_json_says(gateway: GatewayClient, name: str, tmp_path: Path) -> None:
    said = SAID[name]
    written = scored(said.answer, tmp_path, "jsonl").read_text()
    assert not any(word in written for word in PYTHON)
    rows = [json.loads(line) for line in written.splitlines()]
    assert [list(row) for row in rows] == [cells for cells in csv.reader(StringIO(said.csv))][:1] * 2
    answer = asked(gateway, name, JSON)
    assert answer.status == (500 if said.no_json else 200)
    if said.no_json or name in OTHERWISE:
        return
    predictions = json.loads(answer.text)["predictions"]
    if isinstance(predictions, list) and list(rows[0]) == ["prediction"]:
        assert [row["prediction"] for row in rows] == predictions
    elif isinstance(predictions, list) and isinstance(predictions[0], dict):
        assert rows == predictions


@pytest.mark.parametrize("media", [CSV, PARQUET, ARROW])
@pytest.mark.parametrize("name", REFUSED)
def test_json_comes_where_no_table_can_be_made(gateway: GatewayClient, name: str, media: str) -> None:
    plain, answer = asked(gateway, name, JSON), asked(gateway, name, media)
    assert answer.status == plain.status
    if plain.status == 200:
        assert (answer.body, answer.headers["content-type"]) == (plain.body, JSON)
    else:
        assert is_a_sentence(answer.json()["message"])


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "arrow"])
@pytest.mark.parametrize("name", [*REFUSED, *OF_OTHER_ROWS])
def test_a_job_ends_with_one_sentence_where_no_table_can_be_made(name: str, ending: str, tmp_path: Path) -> None:
    with pytest.raises(ScoringError) as refused:
        scored({**REFUSED, **OF_OTHER_ROWS}[name], tmp_path, ending)
    assert is_a_sentence(refused.value.message)
    assert not (tmp_path / f"out.{ending}").exists()


PYTHON = ("Traceback", "Arrow", "Decimal(", "Timestamp(", "datetime.", "timedelta(", "UUID(", "array(", "0x")


def is_a_sentence(message: str) -> bool:
    found = [word for word in PYTHON if word in message]
    return message.endswith(".") and "\n" not in message and not found


def test_a_cell_without_a_form_is_its_rows_fault_alone(tmp_path: Path) -> None:
    def answer(data: Any, params: Any) -> list[Any]:
        return [1j if cell == 1 else float(cell) for cell in data["row"]]

    (tmp_path / "rows.csv").write_text("row\n0\n1\n2\n")
    (tmp_path / "model").mkdir()
    model = FakeModel(answer).load(tmp_path / "model")
    summary = score(model, tmp_path / "rows.csv", tmp_path / "out.csv", rejects=tmp_path / "bad.jsonl", on_error="skip")
    assert (summary.rows_out, summary.rejects) == (2, 1)
    reject = json.loads((tmp_path / "bad.jsonl").read_text())
    assert (reject["row"], reject["reason"]) == (
        1,
        "the model's answer holds, in column 'prediction', a complex, which tables have no form for",
    )


def test_later_rows_of_another_kind_are_refused_by_name(tmp_path: Path) -> None:
    calls = iter([["a"], [1], [[1, "a"]]])
    with pytest.raises(ScoringError, match=r"^Column 'prediction' is string in the first rows and has values of other"):
        _in_parts(lambda *_: next(calls), tmp_path)


def test_what_has_no_one_type_in_the_first_rows_takes_anything_later(tmp_path: Path) -> None:
    calls = iter([[{}], [1], ["a"]])
    written = _in_parts(lambda *_: next(calls), tmp_path)
    assert [json.loads(line)["prediction"] for line in written.splitlines()] == [{}, 1, "a"]


def _in_parts(answer: Any, place: Path) -> str:
    """What a job writes whose chunks are files of one row each."""
    (place / "model").mkdir()
    files = [place / f"{number}.csv" for number in range(3)]
    for file in files:
        file.write_text("row\n0\n")
    score(FakeModel(answer).load(place / "model"), files, place / "out.jsonl")
    return (place / "out.jsonl").read_text()
