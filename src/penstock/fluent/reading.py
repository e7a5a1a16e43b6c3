"""Reading runs back, and marking them as deleted. What this process logged is delivered first."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Sequence
from typing import Any

from penstock.errors import DependencyMissing, TrackingInvalid, TrackingRefused
from penstock.fluent.experiments import (
    ViewType,
    current_experiment,
    get_experiment_by_name,
    search_experiments,
)
from penstock.fluent.session import FLUSH_SECONDS, Destination, current_session
from penstock.fluent.transport.shape import shape_of_answers
from penstock.fluent.views import MetricPoint, TrackedRun

# Of an id, as lists of runs show it.
_BEGINNING = re.compile(r"[0-9a-f]{1,31}")

_PAGE = 1000
_POINTS = 25_000
_MAX_FRAME = 100_000


def delivered(uri: str = "") -> Destination:
    """Where runs go, with what this process logged."""
    destination = current_session().destination(uri)
    destination.outbox.flush(FLUSH_SECONDS)
    return destination


def get_run(run_id: str) -> TrackedRun:
    """Deleted ones, too. Raises TrackingRefused where there is none, and TrackingUnavailable."""
    destination = delivered()
    known = destination.outbox.run_id_of(run_id)
    try:
        with shape_of_answers(destination.transport):
            return TrackedRun.of_json(destination.transport.get("runs/get", {"run_id": known})["run"])
    except TrackingRefused as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST" or not _BEGINNING.fullmatch(known):
            raise
        raise TrackingRefused(
            f"There is no run {known!r} at {destination.transport.place}: an id has 32 digits, and the whole one is "
            "needed.",
            hint=f"If that is the beginning of one, penstock runs show {known} shows all of it.",
            status=error.status,
            error_code=error.error_code,
        ) from None


def get_metric_history(run_id: str, key: str) -> list[MetricPoint]:
    """All points of a metric, by step and time as the server has them. Empty for one that the run does not have."""
    destination = delivered()
    fields: dict[str, Any] = {"run_id": destination.outbox.run_id_of(run_id), "metric_key": key, "max_results": _POINTS}
    points: list[MetricPoint] = []
    while True:
        try:
            page = destination.transport.get("metrics/get-history", fields)
        except TrackingRefused:
            if fields.pop("max_results", None) is None:
                raise
            continue  # a server whose store knows no pages gives all of them at once
        points += [MetricPoint.of_json(each) for each in page.get("metrics", [])]
        if not page.get("next_page_token"):
            return points
        fields["page_token"] = page["next_page_token"]


def last_active_run() -> TrackedRun | None:
    """The active run, else the one that was started last, as it is now."""
    active = current_session().active
    run_id = active[-1].info.run_id if active else current_session().last_run_id
    return get_run(run_id) if run_id else None


def get_parent_run(run_id: str) -> TrackedRun | None:
    """The run that this one is nested in."""
    parent = get_run(run_id).data.tags.get("mlflow.parentRunId")
    return get_run(parent) if parent else None


def search_runs(
    experiment_ids: Sequence[str] | None = None,
    filter_string: str = "",
    run_view_type: int = ViewType.ACTIVE_ONLY,
    max_results: int = _MAX_FRAME,
    order_by: Sequence[str] | None = None,
    output_format: str = "pandas",
    search_all_experiments: bool = False,
    experiment_names: Sequence[str] | None = None,
) -> Any:
    """A pandas DataFrame, or with `output_format="list"` a list of runs. Without experiments, those of the one that
    runs are filed under. Raises TrackingRefused for a filter that cannot be read, and DependencyMissing without
    pandas."""
    if output_format not in ("pandas", "list"):
        raise TrackingInvalid(f"{output_format!r} is no output format.", hint="Use 'pandas' or 'list'.")
    if output_format == "pandas" and importlib.util.find_spec("pandas") is None:
        raise DependencyMissing("A table of runs needs pandas.", hint='Say output_format="list", or install pandas.')
    destination = delivered()
    fields = {
        "experiment_ids": _experiments(destination, experiment_ids, experiment_names, search_all_experiments),
        "filter": filter_string,
        "run_view_type": ViewType.name_of(run_view_type),
        "order_by": list(order_by or ()),
    }
    runs = _found(destination, fields, max_results) if fields["experiment_ids"] else []
    return runs if output_format == "list" else _frame(runs)


def delete_run(run_id: str) -> None:
    """Until it is restored."""
    delivered().transport.post("runs/delete", {"run_id": run_id})


def restore_run(run_id: str) -> None:
    """Takes a deletion back."""
    delivered().transport.post("runs/restore", {"run_id": run_id})


def _experiments(
    destination: Destination, ids: Sequence[str] | None, names: Sequence[str] | None, search_all: bool
) -> list[str]:
    if ids and names:
        raise TrackingInvalid("Give the ids of experiments, or their names, and not both.", field="experiment_ids")
    if names:
        found = [get_experiment_by_name(name) for name in names]
        return [each.experiment_id for each in found if each is not None]
    if ids:
        return [str(each) for each in ids]
    if search_all:
        return [each.experiment_id for each in search_experiments(ViewType.ALL)]
    return [each for each in current_experiment(destination)[:1] if each]


def _found(destination: Destination, fields: dict[str, Any], limit: int) -> list[TrackedRun]:
    runs: list[TrackedRun] = []
    while len(runs) < limit:
        page = destination.transport.post("runs/search", {**fields, "max_results": min(limit - len(runs), _PAGE)})
        runs += [TrackedRun.of_json(each) for each in page.get("runs", [])]
        if not page.get("next_page_token"):
            break
        fields = {**fields, "page_token": page["next_page_token"]}
    return runs


def _frame(runs: Sequence[TrackedRun]) -> Any:
    """With MLflow's columns: a row for each run, NaN or None where it has not what another one has."""
    pandas = importlib.import_module("pandas")
    columns: dict[str, Any] = {
        "run_id": [run.info.run_id for run in runs],
        "experiment_id": [run.info.experiment_id for run in runs],
        "status": [run.info.status for run in runs],
        "artifact_uri": [run.info.artifact_uri for run in runs],
        "start_time": pandas.to_datetime([run.info.start_time for run in runs], unit="ms", utc=True),
        "end_time": pandas.to_datetime([run.info.end_time for run in runs], unit="ms", utc=True),
    }
    for key in sorted({key for run in runs for key in run.data.metrics}):
        columns[f"metrics.{key}"] = [run.data.metrics.get(key, float("nan")) for run in runs]
    for key in sorted({key for run in runs for key in run.data.params}):
        columns[f"params.{key}"] = [run.data.params.get(key) for run in runs]
    for key in sorted({key for run in runs for key in run.data.tags}):
        columns[f"tags.{key}"] = [run.data.tags.get(key) for run in runs]
    return pandas.DataFrame(columns)
