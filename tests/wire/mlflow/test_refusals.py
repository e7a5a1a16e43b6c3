"""What a caller is told of rows that do not fit: which row, column and value, in our words and not a library's."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
import pytest

from penstock.errors import InputError
from penstock.signature import ArrayOf, Field, ObjectOf, Property, Scalar, Signature, TensorField
from penstock.wire.mlflow.codec import BodyReader
from penstock.wire.mlflow.formats import JSON, PARQUET

COLUMNS = Signature(
    inputs=(
        Field("a", Scalar.DOUBLE),
        Field("n", Scalar.LONG, required=False),
        Field("f", Scalar.BOOLEAN, required=False),
        Field("t", Scalar.DATETIME, required=False),
        Field("b", Scalar.BINARY, required=False),
    )
)
NESTED = Signature(
    inputs=(Field("l", ArrayOf(Scalar.DOUBLE)), Field("o", ObjectOf((Property("k", Scalar.LONG),)), required=False))
)
ARRAY = Signature(inputs=(TensorField(None, np.dtype(np.float32), (-1, 2)),))
ARRAYS = Signature(inputs=(TensorField("x", np.dtype(np.int64), (-1,)), TensorField("y", np.dtype(np.str_), (-1,))))


def records(*rows: Any) -> tuple[str, bytes]:
    return JSON, json.dumps({"dataframe_records": rows}).encode()


def split(**parts: Any) -> tuple[str, bytes]:
    return JSON, json.dumps({"dataframe_split": parts}).encode()


def inputs(value: Any) -> tuple[str, bytes]:
    return JSON, json.dumps({"inputs": value}).encode()


def parquet(**columns: Any) -> tuple[str, bytes]:
    file = BytesIO()
    pd.DataFrame(columns).to_parquet(file)
    return PARQUET, file.getvalue()


CASES: list[tuple[Signature, tuple[str, bytes], str]] = [
    (
        COLUMNS,
        records({"a": 1, "t": "2021-01-01T00:00:00"}, {"a": 1, "t": "03.04.2021"}),
        "row 1, column 't': '03.04.2021' could be 2021-04-03 or 2021-03-04; send the one that is meant, year first.",
    ),
    (
        COLUMNS,
        parquet(a=[1.0], t=pd.array(["9999-12-31"], dtype="datetime64[s]")),
        "row 0, column 't': 9999-12-31 00:00:00 is out of range",
    ),
    (
        COLUMNS,
        parquet(a=[1.0, 2.0], n=pd.array([1, None], dtype="Int64")),
        "row 1, column 'n': a missing value cannot be long.",
    ),
    (COLUMNS, records({"a": 1, "n": 3}, {"a": 1, "n": None}), "row 1, column 'n': a missing value cannot be long."),
    (COLUMNS, records({"a": "x"}), "row 0, column 'a': 'x' is not a number (double)."),
    (COLUMNS, records({"a": [1]}), "row 0, column 'a': [1] is not a number (double)."),
    (
        COLUMNS,
        split(columns=["a", "t"], data=[[1, "2020-01-01"], [1, None], [1, 1577836800000]]),
        "row 2, column 't': 1577836800000 is a number, and no unit is stated for this column; "
        "send text: 2020-01-01T00:00:00Z if these are milliseconds since 1970.",
    ),
    (ARRAY, inputs([]), "the input has no rows."),
    (COLUMNS, records({"a": 1, "t": "soon"}), "row 0, column 't': 'soon' is not a date in ISO 8601, like 2024-01-31"),
    (COLUMNS, records({"a": 1, "n": 2**70}), f"row 0, column 'n': {2**70} is out of range for long."),
    (COLUMNS, records({"a": 1, "b": 5}), "row 0, column 'b': 5 is not binary (base64 text)."),
    (COLUMNS, inputs({"a": ["x"]}), "row 0, column 'a': 'x' is not a number (double)."),
    (COLUMNS, inputs({"a": [1, 2], "n": [1]}), "the columns must have the same length ('a': 2, 'n': 1)."),
    (COLUMNS, inputs([[1], [2, 3]]), "row 1: its lists have other lengths than those before."),
    (COLUMNS, split(columns=["a", "a"], data=[[1, 2]]), "duplicate columns: 'a'."),
    (COLUMNS, split(columns=["a"], data=[[1, 2]]), "There are 1 column names, but the rows have 2 cells."),
    (COLUMNS, split(columns=["a"], data=5), "The rows must be a list of lists, not 5."),
    (COLUMNS, records({"a": 1}, 5), "Record 1 must be an object, not 5."),
    (COLUMNS, split(columns=["a"], data=[[1]], index=[1, 2]), "The index must be a list of 1 labels, one for each row"),
    (
        COLUMNS,
        split(columns=["a"], data=[[1], [2]], index=[1]),
        "The index must be a list of 2 labels, one for each row",
    ),
    (COLUMNS, split(columns=["a"], data=[], index=[1]), "The index must be a list of 0 labels, one for each row"),
    (NESTED, records({"l": ["x"]}), "row 0, column 'l': "),
    (NESTED, inputs({"l": [["x"]]}), "column 'l': item 0: ['x'] is not double."),
    (ARRAY, inputs([["a", "b"]]), "row 0: 'a' is not a number (float32)."),
    (ARRAY, inputs([[1], [2, 3]]), "row 1: its lists have other lengths than those before."),
    (ARRAY, inputs([[1, 2], [{"a": 1}, 2]]), "row 1: {'a': 1} is not a number (float32)."),
    (ARRAYS, inputs({"x": [1, "q"], "y": ["a", "b"]}), "row 1, column 'x': 'q' is not a whole number (int64)."),
    (ARRAYS, inputs({"x": [None], "y": ["a"]}), "row 0, column 'x': a missing value cannot be int64."),
    (
        ARRAYS,
        parquet(x=pd.array([1, None], dtype="Int64"), y=["b", "c"]),
        "row 1, column 'x': a missing value cannot be int64",
    ),
]


@pytest.mark.parametrize(("signature", "body", "told"), CASES, ids=[told for _, _, told in CASES])
def test_a_refusal_names_row_column_and_value(signature: Signature, body: tuple[str, bytes], told: str) -> None:
    with pytest.raises(InputError) as refused:
        BodyReader(signature, frames=True).read(*body)
    assert told in refused.value.message


CELLS: list[Any] = [
    "x",
    "",
    None,
    True,
    1,
    1.5,
    2**70,
    1e400,
    [],
    [1],
    ["x"],
    {},
    {"k": 1},
    "2024-01-31",
    "2024-01-31T00:00:00Z",
]
TYPED: list[Any] = [
    pd.array([1, None], dtype="Int64"),
    pd.array([True, None], dtype="boolean"),
    pd.Categorical(["a", None]),
    pd.to_datetime(["2024-01-31", None]).tz_localize("Europe/Paris"),
    pd.to_timedelta([1, None], unit="s"),
    pd.period_range("2024-01", periods=2, freq="M"),
    [Decimal("1.5"), None],
    [dt.date(2024, 1, 31), None],
    [dt.time(1, 2), None],
    [[1.0], None],
    [{"k": 1}, None],
    [b"a", None],
    ["x", None],
]
# Words of pandas, numpy, pyarrow and Python's own conversions; and how Python writes values.
WORDS = "astype|ndarray|Series|object has no|NA or inf|literal|inhomogeneous|argument|tz_|Arrow|convert string"
VALUES = r"np\.|Timestamp\(|Decimal\(|datetime\.[dt]|array\("
FOREIGN = re.compile(f"{WORDS}|{VALUES}")
GOOD: dict[str, Any] = {"a": 1.0, "l": [1.0], "x": 1, "y": "t"}


def bodies(names: list[str]) -> Iterator[tuple[str, bytes]]:
    good = {name: GOOD[name] for name in names if name in GOOD}
    for name in names:
        for cell in CELLS:
            row = {**good, name: cell}
            lists = {key: [value] for key, value in row.items()}
            yield from (records(row), records(row, row), inputs(lists), inputs(row), inputs([row]))
        for cells in TYPED:
            yield parquet(**{**{key: [value] * 2 for key, value in good.items()}, name: cells})


@pytest.mark.parametrize("frames", [True, False], ids=["frames", "arrays"])
@pytest.mark.parametrize("signature", [COLUMNS, NESTED, ARRAY, ARRAYS], ids=["columns", "nested", "array", "arrays"])
def test_no_librarys_sentence_reaches_a_caller(signature: Signature, frames: bool) -> None:
    told = []
    for body in bodies([str(field.name or "0") for field in signature.inputs or ()]):
        try:
            BodyReader(signature, frames=frames).read(*body)
        except InputError as refused:
            told.append(refused.message)
    assert len(told) > 20
    assert [message for message in told if FOREIGN.search(message)] == []
