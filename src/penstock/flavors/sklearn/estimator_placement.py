"""Whether the estimators that a skops file describes may run in the gateway: a decision over the description alone.

`placement_table` says it of types; here are the few that it depends on attributes for, and the widest that a row may
become on its way through an estimator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import comb, prod
from typing import Any

from penstock.flavors.sklearn.placement_table import APART, ELEMENTWISE, GATEWAY, PART
from penstock.flavors.sklearn.skops_description import DescribedObject

# A batch of 1,024 rows of so many numbers is 128 MiB.
CELLS_PER_ROW = 16_384

_VALUES = frozenset(
    f"{kind}Node"
    for kind in "Dict List Tuple Set Type DType NdArray RandomState RandomGenerator Slice".split()  # noqa: SIM905
)
_OF_VALUES = ("builtins.", "numpy.", "collections.", "sklearn.utils._bunch.Bunch")

# Arrays that fitting leaves behind, as long as the rows that it saw or the texts that it found: no row meets them, or
# looks only one cell up. Any other array may meet a row, which becomes as wide as it is long.
_KEPT = frozenset(
    "X_thresholds_ _best_coefs _default_to_infrequent_mappings _infrequent_indices _seeds _x_scores _y_scores "  # noqa: SIM905
    "active_ alphas_ categories categories_ coef_path_ criterion_ cv_alphas_ cv_results_ cv_values_ drop_idx_ "
    "encodings_ estimators_ estimators_features_ inlier_mask_ labeled_iter_ labels_ loglike_ loss_curve_ "
    "lower_bounds_ mse_path_ oob_decision_function_ oob_improvement_ oob_prediction_ oob_scores_ outliers_ scores_ "
    "train_score_ transduction_ validation_score_ validation_scores_ x_scores_ y_scores_ y_thresholds_".split()
)

# Reviewed types that put side by side what the estimators in them make of a row.
_JOIN = frozenset(
    {
        "sklearn.compose._column_transformer.ColumnTransformer",
        "sklearn.ensemble._stacking.StackingClassifier",
        "sklearn.ensemble._stacking.StackingRegressor",
        "sklearn.pipeline.FeatureUnion",
    }
)
_COLUMN_TRANSFORMER = "sklearn.compose._column_transformer.ColumnTransformer"
_ONE_HOT = "sklearn.preprocessing._encoders.OneHotEncoder"
_POLYNOMIAL = "sklearn.preprocessing._polynomial.PolynomialFeatures"
_PART_OF_TREES = frozenset(
    f"sklearn.ensemble._hist_gradient_boosting.{name}" for name in ("binning._BinMapper", "predictor.TreePredictor")
)
# These do not compare a row with the width that they state.
_TAKE_ANY_WIDTH = ("sklearn.calibration.", "sklearn.dummy.", "sklearn.isotonic.")

_NEURAL = frozenset(f"sklearn.neural_network._multilayer_perceptron.MLP{kind}" for kind in ("Classifier", "Regressor"))


def process_reasons(objects: Sequence[DescribedObject]) -> list[str]:
    """Why the estimator should run in a process of its own; empty where it may run in the gateway."""
    found: dict[str, None] = {}
    for one in objects:
        if reason := _why_apart(one):
            found[reason] = None
    return list(found) or _why_wide_together(objects)


def _why_wide_together(objects: Sequence[DescribedObject]) -> list[str]:
    """Each part may be narrow enough, and all of them side by side not; a ColumnTransformer may also fill up the rows
    that an encoder leaves almost empty."""
    if not any(one.type in _JOIN for one in objects):
        return []
    fills = any(one.type == _COLUMN_TRANSFORMER and one.plain("sparse_output_") is not True for one in objects)
    width = sum(_one_hot_width(one) for one in objects if one.type == _ONE_HOT and (fills or _is_dense(one)))
    width += sum(_polynomial_width(one) for one in objects if one.type == _POLYNOMIAL)
    width += sum(_widest(one)[0] for one in objects if not one.type.startswith("sklearn.tree."))
    return [f"its parts make a row {width:,} numbers wide together"] if width > CELLS_PER_ROW else []


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
    width, attribute = _widest(one)
    if width > CELLS_PER_ROW:
        return f"{name} makes a row {width:,} numbers wide ({attribute})"
    if one.type in _NEURAL and any(max(shape, default=0) > CELLS_PER_ROW for shape in one.arrays("coefs_")):
        return f"{name} has a layer of more than {CELLS_PER_ROW:,} numbers"
    return ""


def _widest(one: DescribedObject) -> tuple[int, str]:
    """The widest that an array may make a row, and its name. Arrays as wide as the columns cost a row one cell a
    column; anything else is a row's new width."""
    if GATEWAY.get(one.type) == PART or one.type in _PART_OF_TREES:
        return 0, ""
    columns = None if one.type.startswith(_TAKE_ANY_WIDTH) else one.plain("n_features_in_")
    attributes = one.attributes.keys() - _KEPT if one.type not in _NEURAL else ()
    widths = [(_width(shape, columns), name) for name in sorted(attributes) for shape in one.arrays(name)]
    return max(widths, default=(0, ""))


