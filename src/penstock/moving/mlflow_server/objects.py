"""What a server tells in JSON, as records. Whole numbers may come as texts, and a field that is empty not at all."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from penstock.moving.mlflow_database.cells import moment, number, optional_number
from penstock.moving.mlflow_server.answers import inner, listed, optional_text, text
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
        experiment_id=text(told, "experiment_id"),
        name=text(told, "name"),
        artifact_location=text(told, "artifact_location"),
        lifecycle=_lifecycle(told),
        creation_time=created,
        last_update_time=number(told.get("last_update_time"), created),
        tags=_pairs(told, "tags"),
    )


def run_of(told: Mapping[str, Any], mark: str) -> SourceRun:
    info, data = inner(told, "info"), inner(told, "data")
    inputs, outputs = inner(told, "inputs"), inner(told, "outputs")
    tags = _pairs(data, "tags")
    run = Run(
        run_id=text(info, "run_id") or text(info, "run_uuid"),
        experiment_id=text(info, "experiment_id"),
        name=text(info, "run_name") or tags.get(RUN_NAME_TAG, ""),
        user_id=text(info, "user_id"),
        status=cast("RunStatus", text(info, "status") or "RUNNING"),
        start_time=number(info.get("start_time")),
        end_time=optional_number(info.get("end_time")),
        artifact_uri=text(info, "artifact_uri"),
        lifecycle=_lifecycle(info),
        changed=0,
        params=_pairs(data, "params"),
        tags=tags,
        datasets=tuple(_dataset(each) for each in listed(inputs, "dataset_inputs")),
        model_inputs=tuple(ModelOutput(text(each, "model_id")) for each in listed(inputs, "model_inputs")),
        model_outputs=tuple(
            ModelOutput(text(each, "model_id"), number(each.get("step"))) for each in listed(outputs, "model_outputs")
        ),
    )
    return SourceRun(run, points=None if listed(data, "metrics") else 0, points_mark=mark)


def metric_keys(told: Mapping[str, Any]) -> list[str]:
    return list({text(each, "key"): None for each in listed(inner(told, "data"), "metrics")})


def latest_points(told: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """What is another one once points were added after those that are there."""
    metrics = listed(inner(told, "data"), "metrics")
    fields = ("key", "step", "timestamp", "value")
    return sorted(tuple(text(each, field) for field in fields) for each in metrics)  # type: ignore[misc]


def logged_model_of(told: Mapping[str, Any]) -> SourceLoggedModel:
    info, data = inner(told, "info"), inner(told, "data")
    at = text(info, "model_id")
    model = LoggedModel(
        model_id=at,
        experiment_id=text(info, "experiment_id"),
        name=text(info, "name"),
        artifact_uri=text(info, "artifact_uri"),
        creation_time=number(info.get("creation_timestamp_ms")),
        last_update_time=number(info.get("last_updated_timestamp_ms")),
        status=cast("LoggedModelStatus", text(info, "status") or "LOGGED_MODEL_PENDING"),
        status_message=text(info, "status_message"),
        model_type=text(info, "model_type"),
        source_run_id=text(info, "source_run_id"),
        params=_pairs(data, "params"),
        tags=_pairs(info, "tags"),
        metrics=tuple(_metric(at, each) for each in listed(data, "metrics")),
    )
    return SourceLoggedModel(model)


def registered_model_of(told: Mapping[str, Any]) -> RegisteredModel:
    created = number(told.get("creation_timestamp"))
    return RegisteredModel(
        name=text(told, "name"),
        created_at=moment(created),
        updated_at=moment(number(told.get("last_updated_timestamp"), created)),
        description=text(told, "description"),
        aliases={text(each, "alias"): text(each, "version") for each in listed(told, "aliases")},
        tags=_pairs(told, "tags"),
    )


def version_of(told: Mapping[str, Any]) -> ModelVersion:
    created, source = number(told.get("creation_timestamp")), text(told, "source")
    logged = _LOGGED.fullmatch(source)
    return ModelVersion(
        name=text(told, "name"),
        version=text(told, "version"),
        source="",
        origin=source,
        created_at=moment(created),
        updated_at=moment(number(told.get("last_updated_timestamp"), created)),
        description=text(told, "description"),
        run_id=text(told, "run_id"),
        registered_by=text(told, "user_id"),
        tags=_pairs(told, "tags"),
        stage=cast("Stage", text(told, "current_stage") or "None"),
        run_link=text(told, "run_link"),
        logged_model=text(told, "model_id") or ("" if logged is None else logged[1]),
        status=cast("VersionStatus", text(told, "status") or "READY"),
        status_message=text(told, "status_message"),
    )


def _dataset(told: Mapping[str, Any]) -> DatasetInput:
    given = inner(told, "dataset")
    dataset = Dataset(
        text(given, "name"),
        text(given, "digest"),
        text(given, "source_type"),
        text(given, "source"),
        optional_text(given, "schema"),
        optional_text(given, "profile"),
    )
    return DatasetInput(dataset, _pairs(told, "tags"))


def _metric(model_id: str, told: Mapping[str, Any]) -> LoggedModelMetric:
    try:
        value = float(told.get("value") or 0.0)
    except (TypeError, ValueError, OverflowError):
        value = float("nan")
    metric = Metric(
        text(told, "key"),
        value,
        number(told.get("timestamp")),
        number(told.get("step")),
        model_id,
        text(told, "dataset_name"),
        text(told, "dataset_digest"),
    )
    return LoggedModelMetric(metric, text(told, "run_id"))


def _lifecycle(told: Mapping[str, Any]) -> Lifecycle:
    return "deleted" if told.get("lifecycle_stage") == "deleted" else "active"


def _pairs(told: Mapping[str, Any], name: str) -> dict[str, str]:
    """Params and tags, sorted by key."""
    return dict(sorted({text(each, "key"): text(each, "value") for each in listed(told, name)}.items()))
