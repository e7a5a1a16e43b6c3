"""A run: one execution of training code, with what it logged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from penstock.tracking.datasets import DatasetInput
from penstock.tracking.experiments import Lifecycle
from penstock.tracking.metrics import Metric

RunStatus: TypeAlias = Literal["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"]

# Statuses of a run that is over: nothing more is expected, so that what it logged may be packed.
ENDED: frozenset[RunStatus] = frozenset({"FINISHED", "FAILED", "KILLED"})

# The tag that is a run's name, too: setting one sets the other.
RUN_NAME_TAG = "mlflow.runName"
USER_TAG = "mlflow.user"
PARENT_RUN_TAG = "mlflow.parentRunId"


class RunRef(NamedTuple):
    """A run, and the state of it: `changed` is the store's change counter when anything of the run changed last, so
    that whatever is made of a run may be kept under the two of them."""

    run_id: str
    changed: int


class ModelOutput(NamedTuple):
    """A logged model that a run made at a step, or took."""

    model_id: str
    step: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """Times are milliseconds since 1970; `end_time` is None until one is given. `metrics` holds the latest point of
    each series; `params` and `tags` are by key. What is listed is sorted by key."""

    run_id: str
    experiment_id: str
    name: str
    user_id: str
    status: RunStatus
    start_time: int
    end_time: int | None
    artifact_uri: str
    lifecycle: Lifecycle
    changed: int
    metrics: tuple[Metric, ...] = ()
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    datasets: tuple[DatasetInput, ...] = ()
    model_inputs: tuple[ModelOutput, ...] = ()
    model_outputs: tuple[ModelOutput, ...] = ()

    @property
    def ref(self) -> RunRef:
        return RunRef(self.run_id, self.changed)
