"""A dataset that a run took: its name, its digest, and where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# The tag of an input that says what the data were for, as "train" or "eval".
CONTEXT_TAG = "mlflow.data.context"


@dataclass(frozen=True, slots=True)
class Dataset:
    """`name` and `digest` are one dataset within an experiment. `schema`, `source` and `profile` are texts that the
    client made, JSON as a rule; they are kept and given back as they came. None is not the empty text."""

    name: str
    digest: str
    source_type: str = ""
    source: str = ""
    schema: str | None = None
    profile: str | None = None


@dataclass(frozen=True, slots=True)
class DatasetInput:
    """A dataset with the tags of this use of it."""

    dataset: Dataset
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """What a page about an experiment lists: one dataset in one context."""

    experiment_id: str
    name: str
    digest: str
    context: str = ""
