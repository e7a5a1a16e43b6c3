"""Support vectors, which libsvm reads by counts that stand beside them. Source: scikit-learn, svm/src/libsvm."""

from __future__ import annotations

from typing import Any

from penstock.flavors.sklearn.array_checks.refusal import Attributes, refused, shape_of, within

_KERNELS = frozenset({"linear", "poly", "rbf", "sigmoid", "precomputed"})
_SOLVERS = {"SVC": "c_svc", "NuSVC": "nu_svc", "OneClassSVM": "one_class", "SVR": "epsilon_svr", "NuSVR": "nu_svr"}


def check_support_vectors(estimator: Any, attributes: Attributes) -> None:
    """As many coefficients and intercepts as classes and vectors ask for, and vectors as wide as the rows."""
    columns, vectors = attributes["n_features_in_"], attributes["support_vectors_"]
    counts = attributes["_n_support"]
    kernel, precomputed = attributes["kernel"], attributes["kernel"] == "precomputed"
    classes = len(counts)
    classifies = type(estimator).__name__ in ("SVC", "NuSVC")
    if not isinstance(kernel, str) or kernel not in _KERNELS:
        raise refused(estimator, "has a kernel that is not one of libsvm's")
    if attributes.get("_impl", type(estimator)._impl) != _SOLVERS[type(estimator).__name__]:
        raise refused(estimator, "is solved as another kind of machine")
    if classes < 2 or (counts < 0).any() or (classifies and len(attributes["classes_"]) != classes):
        raise refused(estimator, "counts other classes than it has")
    found = len(attributes["support_"])
    if classifies and int(counts.sum(dtype="int64")) != found:
        raise refused(estimator, "counts other support vectors than it has")
    if not within(attributes["support_"], columns if precomputed else max(attributes["shape_fit_"][0], found)):
        raise refused(estimator, "names support vectors that it does not have")
    if shape_of(vectors) != (0, 0) and shape_of(vectors) != (found, columns):
        raise refused(estimator, "has support vectors of another width than its rows")
    if shape_of(vectors) == (0, 0) and not precomputed and found:
        raise refused(estimator, "has no support vectors")
    pairs = classes * (classes - 1) // 2
    if shape_of(attributes["_dual_coef_"]) != (classes - 1, found) or shape_of(attributes["_intercept_"]) != (pairs,):
        raise refused(estimator, "has coefficients of other support vectors")
    if any(shape_of(attributes[name]) not in ((0,), (pairs,)) for name in ("_probA", "_probB")):
        raise refused(estimator, "has probabilities of other classes")
