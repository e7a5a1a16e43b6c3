"""Standing in the way of scikit-learn's fits."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from penstock.errors import DependencyMissing
from penstock.fluent.autologging.fits import LoggedFit, given_to
from penstock.fluent.autologging.options import AutologOptions
from penstock.fluent.runs import active_run

_FITS = ("fit", "fit_transform", "fit_predict")

# What only prepares data is no model, unless it is a step of one.
_PREPARATION = ("sklearn.preprocessing", "sklearn.impute", "sklearn.feature_extraction", "sklearn.feature_selection")
_PREPARES = ("sklearn.compose._column_transformer.ColumnTransformer",)

# Functions that fit the same estimator again and again to measure it.
_MEASURING = (
    "cross_validate",
    "cross_val_predict",
    "cross_val_score",
    "learning_curve",
    "permutation_test_score",
    "validation_curve",
)


@dataclass
class _Patched:
    """The whole state: what was asked for last, None while nothing is; what is patched; and whether a fit is logged, in
    this thread, and how many are in all."""

    options: AutologOptions | None = None
    fits: set[tuple[type, str]] = field(default_factory=set)
    inside: threading.local = field(default_factory=threading.local)
    lock: threading.Lock = field(default_factory=threading.Lock)
    going_on: int = 0


_state = _Patched()


def autolog(
    log_input_examples: bool = False,
    log_model_signatures: bool = True,
    log_models: bool = True,
    log_datasets: bool = True,
    disable: bool = False,
    exclusive: bool = False,
    disable_for_unsupported_versions: bool = False,
    silent: bool = False,
    max_tuning_runs: int | None = 5,
    log_post_training_metrics: bool = True,
    serialization_format: str | None = None,
    registered_model_name: str | None = None,
    pos_label: Any = None,
    extra_tags: Mapping[str, Any] | None = None,
) -> None:
    """From now on each `fit` of a scikit-learn estimator logs its params, metrics of it on the data that it was given,
    those data as an input of the run, and the fitted model, which `registered_model_name` registers. It logs to the
    active run, or to one of its own, which ends with it. A search over params logs the best model, `cv_results.csv`,
    and its best `max_tuning_runs` results as runs inside; None for all of them.

    `exclusive` logs to no run of the program's own, `silent` warns of nothing, `disable` ends it. For MLflow's sake
    `disable_for_unsupported_versions` and `log_post_training_metrics` are taken: what a program measures after a fit is
    logged by nothing but itself. Raises DependencyMissing without scikit-learn."""
    _state.options = None
    if disable:
        return
    _patch()
    _state.options = AutologOptions(
        log_input_examples,
        log_model_signatures,
        log_models,
        log_datasets,
        exclusive,
        silent,
        max_tuning_runs,
        serialization_format,
        registered_model_name,
        pos_label,
        dict(extra_tags or {}),
    )


def _patch() -> None:
    """Once. Raises DependencyMissing."""
    if _state.fits:
        return
    try:
        kinds = [kind for _, kind in import_module("sklearn.utils").all_estimators()]
        measuring = import_module("sklearn.model_selection")
    except ImportError as error:
        raise DependencyMissing("Autologging needs scikit-learn.", hint="pip install scikit-learn") from error
    kinds += [measuring.GridSearchCV, measuring.RandomizedSearchCV, import_module("sklearn.pipeline").Pipeline]
    for kind in kinds:
        for name in _FITS:
            owner = next((each for each in kind.__mro__ if name in vars(each)), None)
            if owner is not None and (owner, name) not in _state.fits and callable(vars(owner)[name]):
                _state.fits.add((owner, name))
                setattr(owner, name, _logging(vars(owner)[name]))
    for name in _MEASURING:
        setattr(measuring, name, _not_logging(getattr(measuring, name)))


def _logging(fit: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fit)
    def logged_fit(estimator: Any, *arguments: Any, **named: Any) -> Any:
        options = _state.options
        if options is None or not _is_outermost() or _prepares(type(estimator)) or (options.exclusive and active_run()):
            return fit(estimator, *arguments, **named)
        with _inside():
            given = options.quietly(lambda: given_to(fit, estimator, arguments, named))
            return LoggedFit(options, estimator, given).run(lambda: fit(estimator, *arguments, **named))

    return logged_fit


def _not_logging(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def quiet(*arguments: Any, **named: Any) -> Any:
        with _inside():
            return function(*arguments, **named)

    return quiet


def _is_outermost() -> bool:
    """Not inside another fit: of this thread, or, as a thread that it started, of another one."""
    if getattr(_state.inside, "fit", False):
        return False
    is_worker = threading.current_thread() is not threading.main_thread() and active_run() is None
    return not (is_worker and _state.going_on)


@contextmanager
def _inside() -> Iterator[None]:
    before = getattr(_state.inside, "fit", False)
    _state.inside.fit = True
    with _state.lock:
        _state.going_on += 1
    try:
        yield
    finally:
        _state.inside.fit = before
        with _state.lock:
            _state.going_on -= 1


def _prepares(kind: type) -> bool:
    return kind.__module__.startswith(_PREPARATION) or f"{kind.__module__}.{kind.__name__}" in _PREPARES
