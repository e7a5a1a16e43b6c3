"""The commands as a user runs them: exit code, what is printed where. Some in a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from penstock.cli.console import json_text
from support.commands import Here

Penstock = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def penstock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Penstock:
    """Runs `penstock ARGUMENTS` in an empty directory."""

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "penstock", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120)

    return run


def test_help_names_every_command_and_imports_none_of_them() -> None:
    code = (
        "import sys\nfrom penstock.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: print(sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for command in ("serve", "score", "package", "inspect", "verify", "registry", "env", "config", "demo", "version"):
        assert f"\n  {command} " in done.stdout
    for heavy in ("'numpy'", "'pydantic'", "'sqlalchemy'", "'starlette'", "'rich'", "'yaml'"):
        assert heavy not in done.stdout


@pytest.mark.parametrize(
    "command",
    [
        "serve",
        "score",
        "package",
        "package sklearn",
        "package onnx",
        "package python",
        "package convert",
        "package lock",
        "env build",
        "env list",
        "env prune",
        "inspect",
        "verify",
        "registry",
        "registry add",
        "config show",
        "hub",
        "hub migrate",
        "hub token",
        "hub token add",
        "hub token list",
        "hub token revoke",
        "demo",
        "version",
    ],
)
def test_every_command_explains_itself_with_an_example(here: Here, command: str) -> None:
    done = here(*command.split(), "--help")
    assert done.returncode == 0
    assert "\b" not in done.stdout  # click's mark for lines that stay as they are, where no paragraph begins
    if command not in ("package", "version"):
        assert "Example" in done.stdout, done.stdout


def test_version_prints_the_release(penstock: Penstock) -> None:
    from penstock import __version__

    assert penstock("--version").stdout.strip() == __version__
    assert __version__ in penstock("version").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["inspect", "./nowhere"], 1, "There is nothing at"),
        (["inspect", "nowhere"], 1, "There is no registry at"),
        (["verify", "runs:/abc/model"], 1, "Only an MLflow tracking server can resolve"),
        (["serve", "x", "--env-manager", "conda"], 2, "conda packages are not installed"),
        (["score", "-m", "./x", "--env-manager", "conda"], 2, "conda packages are not installed"),
        (["serve", "x", "--no-conda", "--env-manager", "uv"], 2, "cannot be combined"),
        (["serve", "-m", "./nowhere", "-p", "0", "--no-conda", "--install-mlflow"], 1, "has no effect"),
        (["serve", "-m", "./nowhere", "--enable-mlserver"], 2, "not supported"),
        (["verify", "."], 1, "is not a packaged model"),
        (["serve"], 2, "Name a model"),
        (["serve", "./nowhere", "--port", "0"], 1, "There is nothing at"),
        (["serve", "--port", "70000", "x"], 2, "port"),
        (["score", "./nowhere", "-", "--input-format", "csv", "-o", "b.csv"], 1, "There is nothing at"),
        (["nonsense"], 2, "nonsense"),
        (["package", "sklearn", "none.joblib", "--example", "rows.csv", "-o", "out"], 1, "There is no file"),
    ],
)
def test_errors_are_one_sentence_on_stderr(here: Here, arguments: list[str], code: int, said: str) -> None:
    done = here(*arguments)
    assert done.returncode == code, done
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["inspect", "./nowhere"], 1, "There is nothing at"),
        (
            ["serve", "./x", "--port", "0", "--env-manager", "virtualenv", "--isolation", "none"],
            2,
            "in the gateway's process",
        ),
        (["serve", "unknown", "--port", "0"], 1, "There is no registry at"),
        (["serve", "--port", "70000", "x"], 2, "port"),
    ],
)
def test_errors_of_a_real_process_are_one_sentence_too(
    penstock: Penstock, arguments: list[str], code: int, said: str
) -> None:
    test_errors_are_one_sentence_on_stderr(penstock, arguments, code, said)


def test_debug_shows_the_traceback(penstock: Penstock) -> None:
    assert "Traceback" in penstock("--debug", "inspect", "nowhere").stderr


@pytest.fixture
def trained(tmp_path: Path, iris_frame: Any, iris_estimator: Any) -> Path:
    """model.joblib and rows.csv in the directory where commands run."""
    import joblib

    joblib.dump(iris_estimator, tmp_path / "model.joblib")
    iris_frame.iloc[::15].to_csv(tmp_path / "rows.csv", index=False)
    return tmp_path


def test_inspect_reads_mlflows_words_and_tells_what_is_wrong(
    here: Here, iris_package: Path, copied: Callable[[Path], Path]
) -> None:
    package = copied(iris_package)
    body = package / "serving_input_example.json"
    body.write_text(body.read_text().replace("5.1", "NaN").replace("3.5", "-Infinity"))
    for options in ([], ["--json"]):
        done = here("inspect", str(package), *options)
        assert (done.returncode, done.stderr) == (0, "")
        assert "[NaN, -Infinity, 1.4, 0.2]" in done.stdout
    body.write_text('{"dataframe_split": [NaN')
    assert "No example to try: The package's example cannot be used" in here("inspect", str(package)).stdout


def test_what_json_cannot_hold_is_no_traceback() -> None:
    shown = json.loads(json_text({"\ud800": 2**70, "x": ["\udc00", float("nan")]}))
    assert shown["\ud800"] == 2**70


def test_a_packaged_estimator_is_inspected_verified_and_scored(
    penstock: Penstock, here: Here, trained: Path, iris_frame: Any, iris_estimator: Any
) -> None:
    made = penstock("package", "sklearn", "model.joblib", "--example", "rows.csv", "-o", "model")
    assert made.returncode == 0, made.stderr
    assert "data-only" in made.stdout

    facts = json.loads(here("inspect", "model", "--json").stdout)
    assert facts["data_only"] is True
    assert [f["name"] for f in facts["inputs"]] == list(iris_frame)
    assert {f["type"] for f in facts["inputs"]} == {"double"}
    assert facts["curl"].startswith("curl localhost:8080/invocations")
    shown = here("inspect", "model").stdout
    for text in (facts["digest"], "sepal_length", "scikit-learn", "data only", facts["curl"]):
        assert text in shown

    verified = here("verify", "model")
    assert verified.returncode == 0
    assert "the same as the recorded answers" in verified.stdout

    iris_frame.to_csv(trained / "all.csv", index=False)
    scored = here("score", "./model", "all.csv", "-o", "out.csv", "--json")
    assert json.loads(scored.stdout)["rows_out"] == 150
    assert pd.read_csv(trained / "out.csv")["prediction"].tolist() == iris_estimator.predict(iris_frame).tolist()


def test_pickles_need_trust_and_can_be_converted(here: Here, trained: Path) -> None:
    made = here("package", "sklearn", "model.joblib", "--example", "rows.csv", "-o", "p", "--format", "cloudpickle")
    assert "The package carries code: model.pkl is a pickle" in made.stdout

    refused = here("verify", "p")
    assert refused.returncode == 1
    assert "model.pkl is a pickle" in refused.stderr
    assert "--trust-code" in refused.stderr
    assert here("verify", "p", "--trust-code").returncode == 0

    assert here("package", "convert", "p", "-o", "safe").returncode == 0
    assert here("verify", "safe").returncode == 0


def test_onnx_graphs_and_python_sources_are_packaged(
    penstock: Penstock, trained: Path, iris_onnx_package: Path
) -> None:
    (trained / "model.onnx").write_bytes((iris_onnx_package / "model.onnx").read_bytes())
    made = penstock("package", "onnx", "model.onnx", "--example", "rows.csv", "-o", "o")
    assert made.returncode == 0, made.stderr
    np.savez(trained / "w.npz", w=np.arange(4.0))
    (trained / "model.py").write_text(
        "import numpy as np\n\n\nclass Model:\n    def load(self, context):\n"
        "        self.w = np.load(context.artifacts['weights'])['w']\n\n"
        "    def predict(self, inputs, params):\n        return inputs.to_numpy() @ self.w\n"
    )
    made = penstock(
        "package",
        "python",
        "model.py",
        "--artifact",
        "weights=w.npz",
        "--example",
        "rows.csv",
        "-o",
        "f",
        "--batchable",
    )
    assert made.returncode == 0, made.stderr
    assert "carries code" in made.stdout
    verified = penstock("verify", "f", "--trust-code")
    assert "rows may be batched together" in verified.stdout


def test_a_flipped_byte_is_named(here: Here, iris_package: Path, copied: Callable[[Path], Path]) -> None:
    package = copied(iris_package)
    content = bytearray((package / "model.skops").read_bytes())
    content[len(content) // 2] ^= 1
    (package / "model.skops").write_bytes(content)

    done = here("verify", package)

    assert done.returncode == 1
    assert "model.skops has changed" in done.stderr


def test_config_show_says_where_a_value_comes_from(
    penstock: Penstock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "penstock.toml").write_text('port = 9000\nhost = "0.0.0.0"\n')
    monkeypatch.setenv("PENSTOCK_PORT", "9001")
    monkeypatch.setenv("PENSTOCK_API_TOKEN", "very-secret")

    done = penstock("config", "show", "--json")

    rows = json.loads(done.stdout)
    assert rows["port"] == {"value": 9001, "from": "PENSTOCK_PORT"}
    assert rows["host"] == {"value": "0.0.0.0", "from": "penstock.toml"}
    assert rows["max_rows"]["from"] == "default"
    assert "very-secret" not in done.stdout + penstock("config", "show").stdout


def test_of_an_example_the_columns_that_callers_send_may_be_named(here: Here, tmp_path: Path) -> None:
    import joblib
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline

    estimator = make_pipeline(CountVectorizer(), MultinomialNB()).fit(["good", "bad"], ["pos", "neg"])
    joblib.dump(estimator, tmp_path / "model.joblib")
    (tmp_path / "rows.csv").write_text("id,text\n1,good\n2,bad\n3,good\n")
    package = ("package", "sklearn", "model.joblib", "--example", "rows.csv", "-o", "model")
    refused = here(*package)
    assert refused.returncode == 1
    command = refused.stderr.splitlines()[-1].partition(": ")[2]
    assert command == "penstock package sklearn model.joblib --example rows.csv -o model --column text"
    assert here(*command.split()[1:]).returncode == 0
    assert here("score", "model", "rows.csv", "-o", "out.csv", "--keep", "id").returncode == 0
    assert (tmp_path / "out.csv").read_text().split() == ["id,prediction", "1,pos", "2,neg", "3,pos"]
    assert "It has: 'id', 'text'." in here(*package, "--column", "words").stderr
