"""The whole input beside the answers: every format, resumed, by several workers; and names that clash."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from penstock.cli.remedies import hint_of
from penstock.errors import SchemaMismatch, ScoringError
from penstock.loading import LoadedModel
from scoring.jobs import files, score
from scoring.test_formats import read, write

JOIN = ("*",)


@pytest.fixture
def frame(iris_frame: Any) -> Any:
    ids = [f"{i:05}" if i % 2 else str(2**53 + i) for i in range(150)]
    return iris_frame.assign(id=ids, number=[2**53 + i for i in range(150)])


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("model", ["iris", "iris_onnx"])
def test_every_column_stands_beside_the_answers(
    model: str,
    request: pytest.FixtureRequest,
    frame: Any,
    iris_frame: Any,
    iris_estimator: Any,
    tmp_path: Path,
    ending: str,
) -> None:
    rows = write(frame, tmp_path / f"rows.{ending}")
    keep = (*JOIN, "id", "number")  # one array is made of the others

    score(request.getfixturevalue(model), rows, tmp_path / "out.parquet", keep=keep, chunk_rows=40)

    out = pd.read_parquet(tmp_path / "out.parquet")
    assert list(out)[:6] == list(frame)
    assert out["id"].tolist() == frame["id"].tolist()
    assert out["number"].astype("int64").tolist() == frame["number"].tolist()
    assert out.iloc[:, 6].tolist() == iris_estimator.predict(iris_frame).tolist()


@pytest.mark.parametrize("on_error", ["skip", "null"])
def test_a_resumed_join_of_several_workers_is_the_same(
    iris: LoadedModel, frame: Any, tmp_path: Path, on_error: str
) -> None:
    frame["sepal_width"] = frame["sepal_width"].astype(str)
    frame.loc[[3, 70], "sepal_width"] = "x"
    rows = write(frame, tmp_path / "rows.csv")
    shaping: dict[str, Any] = {"keep": JOIN, "on_error": on_error, "part_rows": 40, "chunk_rows": 16}
    score(iris, rows, f"{tmp_path}/whole/", output_format="csv", **shaping)
    asked = iter([False] * 4)
    with pytest.raises(ScoringError):
        score(iris, rows, f"{tmp_path}/cut/", output_format="csv", stopped=lambda: next(asked, True), **shaping)

    score(iris, rows, f"{tmp_path}/cut/", output_format="csv", resume=True, workers=2, **shaping)

    assert files(tmp_path / "cut") == files(tmp_path / "whole")
    parts = sorted((tmp_path / "whole").glob("part-*.csv"))
    out = pd.concat([pd.read_csv(part, dtype=str) for part in parts], ignore_index=True)
    expected = frame if on_error == "null" else frame.drop([3, 70])
    assert out["id"].tolist() == expected["id"].tolist()
    assert out["sepal_width"].tolist() == expected["sepal_width"].tolist()
    assert out["prediction"].isna().sum() == (2 if on_error == "null" else 0)


def test_a_column_named_as_an_answer_is_refused_with_the_command_that_copies_the_others(
    iris: LoadedModel, frame: Any, tmp_path: Path
) -> None:
    rows = write(frame.assign(prediction=1), tmp_path / "rows.csv")
    with pytest.raises(ScoringError, match="has a column 'prediction', and so does the output") as caught:
        score(iris, rows, tmp_path / "out.csv", keep=JOIN)
    assert not (tmp_path / "out.csv").exists()

    hint = hint_of(caught.value, ["score", "m", "rows.csv", "--join", "-o", "out.csv"])

    words = shlex.split(hint.partition("copy the other columns: ")[2])
    assert words[:-1] == ["penstock", "score", "m", "rows.csv", "-o", "out.csv", "--keep"]
    score(iris, rows, tmp_path / "out.csv", keep=tuple(words[-1].split(",")))
    assert list(read(tmp_path / "out.csv")) == [*frame, "prediction"]


def test_a_name_that_no_column_has_is_refused_beside_all(iris: LoadedModel, frame: Any, tmp_path: Path) -> None:
    rows = write(frame, tmp_path / "rows.csv")
    with pytest.raises(SchemaMismatch, match="no column 'colour'"):
        score(iris, rows, tmp_path / "out.csv", keep=(*JOIN, "colour"))


def test_columns_that_no_first_line_tells_are_not_left_out_without_a_word(
    iris: LoadedModel, frame: Any, tmp_path: Path
) -> None:
    rows = write(frame, tmp_path / "rows.jsonl")
    rows.write_bytes(b"{\n{\n" + rows.read_bytes())
    shaping: dict[str, Any] = {"on_error": "skip", "chunk_rows": 2}
    with pytest.raises(ScoringError, match=r"None of the first 2 lines .* can be read"):
        score(iris, rows, tmp_path / "out.csv", keep=JOIN, **shaping)
    assert score(iris, rows, tmp_path / "out.csv", keep=("id",), **shaping).rows_out == 150
