"""Recorded examples: what is written can be sent, is read back as it was, and answers are compared with sense."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.cli.package.example_option import zeros_lost
from penstock.errors import PackageInvalid, PackagingFailed
from penstock.manifest import Manifest
from penstock.package.example import (
    ABSOLUTE_TOLERANCE,
    EXPECTED,
    INPUT,
    RELATIVE_TOLERANCE,
    SERVING_INPUT,
    answers_differ,
    read_example,
    record_expected,
    write_example,
)
from penstock.package_file import EXAMPLE_LIMIT
from penstock.payload import TEXT, Payload, Table, Tensors, Value, as_object_array
from penstock.signature import Field, Param, Scalar, Signature, infer_signature

# comparing answers


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        (1.0, 1.0 + 0.9 * RELATIVE_TOLERANCE),
        (0.0, 0.9 * ABSOLUTE_TOLERANCE),
        (1e6, 1e6 * (1 + 0.9 * RELATIVE_TOLERANCE)),
        (1.0, 1),
        (3, 3),
        ("a", "a"),
        (None, None),
        (True, True),
        ([], []),
        ({}, {}),
        ([[1.0, None]], [[1.00001, None]]),
        ({"a": [1.0], "b": "x"}, {"b": "x", "a": [1.00001]}),
    ],
)
def test_answers_within_the_tolerance_are_the_same(expected: Any, actual: Any) -> None:
    assert answers_differ(expected, actual) == ""


@pytest.mark.parametrize(
    ("expected", "actual", "where"),
    [
        (1.0, 1.0 + 1.1 * RELATIVE_TOLERANCE, "predictions: 1.0 was recorded"),
        (0.0, 1.1 * ABSOLUTE_TOLERANCE, "predictions"),
        (1.0, True, "predictions"),
        (1, True, "predictions"),
        (True, 1, "predictions"),
        (1, 2, "predictions"),
        (1000000, 1000001, "predictions"),  # labels are equal or not
        ("a", "b", "predictions: 'a' was recorded, 'b' came"),
        (None, 0.0, "predictions"),
        (0.0, None, "predictions"),
        (1.0, "1.0", "predictions"),
        ([1.0], 1.0, "predictions"),
        ([1, 2], [1], "predictions: 2 items were recorded, 1 came"),
        ([1, [2, 3.0]], [1, [2, 4.0]], "predictions[1][1]: 3.0 was recorded, 4.0 came"),
        ({"a": 1}, {"b": 1}, "predictions: the keys differ (a, b)"),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, "predictions.a[0].b"),
        ({"a": 1}, [1], "predictions"),
    ],
)
def test_answers_that_differ_say_where(expected: Any, actual: Any, where: str) -> None:
    assert answers_differ(expected, actual).startswith(where)


answers = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None)
@given(answers, answers)
def test_comparing_never_fails_and_knows_equals(one: Any, other: Any) -> None:
    assert answers_differ(one, one) == ""
    assert isinstance(answers_differ(one, other), str)


# writing and reading


def round_trip(directory: Path, payload: Payload, params: dict[str, Any] | None = None) -> Any:
    signature = infer_signature(payload, None, params)
    info = write_example(directory, payload, params or {})
    content = {"flavors": {}, "signature": signature.to_mlflow(), "saved_input_example_info": info}
    for name in (INPUT, SERVING_INPUT):
        orjson.loads((directory / name).read_bytes())  # strict JSON, NaN and all
    return read_example(directory, Manifest(content))


def cells(payload: Payload) -> Any:
    if isinstance(payload, Table):
        return payload.names, [[repr(c) for c in column] for column in payload.iter_columns()]
    assert isinstance(payload, Tensors)
    return payload.names, [(a.dtype, a.tolist()) for a in payload.arrays]


@pytest.mark.parametrize(
    "payload",
    [
        Table(("a", "b"), block=np.array([[1.5, np.nan], [0.1, 1e300]])),
        Table.of(["f"], [np.array([0.1, 2.5], np.float32)]),
        Table.of(["n", "s"], [np.array([2**53 + 1]), as_object_array(["x"])]),
        Table.of(["s"], [np.array(["x", np.nan], dtype=TEXT)]),
        Table.of(["o"], [as_object_array([True, np.nan])]),
        Table.of(["b"], [as_object_array([b"\x00\xff" * 60])]),
        Table.of(["t"], [np.array(["2026-01-02T03:04:05.123456789", "NaT"], "M8[ns]")]),
        Table.of(
            ["l", "d"], [as_object_array([[1, 2], [3]]), as_object_array([{"k": np.int64(1)}, {"k": np.int64(2)}])]
        ),
        Table.of(["l"], [as_object_array([[1.5], None])]),
        Table(None, block=np.array([[1.0, 2.0]])),
        Table((0, 1), block=np.array([[1.0, 2.0]])),
        Tensors.single(np.arange(6, dtype=np.float32).reshape(2, 3) / 7),
        Tensors.single(np.array([[1, 2**53 + 1]])),
        Tensors.single(np.array([True, False])),
        Tensors.single(np.array(["a", "bcd"])),
        Tensors.named({"x": np.zeros((2, 2), np.uint8), "y": np.array([1.5, np.nan])}),
    ],
    ids=repr,
)
def test_a_payload_is_read_back_as_it_was(tmp_path: Path, payload: Payload) -> None:
    example = round_trip(tmp_path, payload)
    got, was = cells(example.payload), cells(payload)
    assert repr(got) == repr(was)
    assert not example.has_expected


def test_params_stand_beside_the_input(tmp_path: Path) -> None:
    example = round_trip(tmp_path, Tensors.single(np.zeros((1, 2))), {"t": 0.5, "stop": ["."]})
    assert example.params == {"t": 0.5, "stop": ["."]}
    assert json.loads(example.body) == {"inputs": [[0.0, 0.0]], "params": {"t": 0.5, "stop": ["."]}}
    assert json.loads((tmp_path / INPUT).read_bytes()) == json.loads(example.body)


@pytest.mark.parametrize("key", ["messages", "prompt", "input"])
def test_chat_shaped_objects_are_a_body_as_they_are(tmp_path: Path, key: str) -> None:
    value = {key: [{"role": "user", "content": "hi"}], "stream": False}
    example = round_trip(tmp_path, Value(value), {"t": 0.5})
    assert json.loads(example.body) == {**value, "t": 0.5}
    assert example.payload.value == value
    assert example.params == {"t": 0.5}


def test_what_json_has_no_form_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackagingFailed, match=r"example cannot be sent as JSON.*complex"):
        write_example(tmp_path, Value([1j]), {})


def test_the_expected_answer_is_read_with_the_example(tmp_path: Path) -> None:
    write_example(tmp_path, Tensors.single(np.zeros((1, 2))), {})
    record_expected(tmp_path, Tensors.single(np.array([0.5])))
    example = read_example(tmp_path, Manifest({"flavors": {}}))
    assert example is not None
    assert example.has_expected
    assert example.expected == {"predictions": [0.5]}


# what MLflow wrote


COLUMNS = Signature((Field("a", Scalar.DOUBLE), Field("s", Scalar.STRING)), None, (Param("t", Scalar.DOUBLE, 0.5),))
NUMBERED = Signature((Field(0, Scalar.DOUBLE), Field(1, Scalar.DOUBLE)))


def mlflow(directory: Path, bare: str, info: dict[str, Any], signature: Signature | None) -> Any:
    (directory / INPUT).write_text(bare)
    content: dict[str, Any] = {"flavors": {}, "saved_input_example_info": {"artifact_path": INPUT, **info}}
    if signature is not None:
        content["signature"] = signature.to_mlflow()
    return read_example(directory, Manifest(content))


@pytest.mark.parametrize(
    ("bare", "info", "signature", "rows"),
    [
        ('{"columns": ["a", "s"], "data": [[1.5, "x"], [NaN, null]]}', {"type": "dataframe"}, COLUMNS, 2),
        ('{"columns": ["a", "s"], "index": [7], "data": [[1.5, "x"]]}', {"type": "dataframe"}, COLUMNS, 1),
        ('{"data": [[1, 2], [3, 4]]}', {"type": "dataframe", "pandas_orient": "values"}, NUMBERED, 2),
        ('{"inputs": [[1.0, 2.0]]}', {"type": "ndarray", "format": "tf-serving"}, None, 1),
        ("[[1.0, 2.0], [3.0, 4.0]]", {"type": "ndarray"}, None, 2),
        ('{"inputs": {"a": [1], "s": ["x"]}, "params": {"t": 0.1}}', {"type": "json_object"}, COLUMNS, 1),
    ],
)
def test_bare_examples_of_earlier_releases_are_read(
    tmp_path: Path, bare: str, info: dict[str, Any], signature: Signature | None, rows: int
) -> None:
    example = mlflow(tmp_path, bare, info, signature)
    assert example.payload.rows == rows
    if '"params"' in bare:
        assert example.params == {"t": 0.1}


def test_sparse_examples_are_left_aside(tmp_path: Path) -> None:
    bare = '{"data": [1.0], "indices": [0], "indptr": [0, 1], "shape": [1, 1]}'
    assert mlflow(tmp_path, bare, {"type": "sparse_matrix_csr"}, None) is None


def test_a_package_without_example_files_has_none(tmp_path: Path) -> None:
    assert read_example(tmp_path, Manifest({"flavors": {}})) is None


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("{", "JSON"),
        ("[1]", "object"),
        ('{"dataframe_split": {}}', "dataframe_split"),
        ('{"dataframe_split": {"columns": ["a", "s"], "data": [["x", "y"]]}}', "does not fit its signature: row 0"),
        ('{"dataframe_split": {"columns": ["a"], "data": [[1]]}}', "missing columns"),
        ('{"inputs": {"a": [1], "s": ["x"]}, "params": {"t": "hot"}}', "param 't'"),
    ],
)
def test_an_unusable_example_is_the_packages_fault(tmp_path: Path, body: str, why: str) -> None:
    (tmp_path / SERVING_INPUT).write_text(body)
    with pytest.raises(PackageInvalid, match=why):
        read_example(tmp_path, Manifest({"flavors": {}, "signature": COLUMNS.to_mlflow()}))


def test_an_unusable_expectation_is_the_packages_fault(tmp_path: Path) -> None:
    (tmp_path / SERVING_INPUT).write_text('{"inputs": [1]}')
    (tmp_path / EXPECTED).write_text("{")
    with pytest.raises(PackageInvalid, match="example cannot be used"):
        read_example(tmp_path, Manifest({"flavors": {}}))


# what others wrote


def test_an_example_is_read_within_the_budget_of_a_body(tmp_path: Path) -> None:
    """Each record has a key of its own: 20,000 rows and as many columns."""
    records = [{f"a{i}": 1} for i in range(20_000)]
    (tmp_path / SERVING_INPUT).write_bytes(orjson.dumps({"dataframe_records": records}))
    with pytest.raises(PackageInvalid, match="stands for"):
        read_example(tmp_path, Manifest({"flavors": {}}))


@pytest.mark.parametrize("name", [SERVING_INPUT, INPUT])
def test_an_example_that_is_too_large_or_no_file_is_refused_unread(tmp_path: Path, name: str) -> None:
    with (tmp_path / name).open("wb") as file:
        file.truncate(EXAMPLE_LIMIT + 1)
    with pytest.raises(PackageInvalid, match="too large"):
        read_example(tmp_path, Manifest({"flavors": {}}))
    (tmp_path / name).unlink()
    (tmp_path / name).mkdir()
    with pytest.raises(PackageInvalid, match="not a regular file"):
        read_example(tmp_path, Manifest({"flavors": {}}))


def test_a_csv_example_whose_numbers_lose_zeros_is_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("zip,n,text\n00123,0,007\n90210,10,x\n")
    (warning,) = zeros_lost(path)
    assert warning.startswith("Column 'zip' is read as numbers, so '00123' loses its zeros.")
    assert zeros_lost(tmp_path / "rows.parquet") == []
