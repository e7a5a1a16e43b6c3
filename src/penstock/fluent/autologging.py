"""Autologging: `fit` of scikit-learn's estimators logs what it was given and what came of it.

Only the outermost `fit` logs: those that a pipeline or a search makes inside are its own affair. Whatever goes wrong
with logging is a warning, and never an error of `fit`.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from time import perf_counter
from typing import Any

from penstock.errors import DependencyMissing
from penstock.fluent.logged import log_metrics, log_params, set_tags
from penstock.fluent.models.packaging import log_model
from penstock.fluent.runs import ActiveRun, active_run, start_run

log = logging.getLogger("penstock.tracking")

_Fit = Callable[..., Any]

# Of a param's text so much is kept, which a server would cut, too.
_MAX_PARAM = 6000


@dataclass
class _Autologging:
    """What is patched, and what was asked for last."""

    fits: dict[type, _Fit] = field(default_factory=dict)
    enabled: bool = False
    log_models: bool = False
    extra_tags: Mapping[str, Any] = field(default_factory=dict)
    inside: threading.local = field(default_factory=threading.local)


_state = _Autologging()


def autolog(*, log_models: bool = False, disable: bool = False, extra_tags: Mapping[str, Any] | None = None) -> None:
    """From now on each `fit` of a scikit-learn estimator logs params, the score on the data that it was given, and the
    seconds that it took; with `log_models` the fitted estimator as a package, too. It logs to the active run, or to one
    of its own, which ends with it. `disable` ends that. Raises DependencyMissing without scikit-learn."""
    _state.enabled, _state.log_models, _state.extra_tags = not disable, log_models, dict(extra_tags or {})
    if disable or _state.fits:
        return
    try:
        estimators = import_module("sklearn.utils").all_estimators()
    except ImportError as error:
        raise DependencyMissing("Autologging needs scikit-learn.", hint="pip install scikit-learn") from error
    for _, kind in estimators:
        owner = next((each for each in kind.__mro__ if "fit" in vars(each)), None)
        if owner is not None and owner not in _state.fits and callable(vars(owner)["fit"]):
            _state.fits[owner] = vars(owner)["fit"]
            owner.fit = _logging(vars(owner)["fit"])


def _logging(fit: _Fit) -> _Fit:
    @functools.wraps(fit)
    def logged_fit(estimator: Any, *arguments: Any, **named: Any) -> Any:
        if not _state.enabled or getattr(_state.inside, "fit", False):
            return fit(estimator, *arguments, **named)
        _state.inside.fit = True
        try:
            return _logged(fit, estimator, arguments, named)
        finally:
            _state.inside.fit = False

    return logged_fit


def _logged(fit: _Fit, estimator: Any, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
    own: ActiveRun | None = None
    if active_run() is None:
        own = _quietly(lambda: start_run(tags=_state.extra_tags))
    if own is None and active_run() is None:
        return fit(estimator, *arguments, **named)
    _quietly(lambda: _log_before(estimator))
    begun = perf_counter()
    try:
        fitted = fit(estimator, *arguments, **named)
    except BaseException:
        if own is not None:
            own.end("FAILED")
        raise
    seconds = perf_counter() - begun
    _quietly(lambda: _log_after(estimator, seconds, arguments, named))
    if own is not None:
        own.end()
    return fitted


def _log_before(estimator: Any) -> None:
    kind = type(estimator)
    set_tags({"estimator_name": kind.__name__, "estimator_class": f"{kind.__module__}.{kind.__name__}"})
    log_params({key: str(value)[:_MAX_PARAM] for key, value in estimator.get_params(deep=True).items()})


def _log_after(estimator: Any, seconds: float, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> None:
    log_metrics({"training_seconds": seconds})
    rows = arguments[0] if arguments else named.get("X")
    target = arguments[1] if len(arguments) > 1 else named.get("y")
    if rows is not None and target is not None and hasattr(estimator, "score"):
        log_metrics({"training_score": estimator.score(rows, target)})
    if _state.log_models and rows is not None:
        log_model(estimator, input_example=rows[:20])


def _quietly(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except Exception as error:
        log.warning("Autologging did not log all of a fit: %s", error)
        return None
