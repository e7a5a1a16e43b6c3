"""Runs and experiments as they are read: with MLflow's attributes, `run.info.run_id`, `run.data.metrics`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


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


class TrackedRun:
    """A run as it was when it was read."""

    def __init__(self, info: RunInfo, data: RunData) -> None:
        self.info = info
        self.data = data

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
        )


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
