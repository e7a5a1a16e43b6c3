"""A logged model: a model's files with params, metrics and tags, made by a run or by none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from penstock.tracking.metrics import Metric

LoggedModelStatus: TypeAlias = Literal["LOGGED_MODEL_PENDING", "LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED"]


@dataclass(frozen=True, slots=True)
class LoggedModel:
    """`model_id` is `m-` and 32 hex digits. Times are milliseconds since 1970. `metrics` holds all points about it,
    by key, step and time, each with the run that logged it in `run_id`."""

    model_id: str
    experiment_id: str
    name: str
    artifact_uri: str
    creation_time: int
    last_update_time: int
    status: LoggedModelStatus = "LOGGED_MODEL_PENDING"
    status_message: str = ""
    model_type: str = ""
    source_run_id: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[LoggedModelMetric, ...] = ()


@dataclass(frozen=True, slots=True)
class LoggedModelMetric:
    """A point that a run logged about a model, perhaps over a dataset."""

    metric: Metric
    run_id: str
