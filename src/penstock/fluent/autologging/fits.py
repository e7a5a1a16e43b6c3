"""One fit: what is logged before it, and after it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

from penstock.fluent.artifacts import log_content, log_text
from penstock.fluent.autologging.measures import training_metrics
from penstock.fluent.autologging.options import AutologOptions
from penstock.fluent.autologging.plots import training_plots
from penstock.fluent.autologging.searches import log_search
from penstock.fluent.data import from_numpy, from_pandas
from penstock.fluent.data.inputs import log_input
from penstock.fluent.logged import log_metrics, log_params, set_tags
from penstock.fluent.models.packaging import log_model
from penstock.fluent.runs import ActiveRun, active_run, start_run

# Of a param's text so much is kept, which a server would cut, too.
_MAX_PARAM = 6000
_EXAMPLE_ROWS = 5
_AUTOLOGGING_TAG = {"mlflow.autologging": "sklearn"}


class GivenData(NamedTuple):
    """What a fit was given."""

    rows: Any
    target: Any = None
    weights: Any = None


class LoggedFit:
    """Of an estimator, `given` data, which are None where nobody can tell them."""

    def __init__(self, options: AutologOptions, estimator: Any, given: GivenData | None) -> None:
        self._options = options
        self._estimator = estimator
        self._given = given
        self._dataset: Any = None

    def run(self, fit: Callable[[], Any]) -> Any:
        """Fits, and returns or raises what that does."""
        quietly = self._options.quietly
        own: ActiveRun | None = None
        if active_run() is None:
            own = quietly(lambda: start_run(tags={**_AUTOLOGGING_TAG, **self._options.extra_tags}))
        if active_run() is None:
            return fit()
        self._before()
        try:
            fitted = fit()
        except BaseException:
            if own is not None:
                quietly(lambda: own.end("FAILED"))
            raise
        self._after()
        if own is not None:
            quietly(own.end)
        return fitted

    def _before(self) -> None:
        quietly, estimator = self._options.quietly, self._estimator
        quietly(lambda: set_tags(tags_of(estimator)))
        quietly(lambda: log_params(params_of(estimator)))
        if self._options.log_datasets and self._given is not None:
            quietly(self._log_dataset)

    def _log_dataset(self) -> None:
        rows, target, _ = self._given or GivenData(None)
        if hasattr(rows, "toarray"):  # sparse
            rows, target = rows.toarray(), target.toarray() if hasattr(target, "toarray") else target
        if hasattr(rows, "iloc"):
            self._dataset = from_pandas(rows)
        elif hasattr(rows, "dtype"):
            is_array = target is None or hasattr(target, "dtype")
            self._dataset = from_numpy(rows, targets=target if is_array else import_module("numpy").asarray(target))
        if self._dataset is not None:
            log_input(self._dataset, "train")

    def _after(self) -> None:
        quietly, options, estimator, dataset = self._options.quietly, self._options, self._estimator, self._dataset
        model_id = None
        if options.log_models:
            best = getattr(estimator, "best_params_", {}) if is_search(estimator) else {}
            params = {**params_of(estimator), **{f"best_{name}": value for name, value in best.items()}}
            model_id = quietly(lambda: self._log_model(estimator, "model", params, options.registered_model_name))
        if self._given is not None:
            rows, target, weights = self._given
            metrics = quietly(lambda: training_metrics(estimator, rows, target, weights, options)) or {}
            quietly(lambda: log_metrics(metrics, model_id=model_id, dataset=dataset))
            for name, write in quietly(lambda: training_plots(estimator, rows, target, weights)) or ():
                quietly(lambda name=name, write=write: log_content(f"{name}.png", write))  # type: ignore[misc]
        quietly(lambda: log_text(_page_of(estimator), "estimator.html"))
        if is_search(estimator):
            log_best = quietly(self._log_best) if options.log_models else None
            log_search(options, estimator, tags_of, params_of, dataset, (model_id, log_best))

    def _log_best(self) -> str | None:
        best = getattr(self._estimator, "best_estimator_", None)
        return None if best is None else self._log_model(best, "best_estimator", params_of(best), None)

    def _log_model(self, estimator: Any, name: str, params: Mapping[str, str], registered: str | None) -> str | None:
        """Its id, where it has one."""
        options = self._options
        example = None if self._given is None else _first_rows(self._given.rows)
        more: dict[str, Any] = {}
        if options.serialization_format:
            more["serialization"] = options.serialization_format
        if options.log_input_examples:
            more["input_example"] = example
        elif options.log_model_signatures and example is not None:
            more["signature"] = options.quietly(lambda: _signature(estimator, example))
        return log_model(estimator, name, params=params, registered_model_name=registered, **more).model_id or None


def given_to(
    fit: Callable[..., Any], estimator: Any, arguments: tuple[Any, ...], named: Mapping[str, Any]
) -> GivenData:
    """Rows, target and weights, whatever an estimator calls the first two of them."""
    bound = inspect.signature(fit).bind(estimator, *arguments, **named)
    values = list(bound.arguments.values())[1:]
    names = list(bound.arguments)[1:]
    second = values[1] if len(values) > 1 and names[1] not in ("sample_weight", "params", "fit_params") else None
    return GivenData(values[0], second, bound.arguments.get("sample_weight"))


def tags_of(estimator: Any) -> dict[str, str]:
    kind = type(estimator)
    return {"estimator_name": kind.__name__, "estimator_class": f"{kind.__module__}.{kind.__name__}"}


def params_of(estimator: Any) -> dict[str, str]:
    """Those of what is inside, too; but a search's own alone, whose estimator is only where it begins."""
    found = estimator.get_params(deep=not is_search(estimator))
    return {name: str(value)[:_MAX_PARAM] for name, value in found.items()}


def is_search(estimator: Any) -> bool:
    """Over params, as GridSearchCV."""
    searching = import_module("sklearn.model_selection")
    return isinstance(estimator, (searching.GridSearchCV, searching.RandomizedSearchCV))


def _first_rows(rows: Any) -> Any:
    if hasattr(rows, "toarray"):
        return rows[:_EXAMPLE_ROWS].toarray()
    return (
        import_module("numpy").asarray(rows[:_EXAMPLE_ROWS])
        if isinstance(rows, (list, tuple))
        else rows[:_EXAMPLE_ROWS]
    )


def _signature(estimator: Any, example: Any) -> Any:
    answers = estimator.predict(example) if hasattr(estimator, "predict") else estimator.transform(example)
    payload = import_module("penstock.package.save").example_payload
    return import_module("penstock.signature").infer_signature(payload(example), payload(answers))


def _page_of(estimator: Any) -> str:
    drawn = import_module("sklearn.utils").estimator_html_repr(estimator)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="UTF-8"></head>\n<body>\n{drawn}\n</body>\n</html>\n'
    )
