"""`penstock package …`: what it says of a user's files, and that the lines it prints work when they are pasted."""

from __future__ import annotations

import shlex
from contextlib import chdir
from pathlib import Path

import pandas as pd
import pytest

from penstock.package import PackagedModel
from support.commands import Here

FRAME = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [0.5, 0.5, 1.5]})


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with an estimator of two columns in sums.joblib, and rows of it in rows.csv."""
    import joblib
    from sklearn.linear_model import LinearRegression

    joblib.dump(LinearRegression().fit(FRAME, FRAME.sum(axis=1)), tmp_path / "sums.joblib")
    FRAME.to_csv(tmp_path / "rows.csv", index=False)
    return tmp_path


def pasted(line: str) -> list[str]:
    """The arguments of the penstock command at the end of a line that was printed."""
    words = shlex.split(line[line.index("penstock ") :])
    return words[1:]


def test_a_package_is_replaced_by_the_command_that_the_refusal_prints(here: Here, place: Path) -> None:
    given = ["package", "sklearn", "sums.joblib", "--example", "rows.csv", "-o", "my sums"]
    assert here(*given).returncode == 0
    before = PackagedModel.open(place / "my sums").digest

    refused = here(*given)
    assert refused.returncode == 1
    assert "my sums exists already." in refused.stderr
    replaced = here(*pasted(refused.stderr))

    assert replaced.returncode == 0, replaced.stderr
    package = PackagedModel.open(place / "my sums")
    package.verify()
    assert package.digest != before
    assert {p.name for p in place.iterdir()} == {"sums.joblib", "rows.csv", "my sums"}
    assert pasted(replaced.stdout.splitlines()[-1]) == ["serve", str(place / "my sums")]


@pytest.mark.parametrize("command", ["convert", "lock"])
def test_every_command_that_makes_packages_can_replace_one(here: Here, place: Path, command: str) -> None:
    here("package", "sklearn", "sums.joblib", "--example", "rows.csv", "-o", "m", "--format", "cloudpickle")
    assert "--force" in here("package", command, "--help").stdout
    refused = here("package", "convert", "m", "-o", "m")
    assert pasted(refused.stderr) == ["package", "convert", "m", "-o", "m", "--force"]
    assert here(*pasted(refused.stderr)).returncode == 0
    assert not PackagedModel.open(place / "m").code_reasons()


def test_what_is_no_package_is_never_replaced(here: Here, place: Path) -> None:
    (place / "work").mkdir()
    (place / "work" / "thesis.txt").write_text("mine")
    done = here("package", "sklearn", "sums.joblib", "--example", "rows.csv", "-o", "work", "--force")
    assert done.returncode == 1
    assert "work exists already, and is not a package." in done.stderr
    assert (place / "work" / "thesis.txt").read_text() == "mine"


def test_row_labels_in_an_example_are_noticed_and_the_printed_line_removes_them(here: Here, place: Path) -> None:
    FRAME.to_csv(place / "rows.csv")
    given = ["package", "sklearn", "sums.joblib", "--example", "rows.csv", "-o", "m"]
    refused = here(*given)
    assert refused.returncode == 1
    assert "seems to be row numbers, which pandas' to_csv writes unless it is given index=False" in refused.stderr
    repair, _, command = refused.stderr[refused.stderr.index("python -c ") :].partition(" && ")
    with chdir(place):
        exec(shlex.split(repair)[2])
    pd.testing.assert_frame_equal(pd.read_csv(place / "rows.csv"), FRAME)
    assert here(*pasted(command)).returncode == 0


def test_a_function_that_takes_any_column_is_packaged_with_a_warning_of_row_labels(here: Here, place: Path) -> None:
    FRAME.set_axis(["x", "y", "z"]).to_csv(place / "labelled.csv")
    (place / "sums.py").write_text("def predict(inputs):\n    return inputs[['a', 'b']].sum(axis=1)\n")
    done = here("package", "python", "sums.py", "--example", "labelled.csv", "-o", "m")
    assert done.returncode == 0
    assert "Warning: The first column of labelled.csv has no name: it seems to be row labels" in done.stderr
    assert "Callers would have to send it as 'Unnamed: 0'." in done.stderr


def test_the_row_labels_of_a_parquet_example_are_no_column(here: Here, place: Path) -> None:
    FRAME.set_axis(["x", "y", "z"]).to_parquet(place / "labelled.parquet")
    done = here("package", "sklearn", "sums.joblib", "--example", "labelled.parquet", "-o", "m")
    assert done.returncode == 0, done.stderr
    signature = PackagedModel.open(place / "m").manifest.signature
    assert signature is not None
    assert [field.name for field in signature.inputs or ()] == ["a", "b"]


def test_a_csv_example_has_params_beside_it(here: Here, place: Path) -> None:
    (place / "rules.py").write_text(
        "def predict(inputs, params):\n    return [params['word'] + str(a > params['limit']) for a in inputs['a']]\n"
    )
    given = ["package", "python", "rules.py", "--example", "rows.csv", "-o", "m"]
    done = here(*given, "--param", "limit=1.5", "--param", "word=is ")
    assert done.returncode == 0, done.stderr
    example = PackagedModel.open(place / "m").example()
    assert example is not None
    assert example.params == {"limit": 1.5, "word": "is "}
    assert example.expected == {"predictions": ["is False", "is True", "is True"]}
    wrong = here(*given, "--param", "limit")
    assert wrong.returncode == 2
    assert "--param takes NAME=VALUE, not 'limit'." in wrong.stderr


def test_dates_of_a_csv_are_packaged_with_the_unit_of_numbers(here: Here, place: Path) -> None:
    (place / "years.py").write_text("def predict(inputs, params=None):\n    return inputs['ts'].dt.year.tolist()\n")
    (place / "dates.csv").write_text("ts\n1706702400000\n1738368000000\n")
    given = ["package", "python", "years.py", "--example", "dates.csv", "-o", "m"]
    refused = here(*given, "--datetime", "ts")
    assert "send text: 2024-01-31T12:00:00Z if these are milliseconds since 1970" in refused.stderr
    assert "state it: --datetime ts=ms" in refused.stderr
    assert here(*given, "--datetime", "ts=ms").returncode == 0
    signature = PackagedModel.open(place / "m").manifest.signature
    assert str((signature.inputs or ())[0] if signature else None) == "ts: datetime or ms since 1970"
