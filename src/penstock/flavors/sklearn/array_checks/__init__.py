"""Stored arrays that native code would read outside of, or without end, are refused before a row reaches them.

scikit-learn trusts what it fitted: its compiled code follows indices and shapes without looking. Each check here states
what fitting always makes; a file that holds anything else is damaged or forged.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Mapping
from functools import cache
from typing import Any

import numpy as np

from penstock.errors import ArtifactInvalid
from penstock.flavors.sklearn.array_checks.boosting import check_boosted, check_boosted_histograms
from penstock.flavors.sklearn.array_checks.encoders import check_categories, check_one_hot, check_vocabulary
from penstock.flavors.sklearn.array_checks.neighbours import check_density, check_neighbours, check_tree
from penstock.flavors.sklearn.array_checks.refusal import Attributes, refused
from penstock.flavors.sklearn.array_checks.shapes import check_centres, check_labels, check_shapes
from penstock.flavors.sklearn.array_checks.sparse import check_sparse
from penstock.flavors.sklearn.array_checks.splines import check_spline
from penstock.flavors.sklearn.array_checks.support_vectors import check_support_vectors
from penstock.flavors.sklearn.tree_nodes import check_trees

__all__ = ["CHECKS", "check_arrays"]

_Check = Callable[[Any, Attributes], None]

# By the name of the type; the types that skops may make have no name in common.
CHECKS: Mapping[str, _Check] = {
    **dict.fromkeys(("KDTree", "BallTree"), check_tree),
    **dict.fromkeys(
        (
            "KNeighborsClassifier", "KNeighborsRegressor", "KNeighborsTransformer", "LocalOutlierFactor",
            "NearestNeighbors", "RadiusNeighborsClassifier", "RadiusNeighborsRegressor", "RadiusNeighborsTransformer",
        ),
        check_neighbours,
    ),
    "KernelDensity": check_density,
    **dict.fromkeys(("SVC", "NuSVC", "SVR", "NuSVR", "OneClassSVM"), check_support_vectors),
    **dict.fromkeys(("csr_matrix", "csc_matrix", "csr_array", "csc_array"), check_sparse),
    "OneHotEncoder": check_one_hot,
    **dict.fromkeys(("OrdinalEncoder", "TargetEncoder"), check_categories),
    **dict.fromkeys(("CountVectorizer", "TfidfVectorizer", "DictVectorizer"), check_vocabulary),
    **dict.fromkeys(("KMeans", "MiniBatchKMeans", "BisectingKMeans"), check_centres),
    "FeatureAgglomeration": check_labels,
    **dict.fromkeys(("GradientBoostingClassifier", "GradientBoostingRegressor"), check_boosted),
    **dict.fromkeys(
        ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor"), check_boosted_histograms
    ),
    "BSpline": check_spline,
}  # fmt: skip

_PLAIN = (str, bytes, int, float, bool, type(None), np.generic)


def check_arrays(model: Any) -> None:
    """Looks at every object in a model that a skops file made. Raises ArtifactInvalid."""
    check_trees(model)
    waiting: list[Any] = [model]
    seen: set[int] = set()
    while waiting:
        found = waiting.pop()
        if isinstance(found, (*_PLAIN, type)) or id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, dict):
            waiting += [*found.keys(), *found.values()]
        elif isinstance(found, (list, tuple, set)):
            waiting += found
        elif isinstance(found, np.ndarray):
            waiting += found.ravel().tolist() if found.dtype == object else []
        else:
            attributes = getattr(found, "__dict__", {})
            _check_one(found, attributes)
            waiting += attributes.values()


def _check_one(found: Any, attributes: Attributes) -> None:
    kind = type(found)
    if hidden := attributes.keys() & _methods(kind):  # type: ignore[arg-type]
        raise refused(found, f"has data in the place of its method {min(hidden)}")
    try:
        if not _fitted(kind, attributes):
            return  # scikit-learn refuses to be asked; parameters hold such estimators
        if check := CHECKS.get(kind.__name__):
            check(found, attributes)
        if "n_features_in_" in attributes:
            check_shapes(found, attributes)
    except ArtifactInvalid:
        raise
    except Exception as error:  # an attribute that is missing, or of another kind than fitting makes
        raise refused(found, "lacks what fitting gives it") from error


def _fitted(kind: type, attributes: Attributes) -> bool:
    """As scikit-learn sees it: by attributes that end in an underscore. What is no estimator needs no fitting."""
    return not hasattr(kind, "fit") or any(n.endswith("_") and not n.startswith("__") for n in attributes)


@cache
def _methods(kind: Hashable) -> frozenset[str]:
    """What a class computes, by function or property: an attribute of that name is never stored."""
    assert isinstance(kind, type)
    names = (name for base in kind.__mro__[:-1] for name, value in vars(base).items() if hasattr(value, "__get__"))
    return frozenset(name for name in names if _computes(inspect.getattr_static(kind, name)))


def _computes(value: Any) -> bool:
    return not (inspect.ismemberdescriptor(value) or inspect.isgetsetdescriptor(value) or isinstance(value, type))
