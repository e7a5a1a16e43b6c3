"""Bad rows never sink the good ones around them: what is scored is what scoring row by row would give."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import PredictError, SchemaMismatch, ScoringError, TooManyRejects
from penstock.loading import LoadedModel, LoadOptions, load_path
from penstock.package.save import save_model
from penstock.payload import Params, Payload, Tensors
from penstock.scoring import Tolerance
from penstock.scoring.score.scorer import bisect
from penstock.scoring.write import sinks
from scoring.jobs import score

HEADER = "sepal_length,sepal_width,petal_length,petal_width,id\n"


@given(st.integers(0, 40), st.sets(st.integers(0, 39)), st.booleans())
def test_bisecting_gives_what_row_by_row_gives(count: int, bad: set[int], first_only: bool) -> None:
    asked: list[int] = []

    def predict(payload: Payload, params: Params) -> Payload:
        assert isinstance(payload, Tensors)
        asked.append(len(payload.arrays[0]))
        if found := bad & set(payload.arrays[0].tolist()):
            raise PredictError(f"cannot do {min(found)}.")
        return Tensors.single(payload.arrays[0] * 10)

    pieces, failed = bisect(predict, Tensors.single(np.arange(count)), None, count, first_only=first_only)

    wrong = sorted(b for b in bad if b < count)
    if first_only and wrong:
        assert failed == [(wrong[0], f"cannot do {wrong[0]}")]
        return
    assert failed == [(b, f"cannot do {b}") for b in wrong]
    answered = [int(value) for piece in pieces for value in piece["prediction"]]
    assert answered == [i * 10 for i in range(count) if i not in bad]
    if len(wrong) == 1:
        assert len(asked) <= 2 * count.bit_length() + 1, "one bad row costs a logarithm"


def rejected(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


BAD = (
    HEADER
    + "5.1,3.5,1.4,0.2,a\n"
    + "6.7,x,5.2,2.3,b\n"  # no number
    + "5.9,3.0,4.2\n"  # too short
    + "\n"  # no row at all
    + "5.9,3.0,4.2,1.5,d\n"
    + "5.9,3.0,4.2,1e999,e\n"  # out of range
    + '6.7,3.0,5.2,2.3,"f\n""2"""\n'
)


@pytest.mark.parametrize("model", ["iris", "iris_onnx"])
@pytest.mark.parametrize("chunk_rows", [1, 3, 100])
def test_rejects_tell_file_row_column_reason_and_value(
    model: str, request: pytest.FixtureRequest, tmp_path: Path, chunk_rows: int
) -> None:
    source = tmp_path / "rows.csv"
    source.write_text(BAD)
    loaded = request.getfixturevalue(model)

    summary = score(
        loaded, source, tmp_path / "out.csv", keep=("id",), on_error="skip", rejects=tmp_path / "bad.jsonl",
        chunk_rows=chunk_rows,
    )  # fmt: skip

    out = pd.read_csv(tmp_path / "out.csv")
    assert out["id"].tolist() == ["a", "d", 'f\n"2"']
    assert out.iloc[:, 1].tolist() == [0, 1, 2]
    assert (summary.rows_in, summary.rows_out, summary.rejects) == (6, 3, 3)
    told = rejected(tmp_path / "bad.jsonl")
    assert [(r["row"], r["column"]) for r in told] == [(1, "sepal_width"), (2, None), (4, "petal_width")]
    assert all(r["file"] == str(source) for r in told)
    assert [r["value"] for r in told] == ["x", "5.9,3.0,4.2", "1e999"]
    assert told[0]["reason"].startswith("'x' is not a number")
    assert told[1]["reason"] == "has 3 cells, but the header has 5"


