"""What Penstock packages, real MLflow loads, and predicts the same."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.package import PackagedModel, answers_differ
from penstock.package.save import save_model

pytestmark = pytest.mark.services

ROOT = Path(__file__).parents[2]
MLFLOW_PYTHON = ROOT / ".venv-mlflow" / "bin" / "python"

FUNCTION = """
import numpy as np

import helper_of_this_model


def predict(inputs, params):
    return [helper_of_this_model.scaled(row, params.get("factor", 1.0)) for row in inputs.itertuples(index=False)]
"""
HELPER = "def scaled(row, factor):\n    return float(sum(row)) * factor\n"

CLASS = """
import numpy as np
import pandas as pd


class Model:
    def load(self, context):
        self.weights = np.load(context.artifacts["weights"])
        self.shift = context.model_config["shift"]

    def predict(self, inputs, params):
        total = inputs.to_numpy() @ self.weights + self.shift
        return pd.DataFrame({"total": total, "large": total > 10})
"""


@pytest.fixture(scope="module")
def packages(
    tmp_path_factory: pytest.TempPathFactory,
    iris_package: Path,
    iris_onnx_package: Path,
    identity_onnx_package: Path,
    python_package: Path,
    iris_frame: Any,
    iris_target: Any,
) -> list[Path]:
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    made = tmp_path_factory.mktemp("for-mlflow")
    rows = iris_frame.iloc[::15]
    forest = RandomForestClassifier(5, random_state=0).fit(iris_frame, iris_target)
    boosted = HistGradientBoostingClassifier(max_iter=5).fit(iris_frame.to_numpy(), iris_target)
    words = iris_frame.assign(colour=np.where(iris_target > 0, "blue", "red"))
    encoded = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["colour"]), remainder="passthrough"), LinearRegression()
    ).fit(words, iris_target)
    np.save(made / "weights.npy", np.arange(4.0))
    (made / "function.py").write_text(FUNCTION)
    (made / "helper_of_this_model.py").write_text(HELPER)
    (made / "class.py").write_text(CLASS)
    saved = [
        save_model(forest, made / "proba", example=rows, predict_fn="predict_proba"),
        save_model(forest, made / "pickled", example=rows, serialization="cloudpickle"),
        save_model(boosted, made / "boosted", example=rows.to_numpy()),
        save_model(encoded, made / "encoded", example=words.iloc[::15]),
        save_model(
            made / "function.py", made / "function", example=rows, code=[made / "helper_of_this_model.py"],
            params={"factor": 2.0},
        ),
        save_model(
            made / "class.py", made / "class", example=rows, artifacts={"weights": made / "weights.npy"},
            config={"shift": 0.5}, batchable=True,
        ),
    ]  # fmt: skip
    return [iris_package, iris_onnx_package, identity_onnx_package, python_package, *(p.path for p in saved)]


def test_every_answer_is_the_recorded_one(mlflow_python: Path, packages: list[Path]) -> None:
    done = subprocess.run(
        [mlflow_python, Path(__file__).with_name("ask_mlflow.py"), *packages],
        capture_output=True, text=True, timeout=300, cwd=packages[0].parent,
    )  # fmt: skip
    answers = [
        json.loads(line.removeprefix("ANSWER ")) for line in done.stdout.splitlines() if line.startswith("ANSWER ")
    ]
    assert len(answers) == len(packages), done.stderr[-3000:]
    for path, answer in zip(packages, answers, strict=True):
        example = PackagedModel.open(path).example()
        assert example is not None
        assert example.has_expected
        assert not answers_differ(example.expected, answer, where=""), (path.name, answer)
