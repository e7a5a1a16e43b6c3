"""What loading a scikit-learn model brings into the process. Each test asks a Python of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from penstock.package.save import save_model

# Loading proves the model: it predicts its example and compares.
LOAD = """
import json, sys
from penstock.loading import LoadOptions, load_path
load_path(sys.argv[1], LoadOptions(trust_code=True))
print(json.dumps(sorted({"pandas", "pyarrow", "sklearn"} & sys.modules.keys())))
"""


def ask(program: str, *arguments: object) -> Any:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("form", ["skops", "cloudpickle"])
def test_a_model_of_plain_blocks_never_imports_pandas(
    iris_estimator: Any, iris_frame: Any, tmp_path: Path, form: str
) -> None:
    package = save_model(iris_estimator, tmp_path / "m", example=iris_frame.iloc[::10], serialization=form)
    assert ask(LOAD, package.path) == ["sklearn"]


def test_a_model_that_reads_frames_gets_them(
    iris_frame: Any, iris_target: Any, iris_estimator: Any, tmp_path: Path
) -> None:
    chosen = make_column_transformer((StandardScaler(), ["petal_width", "sepal_length"]))
    pipeline = make_pipeline(chosen, iris_estimator[-1].__class__(max_iter=500)).fit(iris_frame, iris_target)
    package = save_model(pipeline, tmp_path / "m", example=iris_frame.iloc[::10])
    assert {"pandas", "sklearn"} <= set(ask(LOAD, package.path))


def test_pandas_is_absent_for_the_importing_thread_alone_and_only_meanwhile() -> None:
    found = ask(
        """
import importlib, json, sys, threading
from penstock.flavors.sklearn_import import _absent, import_without_pandas

import_without_pandas()
from sklearn.utils import fixes
seen = ["pandas" in sys.modules]
with _absent("pandas"):
    try:
        import pandas
    except ModuleNotFoundError as error:
        seen.append(error.name)
    elsewhere = threading.Thread(target=importlib.import_module, args=["pandas"])
    elsewhere.start()
    elsewhere.join()
    seen.append("pandas" in sys.modules)
import pandas
seen.append(fixes.pd.DataFrame is pandas.DataFrame)
print(json.dumps(seen))
"""
    )
    assert found == [False, "pandas", True, True]


def test_nothing_changes_where_pandas_is_there_already() -> None:
    found = ask(
        """
import json, pandas
from penstock.flavors.sklearn_import import import_without_pandas
import_without_pandas()
import sys
print(json.dumps("sklearn" in sys.modules))
"""
    )
    assert found is False
