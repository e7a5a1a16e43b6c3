"""What loading a scikit-learn model brings into the process. Each test asks a Python of its own."""

from __future__ import annotations

import json
import subprocess
import sys
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
heavy = {"pandas", "pyarrow", "scipy.optimize", "scipy.stats", "skops", "sklearn"}
seen = []
for package in sys.argv[1:]:
    load_path(package, LoadOptions(trust_code=True))
    seen.append(sorted(heavy & sys.modules.keys()))
print(json.dumps(seen))
"""


def ask(program: str, *arguments: object) -> Any:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def imported(
    iris_frame: Any, iris_target: Any, iris_estimator: Any, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, set[str]]:
    """What is there once a model is loaded, one after the other in one process: a later one cannot take away what an
    earlier one brought."""
    place, example = tmp_path_factory.mktemp("models"), iris_frame.iloc[::10]
    for form in ("skops", "cloudpickle"):
        save_model(iris_estimator, place / form, example=example, serialization=form)
    chosen = make_column_transformer((StandardScaler(), ["petal_width", "sepal_length"]))
    pipeline = make_pipeline(chosen, iris_estimator[-1].__class__(max_iter=500)).fit(iris_frame, iris_target)
    save_model(pipeline, place / "frames", example=example)
    names = ("skops", "cloudpickle", "frames")
    return dict(zip(names, map(set, ask(LOAD, *(place / name for name in names))), strict=True))


@pytest.mark.parametrize("form", ["skops", "cloudpickle"])
def test_a_model_of_plain_blocks_never_imports_pandas(imported: dict[str, set[str]], form: str) -> None:
    assert imported[form] == {"sklearn"}


def test_a_model_that_reads_frames_gets_them(imported: dict[str, set[str]]) -> None:
    assert imported["frames"] >= {"pandas", "sklearn"}


def test_what_is_imported_on_use_is_the_real_thing() -> None:
    """For scikit-learn alone: whoever else imports it gets it at once."""
    found = ask(
        """
import json, sys
from penstock.flavors.sklearn.light_import import OnUse, import_lightly

import_lightly()
import_lightly()
from sklearn import isotonic
from sklearn.linear_model import _logistic
from sklearn.metrics import _ranking
from sklearn.preprocessing import _polynomial
from sklearn.utils import fixes
seen = [sorted({"pandas", "scipy.interpolate", "scipy.optimize", "scipy.stats"} & sys.modules.keys())]
stands = [_logistic.optimize, _ranking.rankdata, _polynomial.BSpline, fixes.pd, isotonic.interpolate]
seen.append([type(each) is OnUse for each in stands])
seen.append(repr(_ranking.rankdata))
seen.append(_ranking.rankdata([3, 1, 2]).tolist())

import scipy.optimize, scipy.stats, pandas
from scipy.interpolate import BSpline
seen.append([type(scipy.stats).__name__, type(scipy.stats.rankdata).__name__])
spline = BSpline([0, 1, 2, 3], [1, 1], 1)
class More(stands[2]):
    pass
seen.append([
    _ranking.rankdata is scipy.stats.rankdata,  # it has taken its place
    _logistic.optimize.minimize is scipy.optimize.minimize and _logistic.optimize is scipy.optimize,
    fixes.pd.DataFrame is pandas.DataFrame,
    isinstance(spline, stands[2]) and not isinstance(3, stands[2]),
    issubclass(BSpline, stands[2]),
    More.__mro__[1] is BSpline and _polynomial.BSpline is BSpline,
])
print(json.dumps(seen))
"""
    )
    assert found[0] == []
    assert found[1] == [True] * 5
    assert found[2] == "<scipy.stats.rankdata, imported on use>"
    assert found[3] == [3.0, 1.0, 2.0]
    assert found[4] == ["module", "function"]
    assert found[5] == [True] * 6


def test_all_of_scikit_learn_is_imported_so_and_still_fits() -> None:
    """Fitting is what uses most of it. What is there already is taken as it is."""
    found = ask(
        """
import json, sys, warnings
warnings.simplefilter("ignore")
import scipy.spatial.distance
from penstock.flavors.sklearn.light_import import import_lightly

import_lightly()
import importlib, pkgutil, sklearn
for module in pkgutil.iter_modules(sklearn.__path__, "sklearn."):
    if module.name.split(".")[1] not in ("_build_utils", "conftest", "experimental", "externals", "tests"):
        importlib.import_module(module.name)
heavy = {"pandas", "scipy.interpolate", "scipy.optimize", "scipy.stats"}
seen = [sorted(heavy & sys.modules.keys())]
import numpy as np
from sklearn import (covariance, feature_selection, gaussian_process, impute, isotonic, linear_model, metrics,
                     neighbors, preprocessing)
from sklearn.metrics import pairwise
seen.append(pairwise.distance is scipy.spatial.distance)
X = np.random.default_rng(0).normal(size=(60, 3))
y = X @ [1.0, 2.0, 3.0]
fitted = [
    linear_model.LogisticRegression(), linear_model.HuberRegressor(), linear_model.QuantileRegressor(),
    linear_model.PoissonRegressor(), gaussian_process.GaussianProcessRegressor(), preprocessing.SplineTransformer(),
    covariance.EllipticEnvelope(), feature_selection.SelectKBest(k=1), impute.SimpleImputer(strategy="most_frequent"),
    neighbors.NeighborhoodComponentsAnalysis(max_iter=2), preprocessing.PowerTransformer(),
    linear_model.LogisticRegression(solver="newton-cg"),
]
for estimator in fitted:
    name = type(estimator).__name__
    classifies = name in ("LogisticRegression", "SelectKBest", "NeighborhoodComponentsAnalysis")
    estimator.fit(X, y > 0 if classifies else abs(y))
isotonic.IsotonicRegression(increasing="auto").fit(X[:, 0], y)
metrics.pairwise_distances(X, metric="canberra")
metrics.label_ranking_average_precision_score(np.eye(3), X[:3])
print(json.dumps(seen))
"""
    )
    assert found == [[], True]


def test_pandas_is_absent_for_the_importing_thread_alone_and_only_meanwhile() -> None:
    """So it goes for versions of scikit-learn that nobody has looked at."""
    found = ask(
        """
import importlib, json, sys, threading
from penstock.flavors.sklearn import light_import as sklearn_import
from penstock.flavors.sklearn.light_import import _absent, import_lightly

sklearn_import.installed_estimators = lambda: None
import_lightly()
from sklearn.utils import fixes
seen = ["pandas" in sys.modules, "scipy.stats" in sys.modules]
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
    assert found == [False, True, "pandas", True, True]


def test_nothing_changes_where_pandas_is_there_already() -> None:
    found = ask(
        """
import json, pandas
from penstock.flavors.sklearn.light_import import import_lightly
import_lightly()
import sys
print(json.dumps("sklearn" in sys.modules))
"""
    )
    assert found is False