def test_null_keeps_every_row_in_its_place(iris: LoadedModel, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(BAD)
    for target in ("out.parquet", "out.jsonl"):
        score(iris, tmp_path / "rows.csv", tmp_path / target, keep=("id",), on_error="null", chunk_rows=2)
    out = pd.read_parquet(tmp_path / "out.parquet", dtype_backend="pyarrow")
    assert out["prediction"].tolist() == [0, pd.NA, pd.NA, 1, pd.NA, 2]
    assert out["id"].tolist() == ["a", "b", pd.NA, "d", "e", 'f\n"2"']
    lines = [orjson.loads(line) for line in (tmp_path / "out.jsonl").read_bytes().splitlines()]
    assert [line["prediction"] for line in lines] == [0, None, None, 1, None, 2]


@pytest.mark.parametrize("on_error", ["skip", "null"])
def test_a_file_of_bad_rows_alone_gives_no_prediction(iris: LoadedModel, tmp_path: Path, on_error: str) -> None:
    (tmp_path / "rows.csv").write_text(HEADER + "x,1,1,1,a\ny,1,1,1,b\n")
    summary = score(iris, tmp_path / "rows.csv", tmp_path / "out.csv", on_error=on_error)
    assert (summary.rejects, summary.columns) == (2, ("prediction",))
    rows = (tmp_path / "out.csv").read_text().splitlines()
    assert rows == ["prediction", *(['""', '""'] if on_error == "null" else [])], "an empty line would be no row"


def test_fail_names_the_first_bad_row_and_writes_nothing(iris: LoadedModel, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(BAD)
    with pytest.raises(ScoringError, match=r"rows\.csv, row 1, column 'sepal_width': 'x' is not a number"):
        score(iris, tmp_path / "rows.csv", tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


FUSSY = '''
"""Refuses odd numbers."""

import numpy as np


class Model:
    def predict(self, inputs, params):
        numbers = np.asarray(inputs, dtype=np.float64)[:, 0]
        if (numbers % 2 == 1).any():
            raise ValueError("odd")
        return numbers * 10
'''


@pytest.fixture(scope="module")
def fussy(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    place = tmp_path_factory.mktemp("fussy")
    (place / "fussy_model.py").write_text(FUSSY)
    example = pd.DataFrame({"n": [0.0, 2.0]})
    package = save_model(place / "fussy_model.py", place / "model", example=example, batchable=True)
    return load_path(package.path, LoadOptions(trust_code=True))


@pytest.mark.parametrize("chunk_rows", [1, 7, 100])
def test_rows_on_which_the_model_fails_are_rejected_alone(fussy: LoadedModel, tmp_path: Path, chunk_rows: int) -> None:
    pd.DataFrame({"n": [0, 2, 3, 4, 6, 7, 9, 10]}).to_parquet(tmp_path / "rows.parquet")
    score(
        fussy, tmp_path / "rows.parquet", tmp_path / "out.csv", keep=("n",), on_error="skip",
        rejects=tmp_path / "bad.jsonl", chunk_rows=chunk_rows,
    )  # fmt: skip
    assert pd.read_csv(tmp_path / "out.csv").values.tolist() == [[n, n * 10] for n in (0, 2, 4, 6, 10)]
    told = rejected(tmp_path / "bad.jsonl")
    assert [(r["row"], r["value"]) for r in told] == [(2, {"n": 3}), (5, {"n": 7}), (6, {"n": 9})]
    assert told[0]["reason"] == "The model failed: ValueError: odd"
    with pytest.raises(ScoringError, match=r"row 2: The model failed: ValueError: odd"):
        score(fussy, tmp_path / "rows.parquet", tmp_path / "other.csv", chunk_rows=chunk_rows)


@pytest.mark.parametrize(
    ("tolerance", "passes"),
    [
        (Tolerance(count=3), True),
        (Tolerance(count=2), False),
        (Tolerance(share=0.5), True),
        (Tolerance(share=0.4), False),
    ],
)
def test_more_rejects_than_tolerated_fail_the_job(
    iris: LoadedModel, tmp_path: Path, tolerance: Tolerance, passes: bool
) -> None:
    (tmp_path / "rows.csv").write_text(BAD)
    arguments: dict[str, Any] = {"on_error": "skip", "rejects": tmp_path / "bad.jsonl", "tolerance": tolerance}
    if passes:
        score(iris, tmp_path / "rows.csv", tmp_path / "out.csv", chunk_rows=1, **arguments)
        return
    with pytest.raises(TooManyRejects, match=r"of \d rows were rejected; the limit is .*\."):
        score(iris, tmp_path / "rows.csv", tmp_path / "out.csv", chunk_rows=1, **arguments)
    assert not (tmp_path / "out.csv").exists()
    assert rejected(tmp_path / "bad.jsonl"), "the rejects are there to be looked at"
    with pytest.raises(TooManyRejects):
        score(iris, tmp_path / "rows.csv", f"{tmp_path}/out/", output_format="csv", chunk_rows=1, **arguments)
    assert not (tmp_path / "out" / "_SUCCESS").exists()


def test_a_missing_column_is_no_matter_of_rows(iris: LoadedModel, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("sepal_length,colour\n1,red\n")
    with pytest.raises(SchemaMismatch, match=r"missing columns: 'sepal_width'.*unknown columns: 'colour'"):
        score(iris, tmp_path / "rows.csv", tmp_path / "out.csv", on_error="skip")


def test_lines_that_are_no_objects_are_rejected(iris: LoadedModel, tmp_path: Path) -> None:
    good = '{"sepal_length": 5, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}'
    bad = ["[1", "2], [3]", "7", '{"sepal_length": "x"}', good.replace("5,", '"five",')]
    (tmp_path / "rows.jsonl").write_text("\n".join([good, *bad, good]))
    score(iris, tmp_path / "rows.jsonl", tmp_path / "out.csv", on_error="skip", rejects=tmp_path / "bad.jsonl")
    assert (tmp_path / "out.csv").read_text() == "prediction\n0\n0\n"
    assert [r["row"] for r in rejected(tmp_path / "bad.jsonl")] == [1, 2, 3, 4, 5]


def test_keeping_a_key_that_no_line_has_is_refused(iris: LoadedModel, tmp_path: Path) -> None:
    good = '{"sepal_length": 5, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}'
    (tmp_path / "rows.jsonl").write_text(f"{good}\n")
    with pytest.raises(ScoringError, match="no column 'ident' to copy to the output"):
        score(iris, tmp_path / "rows.jsonl", tmp_path / "out.csv", keep=("ident",))


def test_a_full_disk_leaves_no_output(iris: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rows.csv").write_text(HEADER + "5.1,3.5,1.4,0.2,a\n")

    def fail(file: object, scored: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sinks, "_put", fail)
    with pytest.raises(ScoringError, match="cannot be written: No space left on device"):
        score(iris, tmp_path / "rows.csv", tmp_path / "out.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["rows.csv"]


@pytest.mark.parametrize("last", ['"5,1,1,1', '5,1,1,"1', '5,1,1,1\n"'])
def test_a_quote_that_is_never_closed_is_one_reject(iris: LoadedModel, tmp_path: Path, last: str) -> None:
    header = "sepal_length,sepal_width,petal_length,petal_width\n"
    (tmp_path / "rows.csv").write_text(f"{header}5.1,3.5,1.4,0.2\n{last}\n")
    score(iris, tmp_path / "rows.csv", tmp_path / "out.csv", on_error="skip", rejects=tmp_path / "bad.jsonl")
    assert (tmp_path / "out.csv").read_text().startswith("prediction\n0\n")
    assert rejected(tmp_path / "bad.jsonl")[-1]["reason"] == "has a quote that is never closed"
    with pytest.raises(ScoringError, match="has a quote that is never closed"):
        score(iris, tmp_path / "rows.csv", tmp_path / "other.csv")