def _width(shape: tuple[int, ...], columns: Any) -> int:
    cells = prod(shape)
    return cells // columns if isinstance(columns, int) and columns > 0 and columns in shape else cells


def _always(one: DescribedObject) -> str:
    return ""


def _polynomial(one: DescribedObject) -> str:
    columns, degree, full = one.plain("n_features_in_"), one.plain("_max_degree"), one.plain("_n_out_full")
    if not all(isinstance(number, int) and number >= 0 for number in (columns, degree, full)):
        return "states no number of its features"
    if degree > 10 or _polynomial_width(one) > CELLS_PER_ROW:
        return f"makes more than {CELLS_PER_ROW:,} features of a row"
    return ""


def _function(one: DescribedObject) -> str:
    plain = all(one.plain(name) is None for name in ("kw_args", "inv_kw_args"))
    return "" if plain else "passes arguments to a function"


def _polynomial_width(one: DescribedObject) -> int:
    columns, degree, full = (int(one.plain(name)) for name in ("n_features_in_", "_max_degree", "_n_out_full"))
    return max(comb(columns + degree, degree), full)


def _one_hot(one: DescribedObject) -> str:
    width = _one_hot_width(one)
    return f"makes a row {width:,} numbers wide" if _is_dense(one) and width > CELLS_PER_ROW else ""


def _one_hot_width(one: DescribedObject) -> int:
    return sum(prod(shape) for shape in one.arrays("categories_") if len(shape) == 1)


def _is_dense(one: DescribedObject) -> bool:
    return one.plain("sparse_output") is not True


def _column_transformer(one: DescribedObject) -> str:
    """A text there is a format, which may ask for names of any length."""
    names = one.plain("verbose_feature_names_out", True)
    return "" if isinstance(names, bool) else "makes names of columns by a format"


def _boosted(one: DescribedObject) -> str:
    if one.plain("init_") == "zero":
        return ""
    first = one.attributes.get("init_", {})
    kind = f"{first.get('__module__')}.{first.get('__class__')}"
    return "" if kind.startswith("sklearn.dummy.") else "begins with an estimator of another kind"


def _boosted_histograms(one: DescribedObject) -> str:
    return "" if one.plain("_preprocessor") is None else "encodes categories by a transformer of its own"


_CONDITIONS: Mapping[str, Callable[[DescribedObject], Any]] = {
    "ColumnTransformer": _column_transformer,
    "FunctionTransformer": _function,
    "GradientBoostingClassifier": _boosted,
    "GradientBoostingRegressor": _boosted,
    "HistGradientBoostingClassifier": _boosted_histograms,
    "HistGradientBoostingRegressor": _boosted_histograms,
    "OneHotEncoder": _one_hot,
    "PolynomialFeatures": _polynomial,
}
