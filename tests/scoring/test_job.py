"""Scoring files: the answers are the estimator's own, memory is bounded by a chunk, the output is whole or absent."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from penstock.errors import ConfigError, ScoringError
from penstock.flavors.sklearn.predictor import SklearnPredictor
from penstock.loading import LoadedModel, LoadOptions, load_path
from penstock.package.save import save_model
from penstock.scoring import JobLineage, Progress, ScoringOptions, ScoringPlan, find_sources, prepare
from penstock.scoring.file_formats import needed_format
from scoring.jobs import score


def written(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path, index=False)
    return path


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


@pytest.mark.parametrize("source", [".csv", ".parquet"])
@pytest.mark.parametrize("target", [".csv", ".parquet"])
@pytest.mark.parametrize("chunk_rows", [1, 7, 150, 10_000])
def test_predictions_are_the_estimators_own_in_order(
    iris: LoadedModel, iris_frame: Any, iris_estimator: Any, tmp_path: Path, source: str, target: str, chunk_rows: int
) -> None:
    rows = written(iris_frame, tmp_path / f"rows{source}")

    summary = score(iris, rows, tmp_path / f"out{target}", chunk_rows=chunk_rows)

    assert read(tmp_path / f"out{target}")["prediction"].tolist() == iris_estimator.predict(iris_frame).tolist()
    assert (summary.rows_in, summary.columns) == (150, ("prediction",))


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_named_outputs_of_rank_two_become_numbered_columns(
    iris_onnx: LoadedModel, iris_frame: Any, iris_estimator: Any, tmp_path: Path, ending: str
) -> None:
    rows = written(iris_frame, tmp_path / f"rows{ending}")

    score(iris_onnx, rows, tmp_path / f"out{ending}", chunk_rows=64)

    scored = read(tmp_path / f"out{ending}")
    assert list(scored) == ["label", "probabilities_0", "probabilities_1", "probabilities_2"]
    assert scored["label"].tolist() == iris_estimator.predict(iris_frame).tolist()
    np.testing.assert_allclose(scored.iloc[:, 1:], iris_estimator.predict_proba(iris_frame), atol=2e-6)


@pytest.mark.parametrize("model", ["iris", "iris_onnx"])
def test_columns_are_carried_through_and_not_fed_to_the_model(
    model: str, request: pytest.FixtureRequest, iris_frame: Any, iris_estimator: Any, tmp_path: Path
) -> None:
    frame = iris_frame.assign(id=[f"{i:03}" for i in range(150)])
    rows = written(frame, tmp_path / "rows.csv")

    score(request.getfixturevalue(model), rows, tmp_path / "out.parquet", keep=("id",), chunk_rows=40)

    scored = pd.read_parquet(tmp_path / "out.parquet")
    assert scored["id"].tolist() == frame["id"].tolist(), "leading zeros are kept"
    assert scored.iloc[:, 1].tolist() == iris_estimator.predict(iris_frame).tolist()


def test_keep_all_keeps_every_column(iris: LoadedModel, iris_frame: Any, tmp_path: Path) -> None:
    rows = written(iris_frame, tmp_path / "rows.parquet")
    score(iris, rows, tmp_path / "out.parquet", keep=("*",))
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out.parquet")[list(iris_frame)], iris_frame)


def test_kept_text_stays_as_it_was_written(iris: LoadedModel, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("sepal_length,sepal_width,petal_length,petal_width\n5.10,3.50,1.4,0\n")
    score(iris, tmp_path / "rows.csv", tmp_path / "out.csv", keep=("sepal_length",))
    assert (tmp_path / "out.csv").read_text().splitlines() == ["sepal_length,prediction", "5.10,0"]


def test_keeping_an_unknown_column_is_refused(iris: LoadedModel, iris_frame: Any, tmp_path: Path) -> None:
    rows = written(iris_frame, tmp_path / "rows.csv")
    with pytest.raises(ScoringError, match="no column 'colour'"):
        score(iris, rows, tmp_path / "out.csv", keep=("colour",))


def test_whole_numbers_in_a_parquet_file_fit_a_double(iris: LoadedModel, iris_frame: Any, tmp_path: Path) -> None:
    rows = written(iris_frame.round().astype("int64"), tmp_path / "rows.parquet")
    assert score(iris, rows, tmp_path / "out.csv").rows_in == 150


def test_columns_come_in_any_order_with_others_between(
    iris: LoadedModel, iris_frame: Any, iris_estimator: Any, tmp_path: Path
) -> None:
    mixed = iris_frame[iris_frame.columns[::-1]].assign(colour="blue")
    rows = written(mixed, tmp_path / "rows.csv")

    score(iris, rows, tmp_path / "out.csv")

    assert pd.read_csv(tmp_path / "out.csv")["prediction"].tolist() == iris_estimator.predict(iris_frame).tolist()


def test_a_cell_that_is_no_number_is_named_by_its_row_in_the_file(
    iris: LoadedModel, iris_frame: Any, tmp_path: Path
) -> None:
    text = iris_frame.to_csv(index=False).splitlines()
    text[1 + 77] = "5.0,abc,1.0,2.0"
    (tmp_path / "rows.csv").write_text("\n".join(text))

    with pytest.raises(ScoringError, match=r"row 77, column 'sepal_width': 'abc' is not a number"):
        score(iris, tmp_path / "rows.csv", tmp_path / "out.csv", chunk_rows=10)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("sepal_length,sepal_width\n1,2\n", "missing columns: 'petal_length', 'petal_width'"),
        ("sepal_length,sepal_width,petal_length,petal_width\n1,2,3\n", "has 3 cells, but the header has 4"),
    ],
)
def test_unfit_files_leave_what_was_there(iris: LoadedModel, tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "rows.csv").write_text(content)
    (tmp_path / "out.csv").write_text("from before")

    with pytest.raises(ScoringError, match=message):
        score(iris, tmp_path / "rows.csv", tmp_path / "out.csv")

    assert (tmp_path / "out.csv").read_text() == "from before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.csv", "rows.csv"], "nothing half-written stays"


def test_a_damaged_parquet_file_is_named(iris: LoadedModel, iris_frame: Any, tmp_path: Path) -> None:
    rows = written(iris_frame, tmp_path / "rows.parquet")
    rows.write_bytes(rows.read_bytes()[:-100])
    with pytest.raises(ScoringError, match=r"rows\.parquet cannot be read"):
        score(iris, rows, tmp_path / "out.csv")


def test_a_header_without_rows_gives_a_header_without_rows(
    iris: LoadedModel, iris_onnx: LoadedModel, iris_frame: Any, tmp_path: Path
) -> None:
    rows = written(iris_frame.iloc[:0], tmp_path / "rows.csv")

    assert score(iris, rows, tmp_path / "out.csv").rows_in == 0
    assert (tmp_path / "out.csv").read_text().split() == ["prediction"]
    score(iris_onnx, rows, tmp_path / "out.parquet")
    assert list(pd.read_parquet(tmp_path / "out.parquet")) == ["label", *(f"probabilities_{i}" for i in range(3))]


@pytest.mark.parametrize("name", ["rows.txt", "rows"])
def test_the_ending_must_tell_the_format(iris: LoadedModel, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("a\n1\n")
    with pytest.raises(ConfigError, match="no file extension that tells its format"):
        score(iris, tmp_path / name, tmp_path / "out.csv")


def test_a_missing_input_and_a_missing_directory_are_refused(
    iris: LoadedModel, iris_frame: Any, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="no file"):
        score(iris, tmp_path / "rows.csv", tmp_path / "out.csv")
    rows = written(iris_frame, tmp_path / "rows.csv")
    with pytest.raises(ScoringError, match="Nothing can be written"):
        score(iris, rows, tmp_path / "nowhere" / "out.csv")


def test_progress_only_grows_and_ends_with_every_row(iris: LoadedModel, iris_frame: Any, tmp_path: Path) -> None:
    rows = written(iris_frame, tmp_path / "rows.parquet")
    seen: list[Progress] = []

    score(iris, rows, tmp_path / "out.csv", chunk_rows=40, on_progress=seen.append)

    assert [p.rows for p in seen] == [40, 80, 120, 150]
    assert [p.share for p in seen] == sorted(p.share for p in seen)
    assert seen[-1].share == 1.0


def test_params_reach_the_model(python_package: Path, tmp_path: Path) -> None:
    from penstock.loading import LoadOptions

    model = load_path(python_package, LoadOptions(trust_code=True))
    assert model.signature is not None
    names = [str(f.name) for f in model.signature.inputs or ()]
    rows = written(pd.DataFrame(np.ones((3, len(names))), columns=names), tmp_path / "rows.csv")

    score(model, rows, tmp_path / "plain.csv")
    score(model, rows, tmp_path / "moved.csv", params={"offset": 10.0})

    plain, moved = (pd.read_csv(tmp_path / name)["prediction"] for name in ("plain.csv", "moved.csv"))
    assert (moved - plain).nunique() == 1
    assert moved[0] != plain[0]


def test_lines_that_end_with_carriage_returns_are_read(
    iris: LoadedModel, iris_frame: Any, iris_estimator: Any, tmp_path: Path
) -> None:
    iris_frame.assign(note='two\nlines, "quoted"').to_csv(tmp_path / "rows.csv", index=False)
    text = (tmp_path / "rows.csv").read_bytes()
    (tmp_path / "rows.csv").write_bytes(text.replace(b"\n", b"\r"))
    score(iris, tmp_path / "rows.csv", tmp_path / "out.parquet", keep=("note",), chunk_rows=64)
    found = pd.read_parquet(tmp_path / "out.parquet")
    assert found["prediction"].tolist() == iris_estimator.predict(iris_frame).tolist()
    assert set(found["note"]) == {'two\rlines, "quoted"'}  # as pandas reads it


DTYPES = '''
"""Answers with the dtypes that it sees."""


class Model:
    def predict(self, inputs, params):
        return [",".join(map(str, inputs.dtypes))] * len(inputs)
'''


@pytest.mark.parametrize("ending", [".parquet", ".arrow", ".csv", ".jsonl"])
def test_text_reaches_a_model_as_pandas_reads_it(tmp_path: Path, ending: str) -> None:
    (tmp_path / "dtypes_model.py").write_text(DTYPES)
    frame = pd.DataFrame({"word": ["a", None, "c", None], "number": [1.0, 2.0, 3.0, 4.0]})
    package = save_model(tmp_path / "dtypes_model.py", tmp_path / "model", example=frame)
    target = tmp_path / f"rows{ending}"
    if ending == ".parquet":
        frame.to_parquet(target)
    elif ending == ".arrow":
        frame.to_feather(target)
    elif ending == ".csv":
        frame.to_csv(target, index=False)
    else:
        frame.to_json(target, orient="records", lines=True)
    model = load_path(package.path, LoadOptions(trust_code=True))
    score(model, target, tmp_path / "out.csv", chunk_rows=3)
    assert set(pd.read_csv(tmp_path / "out.csv")["prediction"]) == {"str,float64"}


def test_how_long_it_will_take_is_told_by_the_clock_it_is_given(
    iris: LoadedModel, iris_frame: Any, tmp_path: Path
) -> None:
    rows = written(iris_frame, tmp_path / "rows.csv")
    sources = find_sources([str(rows)], None)
    for limit, seconds in ((None, 20), (30, 4), (15, 2), (3, 2)):  # two seconds for a tenth of the rows, or fewer
        options = ScoringOptions(needed_format("out.csv", None, ""), chunk_rows=15, limit=limit)
        plan = ScoringPlan(JobLineage("iris", "1", iris.digest), sources, options)
        prepared = prepare(plan, iris, LoadOptions(threads=1), clock=iter([100.0, 102.0]).__next__)
        assert prepared.seconds == pytest.approx(seconds, rel=0.3)


def test_the_seconds_of_a_job_of_one_chunk_hold_its_predictions(
    iris: LoadedModel, iris_frame: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first rows are scored before the run begins, and may be all."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr("penstock.scoring.job.perf_counter", lambda: clock.now)
    predict = SklearnPredictor._predict

    def slow(self: SklearnPredictor, *arguments: Any) -> Any:
        clock.now += 7.0
        return predict(self, *arguments)

    monkeypatch.setattr(SklearnPredictor, "_predict", slow)
    rows = written(iris_frame, tmp_path / "rows.csv")
    assert score(iris, rows, tmp_path / "out.csv").seconds == 7.0
    assert score(iris, rows, tmp_path / "out.csv", chunk_rows=75).seconds == 14.0


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize("on_error", ["fail", "null"])
def test_no_row_is_predicted_twice(
    iris: LoadedModel, iris_frame: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, on_error: str
) -> None:
    """Neither those that are looked at first."""
    predicted: list[int] = []
    real = SklearnPredictor._predict

    def counted(self: SklearnPredictor, payload: Any, params: Any) -> Any:
        predicted.append(payload.rows)
        return real(self, payload, params)

    monkeypatch.setattr(SklearnPredictor, "_predict", counted)
    rows = written(iris_frame, tmp_path / f"rows{ending}")
    for chunk_rows in (1000, 40):
        predicted.clear()
        out = tmp_path / f"out-{chunk_rows}{ending}"
        summary = score(iris, rows, out, chunk_rows=chunk_rows, keep=("sepal_length",), on_error=on_error)
        assert (sum(predicted), summary.rows_out) == (150, 150)
    assert read(tmp_path / f"out-1000{ending}").equals(read(out))
    predicted.clear()
    score(iris, rows, f"{tmp_path}/parts/", output_format="csv", part_rows=60, lineage="columns")
    assert sum(predicted) == 150
