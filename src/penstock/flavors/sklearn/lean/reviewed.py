"""The estimators whose arithmetic was reviewed, and the versions of scikit-learn it was reviewed in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from penstock.flavors.sklearn.lean import boosting, linear, transforms, trees
from penstock.flavors.sklearn.lean.step import Method, NotLean, Step

Builder: TypeAlias = Callable[[Any, Method, int], Step]

# Minor versions; in another one every model is predicted by the estimator itself.
REVIEWED_VERSIONS = ("1.5", "1.6", "1.7", "1.8", "1.9")

_LINEAR_REGRESSORS = (
    "_base.LinearRegression",
    "_ridge.Ridge",
    "_ridge.RidgeCV",
    "_coordinate_descent.Lasso",
    "_coordinate_descent.LassoCV",
    "_coordinate_descent.ElasticNet",
    "_coordinate_descent.ElasticNetCV",
    "_bayes.BayesianRidge",
    "_bayes.ARDRegression",
    "_huber.HuberRegressor",
    "_least_angle.Lars",
    "_least_angle.LassoLars",
    "_quantile.QuantileRegressor",
    "_stochastic_gradient.SGDRegressor",
    "_theil_sen.TheilSenRegressor",
)
_LINEAR_CLASSIFIERS = (
    "_ridge.RidgeClassifier",
    "_ridge.RidgeClassifierCV",
    "_stochastic_gradient.SGDClassifier",
    "_perceptron.Perceptron",
)
_FORESTS = ("RandomForestClassifier", "RandomForestRegressor", "ExtraTreesClassifier", "ExtraTreesRegressor")

_BUILDERS: dict[str, Builder] = {
    **{f"sklearn.linear_model.{name}": linear.linear_regressor for name in _LINEAR_REGRESSORS},
    **{f"sklearn.linear_model.{name}": linear.linear_classifier for name in _LINEAR_CLASSIFIERS},
    "sklearn.svm._classes.LinearSVC": linear.linear_classifier,
    "sklearn.svm._classes.LinearSVR": linear.linear_regressor,
    "sklearn.linear_model._logistic.LogisticRegression": linear.logistic_regression,
    "sklearn.linear_model._logistic.LogisticRegressionCV": linear.logistic_regression,
    "sklearn.tree._classes.DecisionTreeClassifier": trees.decision_tree,
    "sklearn.tree._classes.DecisionTreeRegressor": trees.decision_tree,
    "sklearn.tree._classes.ExtraTreeClassifier": trees.decision_tree,
    "sklearn.tree._classes.ExtraTreeRegressor": trees.decision_tree,
    **{f"sklearn.ensemble._forest.{name}": trees.forest for name in _FORESTS},
    "sklearn.ensemble._gb.GradientBoostingClassifier": trees.gradient_boosting,
    "sklearn.ensemble._gb.GradientBoostingRegressor": trees.gradient_boosting,
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier": (
        boosting.histogram_boosting
    ),
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingRegressor": (
        boosting.histogram_boosting
    ),
    "sklearn.preprocessing._data.StandardScaler": transforms.standard_scaler,
    "sklearn.preprocessing._data.MinMaxScaler": transforms.min_max_scaler,
    "sklearn.preprocessing._data.MaxAbsScaler": transforms.max_abs_scaler,
    "sklearn.preprocessing._data.RobustScaler": transforms.robust_scaler,
    "sklearn.impute._base.SimpleImputer": transforms.simple_imputer,
}


def builder_of(kind: str) -> Builder:
    """What makes the step of estimators of a class, by its full name. Raises NotLean."""
    builder = _BUILDERS.get(kind)
    if builder is None:
        raise NotLean(f"{kind.rpartition('.')[2]} is not reviewed")
    return builder


def require_reviewed_version(version: str) -> None:
    """Raises NotLean."""
    minor = ".".join(version.split(".")[:2])
    if minor not in REVIEWED_VERSIONS:
        raise NotLean(f"scikit-learn {minor} is not reviewed")
