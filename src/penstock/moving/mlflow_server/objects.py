"""What a server tells in JSON, as records. Whole numbers may come as texts, and a field that is empty not at all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

from penstock.moving.mlflow_database.cells import moment, number, optional_number, optional_text, text
from penstock.moving.records import SourceLoggedModel, SourceRun
from penstock.registry.entries import ModelVersion, RegisteredModel, Stage, VersionStatus
from penstock.tracking.datasets import Dataset, DatasetInput
from penstock.tracking.experiments import Experiment, Lifecycle
from penstock.tracking.logged_models import LoggedModel, LoggedModelMetric, LoggedModelStatus
from penstock.tracking.metrics import Metric
from penstock.tracking.runs import RUN_NAME_TAG, ModelOutput, Run, RunStatus

_LOGGED = re.compile(r"models:/+(m-[0-9a-zA-Z]+)/?")


def experiment_of(told: Mapping[str, Any]) -> Experiment:
    created = number(told.get("creation_time"))
    return Experiment(
        experiment_id=text(told.get("experiment_id")),
        name=text(told.get("name")),
        artifact_location=text(told.get("artifact_location")),
        lifecycle=_lifecycle(told),
        creation_time=created,
        last_update_time=number(told.get("last_update_time"), created),
        tags=_pairs(told.get("tags")),
    )


def run_of(told: Mapping[str, Any], mark: str) -> SourceRun:
    info, data = _inner(told, "info"), _inner(told, "data")
    inputs, outputs = _inner(told, "inputs"), _inner(told, "outputs")
    tags = _pairs(data.get("tags"))
    run = Run(
        run_id=text(info.get("run_id") or info.get("run_uuid")),
        experiment_id=text(info.get("experiment_id")),
        name=text(info.get("run_name")) or tags.get(RUN_NAME_TAG, ""),
        user_id=text(info.get("user_id")),
        status=cast("RunStatus", text(info.get("status")) or "RUNNING"),
        start_time=number(info.get("start_time")),
        end_time=optional_number(info.get("end_time")),
        artifact_uri=text(info.get("artifact_uri")),
        lifecycle=_lifecycle(info),
        changed=0,
        params=_pairs(data.get("params")),
        tags=tags,
        datasets=tuple(_dataset(each) for each in _list(inputs, "dataset_inputs")),
        model_inputs=tuple(ModelOutput(text(each.get("model_id"))) for each in _list(inputs, "model_inputs")),
        model_outputs=tuple(
            ModelOutput(text(each.get("model_id")), number(each.get("step")))
            for each in _list(outputs, "model_outputs")
        ),
    )
    return SourceRun(run, points=None if _list(data, "metrics") else 0, points_mark=mark)


def metric_keys(told: Mapping[str, Any]) -> list[str]:
    return [text(each.get("key")) for each in _list(_inner(told, "data"), "metrics")]


def latest_points(told: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """What is another one once points were added after those that are there."""
    metrics = _list(_inner(told, "data"), "metrics")
    fields = ("key", "step", "timestamp", "value")
    return sorted(tuple(text(each.get(field)) for field in fields) for each in metrics)  # type: ignore[misc]


def logged_model_of(told: Mapping[str, Any]) -> SourceLoggedModel:
    info, data = _inner(told, "info"), _inner(told, "data")
    at = text(info.get("model_id"))
    model = LoggedModel(
        model_id=at,
        experiment_id=text(info.get("experiment_id")),
        name=text(info.get("name")),
        artifact_uri=text(info.get("artifact_uri")),
        creation_time=number(info.get("creation_timestamp_ms")),
        last_update_time=number(info.get("last_updated_timestamp_ms")),
        status=cast("LoggedModelStatus", text(info.get("status")) or "LOGGED_MODEL_PENDING"),
        status_message=text(info.get("status_message")),
        model_type=text(info.get("model_type")),
        source_run_id=text(info.get("source_run_id")),
        params=_pairs(data.get("params")),
        tags=_pairs(info.get("tags")),
        metrics=tuple(_metric(at, each) for each in _list(data, "metrics")),
    )
    return SourceLoggedModel(model)


def registered_model_of(told: Mapping[str, Any]) -> RegisteredModel:
    created = number(told.get("creation_timestamp"))
    return RegisteredModel(
        name=text(told.get("name")),
        created_at=moment(created),
        updated_at=moment(number(told.get("last_updated_timestamp"), created)),
        description=text(told.get("description")),
        aliases={text(each.get("alias")): text(each.get("version")) for each in _list(told, "aliases")},
        tags=_pairs(told.get("tags")),
    )


def version_of(told: Mapping[str, Any]) -> ModelVersion:
    created, source = number(told.get("creation_timestamp")), text(told.get("source"))
    logged = _LOGGED.fullmatch(source)
    return ModelVersion(
        name=text(told.get("name")),
        version=text(told.get("version")),
        source="",
        origin=source,
        created_at=moment(created),
        updated_at=moment(number(told.get("last_updated_timestamp"), created)),
        description=text(told.get("description")),
        run_id=text(told.get("run_id")),
        registered_by=text(told.get("user_id")),
        tags=_pairs(told.get("tags")),
        stage=cast("Stage", text(told.get("current_stage")) or "None"),
        run_link=text(told.get("run_link")),
        logged_model=text(told.get("model_id")) or ("" if logged is None else logged[1]),
        status=cast("VersionStatus", text(told.get("status")) or "READY"),
        status_message=text(told.get("status_message")),
    )


def _dataset(told: Mapping[str, Any]) -> DatasetInput:
    given = _inner(told, "dataset")
    dataset = Dataset(
        text(given.get("name")),
        text(given.get("digest")),
        text(given.get("source_type")),
        text(given.get("source")),
        optional_text(given.get("schema")),
        optional_text(given.get("profile")),
    )
    return DatasetInput(dataset, _pairs(told.get("tags")))


def _metric(model_id: str, told: Mapping[str, Any]) -> LoggedModelMetric:
    try:
        value = float(told.get("value") or 0.0)
    except (TypeError, ValueError):
        value = float("nan")
    metric = Metric(
        text(told.get("key")),
        value,
        number(told.get("timestamp")),
        number(told.get("step")),
        model_id,
        text(told.get("dataset_name")),
        text(told.get("dataset_digest")),
    )
    return LoggedModelMetric(metric, text(told.get("run_id")))


def _lifecycle(told: Mapping[str, Any]) -> Lifecycle:
    return "deleted" if told.get("lifecycle_stage") == "deleted" else "active"


def _inner(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = told.get(name)
    return found if isinstance(found, dict) else {}


def _list(told: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = told.get(name)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _pairs(told: Any) -> dict[str, str]:
    """Params and tags, sorted by key."""
    given: Iterable[Any] = told if isinstance(told, list) else ()
    found = {text(each.get("key")): text(each.get("value")) for each in given if isinstance(each, dict)}
    return dict(sorted(found.items()))
