"""`penstock.score_files`: the score command, from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import penstock
from penstock.errors import ConfigError, JobDiffers, SchemaMismatch, ScoringError, TooManyRejects
from penstock.scoring import Summary


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Ten rows with the columns id, a, b; the cell b of row 7 is no number."""
    frame = pd.DataFrame({"id": range(10), "a": range(10), "b": [str(i) for i in range(10)]})
    frame.loc[7, "b"] = "seven"
    frame.to_csv(tmp_path / "rows.csv", index=False)
    return tmp_path / "rows.csv"


def test_score_files_scores_a_file_and_keeps_the_rejects(python_package: Path, rows: Path, tmp_path: Path) -> None:
    seen: list[int] = []
    done = penstock.score_files(
        python_package,
        rows,
        tmp_path / "scores.csv",
        keep=["id"],
        params={"offset": 0.5},
        on_error="skip",
        rejects=tmp_path / "bad.jsonl",
        trust_code=True,
        workers=1,
        on_progress=lambda progress: seen.append(progress.rows),
    )
    assert (done.rows_in, done.rows_out, done.rejects, done.model) == (10, 9, 1, "adder")
    assert done.columns[0] == "id"
    assert seen[-1] == 10
    scored = pd.read_csv(tmp_path / "scores.csv")
    assert scored[done.columns[1]].tolist() == [4 * i + 0.5 for i in range(10) if i != 7]
    assert '"row":7' in (tmp_path / "bad.jsonl").read_text()


def test_a_directory_of_parts_is_resumed(python_package: Path, rows: Path, tmp_path: Path) -> None:
    def score(**options: object) -> object:
        return penstock.score_files(
            python_package, [rows], tmp_path / "scored", part_rows=4, on_error="null", trust_code=True, workers=1,
            **options,  # type: ignore[arg-type]
        )  # fmt: skip

    first = score()
    again = score(resume=True)
    assert isinstance(first, Summary)
    assert isinstance(again, Summary)
    assert (first.parts, first.rows_out, again.resumed_rows) == (3, 10, 10)
    with pytest.raises(JobDiffers):
        score(resume=True, params={"offset": 1.0})


def test_options_that_do_not_go_together_are_refused(python_package: Path, rows: Path, tmp_path: Path) -> None:
    def score(output: Path, inputs: object = rows, **options: object) -> None:
        penstock.score_files(python_package, inputs, output, trust_code=True, **options)  # type: ignore[arg-type]

    with pytest.raises(ConfigError, match="is the input"):
        score(rows)
    with pytest.raises(ConfigError, match="is an input or the output"):
        score(tmp_path / "out.csv", rejects=rows)
    with pytest.raises(ConfigError, match="Only a directory output"):
        score(tmp_path / "out.csv", resume=True)
    with pytest.raises(ConfigError, match="no inputs to score"):
        score(tmp_path / "out.csv", inputs=[])
    with pytest.raises(ScoringError, match="row 7, column 'b'"):
        score(tmp_path / "out.csv")
    with pytest.raises(TooManyRejects):
        score(tmp_path / "out.csv", on_error="skip", max_errors=0)
    (tmp_path / "other.csv").write_text("x,y\n1,2\n")
    with pytest.raises(SchemaMismatch, match="missing columns"):
        score(tmp_path / "out.csv", inputs=tmp_path / "other.csv")
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"on_error": "explode"}, "on_error must be 'fail', 'skip' or 'null', not 'explode'"),
        ({"lineage": "rows"}, "lineage must be 'metadata', 'columns' or 'none', not 'rows'"),
        ({"workers": "x"}, "workers must be a number from 1 to 1024 or 'auto', not 'x'"),
        ({"workers": 0}, "not 0"),
        ({"keep": 3}, "keep must be a list of the input's columns, not 3"),
        ({"model": None}, "MODEL is a path, URL or name, not None"),
        ({"inputs": None}, "inputs must be a path or URL, not None"),
        ({"inputs": [None]}, "inputs must be a path or URL, not None"),
        ({"output": None}, "output must be a path or URL, not None"),
        ({"rejects": 3}, "rejects must be a path or URL, not 3"),
    ],
)
def test_an_argument_that_cannot_be_is_named(
    python_package: Path, rows: Path, tmp_path: Path, arguments: dict[str, Any], said: str
) -> None:
    given = {"model": python_package, "inputs": rows, "output": tmp_path / "out.csv", **arguments}
    with pytest.raises(ConfigError, match=said):
        penstock.score_files(**given, trust_code=True)


@pytest.mark.parametrize(
    ("keep", "kept"), [("id", ["id"]), ("id,a", ["id", "a"]), ("", []), (pd.Index(["id"]), ["id"])]
)
def test_keep_as_text_is_what_the_command_line_takes(
    python_package: Path, rows: Path, tmp_path: Path, keep: Any, kept: list[str]
) -> None:
    done = penstock.score_files(
        python_package,
        (path for path in [rows]),  # type: ignore[arg-type]
        tmp_path / "out.csv",
        keep=keep,
        limit=3,
        trust_code=True,
        workers=1,
    )
    assert list(done.columns[:-1]) == kept
