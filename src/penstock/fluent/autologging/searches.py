"""Searches over params: their results as runs inside the run, and as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from numbers import Number
from typing import Any

from penstock.fluent.artifacts import log_text
from penstock.fluent.autologging.options import AutologOptions
from penstock.fluent.data.inputs import log_input
from penstock.fluent.logged import log_metrics, log_params
from penstock.fluent.runs import start_run


def log_search(
    options: AutologOptions,
    search: Any,
    tags_of: Callable[[Any], Mapping[str, str]],
    params_of: Callable[[Any], Mapping[str, str]],
    dataset: Any,
    model_ids: tuple[str | None, str | None],
) -> None:
    """Best score and params to the active run; the best results as runs inside. `model_ids` are those of the search
    itself, and of the best estimator."""
    quietly = options.quietly
    own, best = model_ids
    if hasattr(search, "best_score_"):
        quietly(lambda: log_metrics({"best_cv_score": search.best_score_}, model_id=own, dataset=dataset))
    best_params = getattr(search, "best_params_", None)
    if best_params is not None:
        quietly(lambda: log_params({f"best_{name}": str(value) for name, value in best_params.items()}))
    results = getattr(search, "cv_results_", None)
    if results is None:
        return
    quietly(lambda: log_text(_table_of(results), "cv_results.csv"))
    base, tags = quietly(lambda: params_of(search.estimator)) or {}, tags_of(search.estimator)
    for row in _best_rows(results, options.max_tuning_runs):
        varied = results["params"][row]
        model_id = best if best_params is not None and varied == best_params else None
        metrics = {name: column[row] for name, column in results.items() if _is_metric(name, column[row])}
        params = {**base, **{name: str(value) for name, value in varied.items()}}
        quietly(
            lambda params=params, metrics=metrics, model_id=model_id: _log_child(  # type: ignore[misc]
                {"mlflow.autologging": "sklearn", **tags}, params, metrics, dataset, model_id
            )
        )


def _log_child(
    tags: Mapping[str, str], params: Mapping[str, str], metrics: Mapping[str, Any], dataset: Any, model_id: str | None
) -> None:
    run = start_run(nested=True, tags=tags)
    try:
        log_params(params)
        if dataset is not None:
            log_input(dataset, "train")
        log_metrics(metrics, model_id=model_id, dataset=dataset)
    finally:
        run.end(wait=False)


def _best_rows(results: Mapping[str, Any], most: int | None) -> list[int]:
    """By rank, of the first metric where there are several; all in their order where none is left out."""
    count = len(results["params"])
    if most is None:
        return list(range(count))
    rank = next((name for name in results if name.startswith("rank_test_")), None)
    return sorted(range(count), key=lambda row: results[rank][row] if rank else row)[:most]


def _is_metric(name: str, value: Any) -> bool:
    """Aggregates alone: not the params, and not each fold."""
    return not name.startswith(("param", "split")) and isinstance(value, Number)


def _table_of(results: Mapping[str, Any]) -> str:
    into = io.StringIO()
    writer = csv.writer(into, lineterminator="\n")
    writer.writerow(results)
    writer.writerows(zip(*results.values()))
    return into.getvalue()
