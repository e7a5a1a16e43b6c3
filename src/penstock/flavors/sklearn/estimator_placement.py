"""Whether the estimators that a skops file describes may run in the gateway: a decision over the description alone.

`placement_table` says it of types; here are the few that it depends on attributes for, and the widest that a row may
become on its way through an estimator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import comb, prod
from typing import Any

from penstock.flavors.sklearn.placement_table import APART, ELEMENTWISE, GATEWAY
from penstock.flavors.sklearn.skops_description import DescribedObject

# A batch of 1,024 rows of so many numbers is 128 MiB.
CELLS_PER_ROW = 16_384

_VALUES = frozenset(
    f"{kind}Node"
    for kind in "Dict List Tuple Set Type DType NdArray RandomState RandomGenerator Slice".split()  # noqa: SIM905
)
_OF_VALUES = ("builtins.", "numpy.", "collections.", "sklearn.utils._bunch.Bunch")

# Arrays that meet rows, so that a row becomes as wide as they are long.
_MEET_ROWS = [
    "bin_edges_",
    "classes_",
    "cluster_centers_",
    "coef_",
    "components_",
    "constant_",
    "covariances_",
    "feature_log_prob_",
    "intercept_",
    "intercepts_",
    "lambdas_",
    "mean_",
    "means_",
    "precisions_cholesky_",
    "quantiles_",
    "random_offset_",
    "random_weights_",
    "rotations_",
    "scale_",
    "scalings_",
    "statistics_",
    "theta_",
    "var_",
    "x_rotations_",
]

_NEURAL = frozenset(f"sklearn.neural_network._multilayer_perceptron.MLP{kind}" for kind in ("Classifier", "Regressor"))


def process_reasons(objects: Iterable[DescribedObject]) -> list[str]:
    """Why the estimator should run in a process of its own; empty where it may run in the gateway."""
    found: dict[str, None] = {}
    for one in objects:
        if reason := _why_apart(one):
            found[reason] = None
    return list(found)


def _why_apart(one: DescribedObject) -> str:
    name = one.type.rpartition(".")[2]
    if one.loader == "JsonNode" or (one.loader in _VALUES and one.type.startswith(_OF_VALUES)):
        return ""
    if one.loader == "FunctionNode":
        return "" if one.type in GATEWAY or one.type in ELEMENTWISE else f"calls {one.type}"
    if one.type not in GATEWAY:
        return f"{name} {APART.get(one.type, 'was not reviewed for the gateway')}"
    if why := _CONDITIONS.get(name, _always)(one):
        return f"{name} {why}"
    return _why_wide(one, name)


def _why_wide(one: DescribedObject, name: str) -> str:
    """Arrays as wide as the columns cost a row one cell a column; anything else is a row's new width."""
    columns = one.plain("n_features_in_")
    attributes = _MEET_ROWS if one.type not in _NEURAL else ()
    for attribute in attributes:
        for shape in one.arrays(attribute):
            cells = prod(shape)
            width = cells // columns if isinstance(columns, int) and columns > 0 and columns in shape else cells
            if width > CELLS_PER_ROW:
                return f"{name} makes a row {width:,} numbers wide ({attribute})"
    if one.type in _NEURAL and any(max(shape, default=0) > CELLS_PER_ROW for shape in one.arrays("coefs_")):
        return f"{name} has a layer of more than {CELLS_PER_ROW:,} numbers"
    return ""


def _always(one: DescribedObject) -> str:
    return ""


def _polynomial(one: DescribedObject) -> str:
    columns, degree, full = one.plain("n_features_in_"), one.plain("_max_degree"), one.plain("_n_out_full")
    if not all(isinstance(number, int) and number >= 0 for number in (columns, degree, full)):
        return "states no number of its features"
    if degree > 10 or max(comb(columns + degree, degree), full) > CELLS_PER_ROW:
        return f"makes more than {CELLS_PER_ROW:,} features of a row"
    return ""


def _function(one: DescribedObject) -> str:
    plain = all(one.plain(name) is None for name in ("kw_args", "inv_kw_args"))
    return "" if plain else "passes arguments to a function"


def _one_hot(one: DescribedObject) -> str:
    width = sum(prod(shape) for shape in one.arrays("categories_") if len(shape) == 1)
    dense = one.plain("sparse_output") is not True
    return f"makes a row {width:,} numbers wide" if dense and width > CELLS_PER_ROW else ""


def _boosted(one: DescribedObject) -> str:
    if one.plain("init_") == "zero":
        return ""
    first = one.attributes.get("init_", {})
    kind = f"{first.get('__module__')}.{first.get('__class__')}"
    return "" if kind.startswith("sklearn.dummy.") else "begins with an estimator of another kind"


def _boosted_histograms(one: DescribedObject) -> str:
    return "" if one.plain("_preprocessor") is None else "encodes categories by a transformer of its own"


_CONDITIONS: Mapping[str, Callable[[DescribedObject], Any]] = {
    "FunctionTransformer": _function,
    "GradientBoostingClassifier": _boosted,
    "GradientBoostingRegressor": _boosted,
    "HistGradientBoostingClassifier": _boosted_histograms,
    "HistGradientBoostingRegressor": _boosted_histograms,
    "OneHotEncoder": _one_hot,
    "PolynomialFeatures": _polynomial,
}
