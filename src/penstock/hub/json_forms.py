"""Experiments, runs and logged models in the JSON forms of MLflow's REST.

Absent fields are left out, as a protocol buffer's JSON leaves them out; an empty list is no key at all. NaN is the text
"NaN". Source: MLflow 3.18, `protos/service.proto`, and recordings of its server.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from penstock.tracking.datasets import DatasetInput
from penstock.tracking.experiments import Experiment
from penstock.tracking.logged_models import LoggedModel, LoggedModelMetric
from penstock.tracking.metrics import Metric, Points
from penstock.tracking.runs import ModelOutput, Run

Json = dict[str, Any]


def experiment_json(experiment: Experiment) -> Json:
    return {
        "experiment_id": experiment.experiment_id,
        "name": experiment.name,
        "artifact_location": experiment.artifact_location,
        "lifecycle_stage": experiment.lifecycle,
        "last_update_time": experiment.last_update_time,
        "creation_time": experiment.creation_time,
        **_listed("tags", pairs_json(experiment.tags)),
    }


def run_json(run: Run) -> Json:
    data = {
        **_listed("metrics", [metric_json(metric) for metric in run.metrics]),
        **_listed("params", pairs_json(run.params)),
        **_listed("tags", pairs_json(run.tags)),
    }
    inputs = {
        **_listed("dataset_inputs", [_dataset_json(given) for given in run.datasets]),
        **_listed("model_inputs", [{"model_id": model.model_id} for model in run.model_inputs]),
    }
    outputs = _listed("model_outputs", [_output_json(model) for model in run.model_outputs])
    return {"info": run_info_json(run), "data": data, "inputs": inputs, "outputs": outputs}


def run_info_json(run: Run) -> Json:
    return {
        "run_id": run.run_id,
        "run_uuid": run.run_id,
        "run_name": run.name,
        "experiment_id": run.experiment_id,
        "user_id": run.user_id,
        "status": run.status,
        "start_time": run.start_time,
        **({} if run.end_time is None else {"end_time": run.end_time}),
        "artifact_uri": run.artifact_uri,
        "lifecycle_stage": run.lifecycle,
    }


def metric_json(metric: Metric) -> Json:
    return {
        "key": metric.key,
        "value": value_json(metric.value),
        "timestamp": metric.timestamp,
        "step": metric.step,
    }


def points_json(key: str, points: Points) -> list[Json]:
    """A series' points, each with the key, as MLflow has them."""
    values: Sequence[Any] = points.values
    if any(map(math.isnan, points.values)):
        values = [value_json(value) for value in points.values]
    columns = zip(points.steps, points.timestamps, values, strict=True)
    return [{"key": key, "value": value, "timestamp": when, "step": step} for step, when, value in columns]


def value_json(value: float) -> float | str:
    return "NaN" if math.isnan(value) else value


def pairs_json(texts: Mapping[str, str]) -> list[Json]:
    return [{"key": key, "value": value} for key, value in texts.items()]


def logged_model_json(model: LoggedModel) -> Json:
    info = {
        "model_id": model.model_id,
        "experiment_id": model.experiment_id,
        "name": model.name,
        "creation_timestamp_ms": model.creation_time,
        "last_updated_timestamp_ms": model.last_update_time,
        "artifact_uri": model.artifact_uri,
        "status": model.status,
        "model_type": model.model_type,
        "source_run_id": model.source_run_id,
        **_told("status_message", model.status_message),
        **_listed("tags", pairs_json(model.tags)),
    }
    data = {
        **_listed("params", pairs_json(model.params)),
        **_listed("metrics", [_model_metric_json(each) for each in model.metrics]),
    }
    return {"info": info, "data": data}


def _model_metric_json(logged: LoggedModelMetric) -> Json:
    metric = logged.metric
    return {
        **metric_json(metric),
        **_told("dataset_name", metric.dataset_name),
        **_told("dataset_digest", metric.dataset_digest),
        "model_id": metric.model_id,
        "run_id": logged.run_id,
    }


def _dataset_json(given: DatasetInput) -> Json:
    dataset = given.dataset
    return {
        **_listed("tags", pairs_json(given.tags)),
        "dataset": {
            "name": dataset.name,
            "digest": dataset.digest,
            "source_type": dataset.source_type,
            "source": dataset.source,
            **({} if dataset.schema is None else {"schema": dataset.schema}),
            **({} if dataset.profile is None else {"profile": dataset.profile}),
        },
    }


def _output_json(model: ModelOutput) -> Json:
    return {"model_id": model.model_id, "step": model.step}


def _listed(name: str, entries: Iterable[Any]) -> Json:
    found = list(entries)
    return {name: found} if found else {}


def _told(name: str, text: str) -> Json:
    return {name: text} if text else {}
