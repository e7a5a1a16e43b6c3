"""Runs and experiments as they are read: with MLflow's attributes, `run.info.run_id`, `run.data.metrics`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from penstock.fluent.run_dataset import RunDataset


@dataclass(frozen=True)
class RunInfo:
    """Times are milliseconds since 1970; `end_time` is None while the run has none."""

    run_id: str
    experiment_id: str
    run_name: str = ""
    user_id: str = ""
    status: str = "RUNNING"
    start_time: int = 0
    end_time: int | None = None
    artifact_uri: str = ""
    lifecycle_stage: str = "active"


@dataclass(frozen=True)
class RunData:
    """The latest value of each metric, params and tags, by key."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


class MetricPoint(NamedTuple):
    """`timestamp` is milliseconds since 1970."""

    key: str
    value: float
    timestamp: int
    step: int = 0

    @classmethod
    def of_json(cls, found: Mapping[str, Any]) -> MetricPoint:
        return cls(found["key"], float(found["value"]), int(found.get("timestamp") or 0), int(found.get("step") or 0))


class FileInfo(NamedTuple):
    """A file or a directory; `path` is from the root of the run's files on. A directory has no size."""

    path: str
    is_dir: bool
    file_size: int | None = None


class TakenDataset(NamedTuple):
    """A dataset that a run took, with the tags of that use."""

    dataset: RunDataset
    tags: Mapping[str, str]


class ModelUse(NamedTuple):
    """A logged model that a run took or made; one that it made has a step."""

    model_id: str
    step: int = 0


class RunInputs(NamedTuple):
    """What a run took."""

    dataset_inputs: Sequence[TakenDataset] = ()
    model_inputs: Sequence[ModelUse] = ()


class RunOutputs(NamedTuple):
    """What a run made."""

    model_outputs: Sequence[ModelUse] = ()


class TrackedRun:
    """A run as it was when it was read."""

    def __init__(
        self, info: RunInfo, data: RunData, inputs: RunInputs | None = None, outputs: RunOutputs | None = None
    ) -> None:
        self.info = info
        self.data = data
        self.inputs = inputs or RunInputs()
        self.outputs = outputs or RunOutputs()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.info.run_id} {self.info.run_name!r} {self.info.status}>"

    @classmethod
    def of_json(cls, found: Mapping[str, Any]) -> TrackedRun:
        """Of the object that MLflow's REST has."""
        info, data = found["info"], found.get("data", {})
        return TrackedRun(
            RunInfo(
                str(info["run_id"]),
                str(info["experiment_id"]),
                info.get("run_name", ""),
                info.get("user_id", ""),
                info.get("status", "RUNNING"),
                int(info.get("start_time") or 0),
                int(info["end_time"]) if info.get("end_time") else None,
                info.get("artifact_uri", ""),
                info.get("lifecycle_stage", "active"),
            ),
            RunData(
                {each["key"]: float(each["value"]) for each in data.get("metrics", [])},
                pairs_of(data.get("params", [])),
                pairs_of(data.get("tags", [])),
            ),
            _inputs_of(found.get("inputs", {})),
            RunOutputs(_models_of(found.get("outputs", {}).get("model_outputs", []))),
        )


def _inputs_of(found: Mapping[str, Any]) -> RunInputs:
    texts = ("name", "digest", "source_type", "source", "schema", "profile")
    datasets = [
        TakenDataset(
            RunDataset(**{name: each["dataset"].get(name, "") for name in texts}), pairs_of(each.get("tags", []))
        )
        for each in found.get("dataset_inputs", [])
    ]
    return RunInputs(datasets, _models_of(found.get("model_inputs", [])))


def _models_of(found: Iterable[Mapping[str, Any]]) -> list[ModelUse]:
    return [ModelUse(each["model_id"], int(each.get("step") or 0)) for each in found]


@dataclass(frozen=True)
class TrackedExperiment:
    """Times are milliseconds since 1970. `experiment_id` is empty while no server answers that could tell it."""

    experiment_id: str
    name: str
    artifact_location: str = ""
    lifecycle_stage: str = "active"
    creation_time: int = 0
    last_update_time: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_json(cls, found: Mapping[str, Any]) -> TrackedExperiment:
        """Of the object that MLflow's REST has."""
        return cls(
            str(found["experiment_id"]),
            found.get("name", ""),
            found.get("artifact_location", ""),
            found.get("lifecycle_stage", "active"),
            int(found.get("creation_time") or 0),
            int(found.get("last_update_time") or 0),
            pairs_of(found.get("tags", [])),
        )


def pairs_of(entries: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Params and tags as REST lists them; an empty value may be missing."""
    return {each["key"]: each.get("value", "") for each in entries}
