"""What each write does to the records. A write that fails has changed nothing."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from penstock.errors import (
    ExperimentExists,
    ExperimentNotFound,
    LoggedModelNotFound,
    ParamChanged,
    RunExists,
    RunNotActive,
    RunNotFound,
    TagNotFound,
    TrackingInvalid,
    TrackingStateInvalid,
)
from penstock.tracking import limits, writes
from penstock.tracking.logged_models import LoggedModel, LoggedModelMetric
from penstock.tracking.memory.records import ExperimentRecord, LoggedModelRecord, RunRecord, SeriesRecord
from penstock.tracking.metrics import Point
from penstock.tracking.names import random_name
from penstock.tracking.runs import RUN_NAME_TAG, USER_TAG, Run


class TrackingRecords:
    """Everything that the store holds. `counter` is the number of the last change."""

    def __init__(self, artifact_root: str) -> None:
        self.artifact_root = artifact_root.rstrip("/")
        self.counter = 0
        self.experiments: dict[int, ExperimentRecord] = {}
        self.runs: dict[str, RunRecord] = {}
        self.models: dict[str, LoggedModelRecord] = {}

    def add_experiment(self, number: int, name: str, location: str = "", tags: Mapping[str, str] | None = None) -> None:
        now = _now()
        place = location or f"{self.artifact_root}/{number}"
        self.experiments[number] = ExperimentRecord(number, name, place, now, now, tags=dict(tags or {}))

    def experiment(self, experiment_id: str) -> ExperimentRecord:
        """Raises ExperimentNotFound."""
        plain = experiment_id.isascii() and experiment_id.isdecimal() and len(experiment_id) < 19
        found = self.experiments.get(int(experiment_id)) if plain else None
        if found is None:
            raise ExperimentNotFound(f"No Experiment with id={experiment_id[:300]} exists.")
        return found

    def run(self, run_id: str) -> RunRecord:
        """Raises RunNotFound."""
        if run_id not in self.runs:
            raise RunNotFound(f"Run with id={run_id[:300]} not found.")
        return self.runs[run_id]

    def active_run(self, run_id: str) -> RunRecord:
        """Raises RunNotFound, RunNotActive."""
        found = self.run(run_id)
        if found.deleted:
            raise RunNotActive(f"The run {run_id} must be in the 'active' state, but it is deleted.")
        return found

    def model(self, model_id: str) -> LoggedModelRecord:
        """Raises LoggedModelNotFound."""
        found = self.models.get(model_id)
        if found is None or found.deleted:
            raise LoggedModelNotFound(f"Logged model with ID {model_id[:300]!r} not found.")
        return found


def apply(records: TrackingRecords, change: writes.Write[Any]) -> Any:
    """Makes a change. Raises what its class says."""
    return _CHANGES[type(change)](records, change)


def _create_experiment(records: TrackingRecords, change: writes.CreateExperiment) -> str:
    _require_free(records, change.name)
    number = max(0, *records.experiments) + 1
    records.add_experiment(number, change.name, change.artifact_location, change.tags)
    return str(number)


def _rename_experiment(records: TrackingRecords, change: writes.RenameExperiment) -> None:
    found = records.experiment(change.experiment_id)
    _require_active(found)
    if found.name != change.name:
        _require_free(records, change.name)
    found.name, found.updated = change.name, _now()


def _set_experiment_deleted(
    records: TrackingRecords, change: writes.DeleteExperiment | writes.RestoreExperiment
) -> None:
    found = records.experiment(change.experiment_id)
    deleted = isinstance(change, writes.DeleteExperiment)
    if found.deleted is deleted:
        raise ExperimentNotFound(f"No Experiment with id={change.experiment_id} exists.")
    found.deleted, found.updated = deleted, _now()
    for run in records.runs.values():
        if run.experiment == found.number:
            run.deleted, run.changed = deleted, records.counter


def _set_experiment_tag(records: TrackingRecords, change: writes.SetExperimentTag) -> None:
    found = records.experiment(change.experiment_id)
    _require_active(found)
    found.tags[change.key], found.updated = change.value, _now()


def _delete_experiment_tag(records: TrackingRecords, change: writes.DeleteExperimentTag) -> None:
    found = records.experiment(change.experiment_id)
    if found.tags.pop(change.key, None) is None:
        raise TagNotFound(f"Experiment {change.experiment_id} has no tag {change.key!r}.")
    found.updated = _now()


def _create_run(records: TrackingRecords, change: writes.CreateRun) -> Run:
    experiment = records.experiment(change.experiment_id)
    if experiment.deleted:
        raise TrackingInvalid(f"The experiment {change.experiment_id} must be in the 'active' state.")
    named = change.tags.get(RUN_NAME_TAG, "")
    if change.name and named and change.name != named:
        raise TrackingInvalid(f"The run's name and its tag {RUN_NAME_TAG} differ.", field="run_name")
    run_id = change.run_id or uuid.uuid4().hex
    if run_id in records.runs:
        raise RunExists(f"A run with the id {run_id!r} exists already.")
    name = change.name or named or random_name()
    place = f"{experiment.artifact_location.rstrip('/')}/{run_id}/artifacts"
    user = change.user_id or change.tags.get(USER_TAG, "")
    made = RunRecord(run_id, experiment.number, name, user, change.start_time, place, records.counter)
    made.tags = {**change.tags, RUN_NAME_TAG: name}
    records.runs[run_id] = made
    return made.value


def _update_run(records: TrackingRecords, change: writes.UpdateRun) -> Run:
    found = records.active_run(change.run_id)
    found.status = change.status or found.status
    found.end_time = found.end_time if change.end_time is None else change.end_time
    if change.name:
        found.name = found.tags[RUN_NAME_TAG] = change.name
    found.changed = records.counter
    return found.value


def _set_run_deleted(records: TrackingRecords, change: writes.DeleteRun | writes.RestoreRun) -> None:
    found = records.run(change.run_id)
    found.deleted, found.changed = isinstance(change, writes.DeleteRun), records.counter


def _log_batch(records: TrackingRecords, change: writes.LogBatch) -> None:
    found = records.active_run(change.run_id)
    for key, value in change.params:
        if found.params.get(key, value) != value:
            raise ParamChanged(f"Changing param values is not allowed. Param with key={key!r} was already logged.")
    found.params.update(change.params)
    found.tags.update(change.tags)
    found.name = found.tags.get(RUN_NAME_TAG, found.name)
    for metric in change.metrics:
        series = found.series.setdefault(metric.key, SeriesRecord())
        series.add(Point(metric.step, metric.timestamp, metric.value))
        model = records.models.get(metric.model_id)
        if model is not None:
            kept = metric._replace(value=0.0 if math.isnan(metric.value) else metric.value)
            at = (metric.key, metric.timestamp, metric.step, found.run_id)
            model.metrics.setdefault(at, LoggedModelMetric(kept, found.run_id))
    found.changed = records.counter


def _delete_tag(records: TrackingRecords, change: writes.DeleteTag) -> None:
    found = records.active_run(change.run_id)
    if found.tags.pop(change.key, None) is None:
        raise TagNotFound(f"No tag with name: {change.key[:300]} in run with id {change.run_id}")
    found.changed = records.counter


def _log_inputs(records: TrackingRecords, change: writes.LogInputs) -> None:
    found = records.active_run(change.run_id)
    for given in change.datasets:
        found.inputs.setdefault((given.dataset.name, given.dataset.digest), given)
    found.models_in.update(change.models)
    found.changed = records.counter


def _log_outputs(records: TrackingRecords, change: writes.LogOutputs) -> None:
    found = records.active_run(change.run_id)
    found.models_out.update(change.models)
    found.changed = records.counter


def _create_logged_model(records: TrackingRecords, change: writes.CreateLoggedModel) -> LoggedModel:
    experiment = records.experiment(change.experiment_id)
    if experiment.deleted:
        raise TrackingInvalid(f"The experiment {change.experiment_id} must be in the 'active' state.")
    model_id, now = f"m-{uuid.uuid4().hex}", _now()
    place = f"{experiment.artifact_location.rstrip('/')}/models/{model_id}/artifacts"
    made = LoggedModelRecord(
        *(model_id, experiment.number, change.name or random_name(), place, now, now),
        *(change.model_type, change.source_run_id),
    )
    made.params, made.tags = _cut(change.params), dict(change.tags)
    records.models[model_id] = made
    return made.value


def _finalize_logged_model(records: TrackingRecords, change: writes.FinalizeLoggedModel) -> LoggedModel:
    found = records.model(change.model_id)
    found.status, found.updated = change.status, _now()
    return found.value


def _set_logged_model_tags(records: TrackingRecords, change: writes.SetLoggedModelTags) -> LoggedModel:
    found = records.model(change.model_id)
    found.tags.update(change.tags)
    found.updated = _now()
    return found.value


def _delete_logged_model_tag(records: TrackingRecords, change: writes.DeleteLoggedModelTag) -> None:
    found = records.model(change.model_id)
    if found.tags.pop(change.key, None) is None:
        raise TagNotFound(f"No tag with key {change.key[:300]!r} found for model with ID {change.model_id!r}.")
    found.updated = _now()


def _log_logged_model_params(records: TrackingRecords, change: writes.LogLoggedModelParams) -> LoggedModel:
    found = records.model(change.model_id)
    found.params.update(_cut(change.params))
    found.updated = _now()
    return found.value


def _delete_logged_model(records: TrackingRecords, change: writes.DeleteLoggedModel) -> None:
    records.model(change.model_id).deleted = True


def _require_free(records: TrackingRecords, name: str) -> None:
    if any(each.name == name for each in records.experiments.values()):
        raise ExperimentExists(f"Experiment(name={name}) already exists.")


def _require_active(found: ExperimentRecord) -> None:
    if found.deleted:
        raise TrackingStateInvalid(f"The experiment {found.number} must be in the 'active' state, but it is deleted.")


def _cut(params: Any) -> dict[str, str]:
    return {key: value[: limits.MAX_PARAM_VALUE] for key, value in params}


def _now() -> int:
    return time.time_ns() // 1_000_000


_CHANGES: Mapping[type[writes.Write[Any]], Callable[[TrackingRecords, Any], Any]] = {
    writes.CreateExperiment: _create_experiment,
    writes.RenameExperiment: _rename_experiment,
    writes.DeleteExperiment: _set_experiment_deleted,
    writes.RestoreExperiment: _set_experiment_deleted,
    writes.SetExperimentTag: _set_experiment_tag,
    writes.DeleteExperimentTag: _delete_experiment_tag,
    writes.CreateRun: _create_run,
    writes.UpdateRun: _update_run,
    writes.DeleteRun: _set_run_deleted,
    writes.RestoreRun: _set_run_deleted,
    writes.LogBatch: _log_batch,
    writes.DeleteTag: _delete_tag,
    writes.LogInputs: _log_inputs,
    writes.LogOutputs: _log_outputs,
    writes.CreateLoggedModel: _create_logged_model,
    writes.FinalizeLoggedModel: _finalize_logged_model,
    writes.SetLoggedModelTags: _set_logged_model_tags,
    writes.DeleteLoggedModelTag: _delete_logged_model_tag,
    writes.LogLoggedModelParams: _log_logged_model_params,
    writes.DeleteLoggedModel: _delete_logged_model,
}
