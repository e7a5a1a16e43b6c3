"""What pages and command lines show of a package's example: few rows, JSON that is taken, and never a failure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.manifest import Manifest
from penstock.package import PackagedModel
from penstock.package.example import EXPECTED, INPUT, SERVING_INPUT, read_example
from penstock.package.shown_example import ShownExample, show_example
from penstock.signature import Field, Param, Scalar, Signature, TensorField

COLUMNS = Signature(
    inputs=(Field("a", Scalar.DOUBLE), Field("b", Scalar.DOUBLE)), params=(Param("t", Scalar.DOUBLE, float("inf")),)
)


def show(directory: Path, signature: Signature | None = COLUMNS, **options: Any) -> ShownExample:
    content = {"flavors": {}, **({"signature": signature.to_mlflow()} if signature else {})}
    return show_example(PackagedModel(directory, Manifest(content)), **{"rows": 2, **options})


def split(*rows: list[Any], **more: Any) -> dict[str, Any]:
    return {"dataframe_split": {"columns": ["a", "b"], "data": list(rows)}, **more}


def test_the_first_rows_and_their_answers_are_shown(tmp_path: Path) -> None:
    (tmp_path / SERVING_INPUT).write_text(json.dumps(split(*([[float(i), 0.5] for i in range(9)]))))
    (tmp_path / EXPECTED).write_text(json.dumps({"predictions": list(range(9))}))
    assert show(tmp_path) == ShownExample(split([0.0, 0.5], [1.0, 0.5]), {"predictions": [0, 1]}, True)
    assert len(show(tmp_path, rows=100).request["dataframe_split"]["data"]) == 9  # type: ignore[index]


@pytest.mark.parametrize("envelope", ["dataframe_records", "inputs", "instances"])
def test_every_envelope_is_cut(tmp_path: Path, envelope: str) -> None:
    rows = [{"a": float(i), "b": 1.0} for i in range(5)]
    (tmp_path / SERVING_INPUT).write_text(json.dumps({envelope: rows}))
    assert show(tmp_path).request == {envelope: rows[:2]}


def test_what_the_model_takes_only_whole_is_shown_whole(tmp_path: Path) -> None:
    fixed = Signature(inputs=(TensorField(None, np.dtype(np.float64), (3,)),))
    (tmp_path / SERVING_INPUT).write_text('{"inputs": [1.0, 2.0, 3.0]}')
    assert show(tmp_path, fixed).request == {"inputs": [1.0, 2.0, 3.0]}


def test_gaps_are_null_where_that_is_the_same_to_the_model(tmp_path: Path) -> None:
    (tmp_path / SERVING_INPUT).write_text(json.dumps(split([1.0, float("nan")], params={"t": float("inf")})))
    assert show(tmp_path).request == split([1.0, None]), "the param is its default, and is left out"


@pytest.mark.parametrize(
    ("body", "signature"),
    [
        (split([1.0, float("inf")]), COLUMNS),
        (split([1.0, 2.0], params={"t": float("nan")}), COLUMNS),
        ({"inputs": {"x": [1.0, float("nan")], "y": "t"}}, None),
    ],
)
def test_words_stay_where_null_would_be_something_else(
    tmp_path: Path, body: dict[str, Any], signature: Signature | None
) -> None:
    (tmp_path / SERVING_INPUT).write_text(json.dumps(body))
    assert show(tmp_path, signature).request == json.dumps(body)


@pytest.mark.parametrize("name", [SERVING_INPUT, INPUT, EXPECTED])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"a,b\n1,2\n",
        b"[" * 100_000,
        b'{"inputs": %b}' % (b"[" * 500 + b"]" * 500),
        b'{"inputs": %b}' % (b'{"a":' * 900 + b"1" + b"}" * 900),
        b'{"inputs": [1e999]}',
        b'{"inputs": [%b]}' % (b"9" * 5000),
        b'{"inputs": "\xff\xfe"}',
        '{"inputs": [1]}'.encode("utf-16"),
        b'{"inputs": {"a": "\\ud800", "\\udc00": 1}}',
        b'{"inputs": [[NaN, Infinity',
        b'{"dataframe_split": {"columns": 5, "data": {"a": 1}}}',
    ],
)
def test_nothing_in_a_package_is_more_than_a_problem(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / SERVING_INPUT).write_text(json.dumps(split([1.0, 2.0])))
    if name == INPUT:
        (tmp_path / SERVING_INPUT).unlink()
    (tmp_path / name).write_bytes(content)
    shown = show(tmp_path)
    if name == EXPECTED:
        assert shown.problem.startswith("The package's example") or shown.answered
    else:
        assert shown.problem.startswith("The package's example")
    json.dumps(shown.request)


def test_links_missing_files_and_what_is_large_are_problems_too(tmp_path: Path) -> None:
    assert show(tmp_path) == ShownExample()
    (tmp_path / SERVING_INPUT).symlink_to("/etc/hostname")
    assert "not a regular file" in show(tmp_path).problem
    (tmp_path / SERVING_INPUT).unlink()
    (tmp_path / SERVING_INPUT).write_text(json.dumps(split(*([[1.0, 2.0]] * 100))))
    assert "is large" in show(tmp_path, limit=100).problem
    wide = Signature(inputs=(TensorField(None, np.dtype(np.float64), (-1, 20_000)),))
    (tmp_path / SERVING_INPUT).write_text(json.dumps({"inputs": [[1.5] * 20_000] * 3}))
    assert "is large" in show(tmp_path, wide).problem


def test_a_problem_names_the_file(tmp_path: Path) -> None:
    (tmp_path / INPUT).write_text("{")
    assert f"cannot be used: {INPUT} is not valid JSON" in show(tmp_path).problem
    (tmp_path / SERVING_INPUT).write_text("{")
    assert f"cannot be used: {SERVING_INPUT} is not valid JSON" in show(tmp_path).problem


def test_the_bare_input_of_older_packages_keeps_its_words(tmp_path: Path) -> None:
    """MLflow before 2.17 wrote no request beside it."""
    (tmp_path / INPUT).write_text('{"columns": ["a", "b"], "data": [[NaN, -Infinity]]}')
    example = read_example(tmp_path, Manifest({"flavors": {}, "signature": COLUMNS.to_mlflow()}))
    assert example is not None
    assert b"[NaN,-Infinity]" in example.body
    assert str(list(example.payload.iter_columns())) == "[array([nan]), array([-inf])]"  # type: ignore[union-attr]


def test_a_recorded_answer_with_words_is_compared_as_it_would_be_sent(tmp_path: Path) -> None:
    (tmp_path / SERVING_INPUT).write_text(json.dumps(split([1.0, 2.0])))
    (tmp_path / EXPECTED).write_text('{"predictions": [NaN, Infinity, 1.5]}')
    assert show(tmp_path).answer == {"predictions": [None, None, 1.5]}
