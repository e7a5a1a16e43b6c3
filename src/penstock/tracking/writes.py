"""Everything that changes a tracking store, as values.

A write is checked when it is made: one that exists fits MLflow's limits, and can only fail for what the store holds
by then. Each is one transaction: all of it is there afterwards, or nothing. What `TrackingStore.write` returns for it
is its type parameter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from penstock.errors import TrackingInvalid
from penstock.tracking import limits
from penstock.tracking.datasets import DatasetInput
from penstock.tracking.logged_models import LoggedModel, LoggedModelStatus
from penstock.tracking.metrics import Metric, kept_value
from penstock.tracking.runs import ModelOutput, Run, RunStatus

R = TypeVar("R", covariant=True)


class Write(Generic[R]):
    """One change. `R` is what the store answers it with."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class CreateExperiment(Write[str]):
    """Answers with the new experiment's id. Without a location, its files go below the store's artifact root.

    Raises, when it is written, ExperimentExists: names are unique among deleted ones, too.
    """

    name: str
    artifact_location: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_experiment_name(self.name)
        limits.check_length("artifact_location", self.artifact_location, limits.MAX_ARTIFACT_LOCATION)
        for key, value in self.tags.items():
            limits.check_key("experiment tag", key)
            limits.check_length("value", value, limits.MAX_EXPERIMENT_TAG_VALUE)


@dataclass(frozen=True, slots=True)
class RenameExperiment(Write[None]):
    """Raises ExperimentNotFound, ExperimentExists, and TrackingStateInvalid for a deleted experiment."""

    experiment_id: str
    name: str

    def __post_init__(self) -> None:
        _check_experiment_name(self.name)


@dataclass(frozen=True, slots=True)
class DeleteExperiment(Write[None]):
    """Marks an experiment and all its runs as deleted. Raises ExperimentNotFound, also where it is deleted already."""

    experiment_id: str


@dataclass(frozen=True, slots=True)
class RestoreExperiment(Write[None]):
    """Revives an experiment and all its runs, those included that were deleted on their own, as MLflow does."""

    experiment_id: str


@dataclass(frozen=True, slots=True)
class SetExperimentTag(Write[None]):
    experiment_id: str
    key: str
    value: str

    def __post_init__(self) -> None:
        limits.check_key("experiment tag", self.key)
        limits.check_length("value", self.value, limits.MAX_EXPERIMENT_TAG_VALUE)


@dataclass(frozen=True, slots=True)
class DeleteExperimentTag(Write[None]):
    """Raises TagNotFound."""

    experiment_id: str
    key: str


@dataclass(frozen=True, slots=True)
class CreateRun(Write[Run]):
    """A run that is RUNNING. Its name is `name`, else the tag for it, else one that is made up; the two must agree.

    `run_id` is for those who bring a run from elsewhere; otherwise the store makes one. `user_id` is, where it is
    empty, the tag for it. Raises ExperimentNotFound, and TrackingInvalid for a deleted experiment.
    """

    experiment_id: str
    name: str = ""
    user_id: str = ""
    start_time: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    run_id: str = ""

    def __post_init__(self) -> None:
        if self.run_id:
            limits.check_run_id(self.run_id)
        object.__setattr__(self, "tags", _run_tags(self.tags))


@dataclass(frozen=True, slots=True)
class UpdateRun(Write[Run]):
    """Changes what is given. Raises RunNotFound, RunNotActive."""

    run_id: str
    status: RunStatus | None = None
    end_time: int | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class DeleteRun(Write[None]):
    """Marks a run as deleted. Raises RunNotFound."""

    run_id: str


@dataclass(frozen=True, slots=True)
class RestoreRun(Write[None]):
    run_id: str


@dataclass(frozen=True, slots=True)
class LogBatch(Write[None]):
    """Points, params and tags of one run. What is there already and the same is no error; a param with another value
    is ParamChanged. A tag's last value stays. Raises RunNotFound, RunNotActive."""

    run_id: str
    metrics: Sequence[Metric] = ()
    params: Sequence[tuple[str, str]] = ()
    tags: Sequence[tuple[str, str]] = ()

    def __post_init__(self) -> None:
        self._check_counts()
        object.__setattr__(self, "metrics", [_checked_metric(metric) for metric in self.metrics])
        params = []
        seen = set()
        for key, value in self.params:
            limits.check_key("param", key)
            if key in seen:
                raise TrackingInvalid(f"The param {key!r} is in the batch more than once.", field="params")
            seen.add(key)
            params.append((key, value[: limits.MAX_PARAM_VALUE]))
        object.__setattr__(self, "params", params)
        tags = [(limits.check_key("tag", key), value[: limits.MAX_TAG_VALUE]) for key, value in self.tags]
        object.__setattr__(self, "tags", tags)

    def _check_counts(self) -> None:
        limits.check_count("metrics", self.metrics, limits.MAX_BATCH_METRICS)
        limits.check_count("params", self.params, limits.MAX_BATCH_PARAMS)
        limits.check_count("tags", self.tags, limits.MAX_BATCH_TAGS)
        total = len(self.metrics) + len(self.params) + len(self.tags)
        if total > limits.MAX_BATCH_ENTRIES:
            raise TrackingInvalid(
                f"A batch of {total} metrics, params and tags is too large: {limits.MAX_BATCH_ENTRIES} are allowed.",
                field="metrics",
            )


