"""MLflow's entities: those that programs make, and those that they ask for by their class."""

from __future__ import annotations

from typing import Any, NamedTuple

from penstock import fluent
from penstock.fluent.views import TakenDataset


class KeyedText(NamedTuple):
    """A param or a tag."""

    key: str
    value: str


class RunStatus:
    """How runs stand, by MLflow's words and numbers."""

    RUNNING, SCHEDULED, FINISHED, FAILED, KILLED = 1, 2, 3, 4, 5
    _NAMES = ("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED")

    @classmethod
    def to_string(cls, status: int) -> str:
        return cls._NAMES[status - 1]

    @classmethod
    def from_string(cls, name: str) -> int:
        return cls._NAMES.index(name) + 1

    @classmethod
    def is_terminated(cls, status: int) -> bool:
        return status >= cls.FINISHED


class LifecycleStage:
    ACTIVE, DELETED = "active", "deleted"


ENTITIES: dict[str, Any] = {
    "DatasetInput": TakenDataset,
    "Experiment": fluent.TrackedExperiment,
    "ExperimentTag": KeyedText,
    "FileInfo": fluent.FileInfo,
    "InputTag": KeyedText,
    "LifecycleStage": LifecycleStage,
    "LoggedModel": fluent.TrackedModel,
    "Metric": fluent.MetricPoint,
    "Param": KeyedText,
    "Run": fluent.TrackedRun,
    "RunData": fluent.RunData,
    "RunInfo": fluent.RunInfo,
    "RunStatus": RunStatus,
    "RunTag": KeyedText,
    "ViewType": fluent.ViewType,
}

OF_THE_REGISTRY: dict[str, Any] = {
    "ModelVersion": fluent.RegisteredVersion,
    "ModelVersionTag": KeyedText,
    "RegisteredModel": fluent.TrackedRegistration,
    "RegisteredModelTag": KeyedText,
}
