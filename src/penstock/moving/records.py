"""What a source gives: the entities of tracking and registry as they are there, and what it could not make one of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, get_args

from penstock.registry.entries import ModelVersion, RegisteredModel
from penstock.tracking.logged_models import LoggedModel
from penstock.tracking.metrics import Points
from penstock.tracking.runs import Run

# What is counted, in the order in which it is brought over. Those of one noun follow it.
Kind: TypeAlias = Literal[
    "experiments",
    "experiment tags",
    "runs",
    "params",
    "tags",
    "dataset inputs",
    "models of runs",
    "metric points",
    "logged models",
    "logged model params",
    "logged model tags",
    "logged model metrics",
    "registered models",
    "registered model tags",
    "aliases",
    "model versions",
    "model version tags",
    "artifact files",
]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Broken:
    """Something in a source that cannot be brought over: which, why, and how many of that kind. `kept` says that it was
    brought over nevertheless, changed as the reason tells."""

    kind: Kind
    id: str
    reason: str
    count: int = 1
    kept: bool = False


@dataclass(frozen=True, slots=True)
class SourceRun:
    """A run with params, tags, datasets and models, and without metrics (`metrics` and `changed` are not looked at).

    `deleted_at` is when it was deleted, in milliseconds since 1970. `points` is how many points all of its series have,
    None where finding that out takes reading them. `points_mark` is a short text that is another one as soon as points
    were added: those of a run whose mark is known from an earlier import are not read again.
    """

    run: Run
    deleted_at: int | None = None
    points: int | None = None
    points_mark: str = ""


class PointBlock(NamedTuple):
    """Points of one series, in any order: infinities as MLflow keeps them, NaN as NaN. A long series comes as several
    blocks, best in the order of step, timestamp and value, which is packed as it comes."""

    run_id: str
    key: str
    points: Points


@dataclass(frozen=True, slots=True)
class SourceLoggedModel:
    """A logged model with params, tags and **all** points about it, not only the latest ones."""

    model: LoggedModel
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class SourceModel:
    """A registered model with its versions by number. `last_number` is the highest number that was ever given, be it to
    a version that is deleted, so that none is given twice.

    Of a version, `origin` is the source as it was registered and `source` is where its files are, empty where the
    source does not say; what a package's files say (digest, signature, flavors, size) is left out.
    """

    model: RegisteredModel
    versions: tuple[ModelVersion, ...] = ()
    last_number: int = 0
