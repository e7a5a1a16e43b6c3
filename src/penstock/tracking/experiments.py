"""An experiment: what runs and logged models are filed under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

# What can be deleted is marked first, and goes for good when somebody collects garbage.
Lifecycle: TypeAlias = Literal["active", "deleted"]

# Which of them a search looks at, in MLflow's words.
ViewType: TypeAlias = Literal["ACTIVE_ONLY", "DELETED_ONLY", "ALL"]

DEFAULT_EXPERIMENT_ID = "0"
DEFAULT_EXPERIMENT_NAME = "Default"


@dataclass(frozen=True, slots=True)
class Experiment:
    """`experiment_id` is a decimal number as text. Times are milliseconds since 1970. `artifact_location` is the URI
    under which its runs and logged models keep their files."""

    experiment_id: str
    name: str
    artifact_location: str
    lifecycle: Lifecycle
    creation_time: int
    last_update_time: int
    tags: Mapping[str, str] = field(default_factory=dict)