@dataclass(frozen=True, slots=True)
class DeleteTag(Write[None]):
    """Raises RunNotFound, RunNotActive, TagNotFound."""

    run_id: str
    key: str


@dataclass(frozen=True, slots=True)
class LogInputs(Write[None]):
    """Datasets and models that a run took. The same dataset twice is one input. Raises RunNotFound, RunNotActive."""

    run_id: str
    datasets: Sequence[DatasetInput] = ()
    models: Sequence[ModelOutput] = ()

    def __post_init__(self) -> None:
        for given in self.datasets:
            dataset = given.dataset
            limits.check_length("name", dataset.name, limits.MAX_DATASET_NAME)
            limits.check_length("digest", dataset.digest, limits.MAX_DATASET_DIGEST)
            limits.check_length("source", dataset.source, limits.MAX_DATASET_SOURCE)
            limits.check_length("schema", dataset.schema or "", limits.MAX_DATASET_SCHEMA)
            limits.check_length("profile", dataset.profile or "", limits.MAX_DATASET_PROFILE)
        _check_models(self.models)


@dataclass(frozen=True, slots=True)
class LogOutputs(Write[None]):
    """Models that a run made."""

    run_id: str
    models: Sequence[ModelOutput] = ()

    def __post_init__(self) -> None:
        _check_models(self.models)


@dataclass(frozen=True, slots=True)
class CreateLoggedModel(Write[LoggedModel]):
    """A model whose files are still to come. Without a name one is made up. Raises ExperimentNotFound, RunNotFound."""

    experiment_id: str
    name: str = ""
    source_run_id: str = ""
    model_type: str = ""
    params: Sequence[tuple[str, str]] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        limits.check_logged_model_name(self.name)
        limits.check_length("source_run_id", self.source_run_id, limits.MAX_RUN_ID)
        for key, _ in self.params:
            limits.check_key("param", key)
        for key in self.tags:
            limits.check_key("tag", key)


@dataclass(frozen=True, slots=True)
class FinalizeLoggedModel(Write[LoggedModel]):
    """Says whether the files came. Raises LoggedModelNotFound."""

    model_id: str
    status: LoggedModelStatus


@dataclass(frozen=True, slots=True)
class SetLoggedModelTags(Write[LoggedModel]):
    model_id: str
    tags: Mapping[str, str]

    def __post_init__(self) -> None:
        for key in self.tags:
            limits.check_key("tag", key)


@dataclass(frozen=True, slots=True)
class DeleteLoggedModelTag(Write[None]):
    """Raises LoggedModelNotFound, TagNotFound."""

    model_id: str
    key: str


@dataclass(frozen=True, slots=True)
class LogLoggedModelParams(Write[LoggedModel]):
    model_id: str
    params: Sequence[tuple[str, str]]

    def __post_init__(self) -> None:
        for key, _ in self.params:
            limits.check_key("param", key)


@dataclass(frozen=True, slots=True)
class DeleteLoggedModel(Write[None]):
    """Marks a logged model as deleted: nothing finds it any more. Raises LoggedModelNotFound."""

    model_id: str


def _check_experiment_name(name: str) -> None:
    if not name:
        raise TrackingInvalid("The experiment has no name.", field="name")
    limits.check_length("name", name, limits.MAX_EXPERIMENT_NAME)


def _run_tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {limits.check_key("tag", key): value[: limits.MAX_TAG_VALUE] for key, value in tags.items()}


def _check_models(models: Sequence[ModelOutput]) -> None:
    for each in models:
        limits.check_length("model_id", each.model_id, limits.MAX_MODEL_ID)


def _checked_metric(metric: Metric) -> Metric:
    limits.check_key("metric", metric.key)
    if metric.timestamp < 0:
        raise TrackingInvalid(
            f"Invalid value {metric.timestamp} for parameter 'timestamp' supplied: "
            f"a point of metric {metric.key!r} is before 1970.",
            field="timestamp",
        )
    limits.check_step(metric.step)
    if metric.model_id:
        limits.check_length("dataset_name", metric.dataset_name, limits.MAX_DATASET_NAME)
        limits.check_length("dataset_digest", metric.dataset_digest, limits.MAX_DATASET_DIGEST)
    return metric._replace(value=kept_value(metric.value)) if math.isinf(metric.value) else metric
