"""The contract of what is imported from: a database, a running server, or a directory.

A source is asked by one thread, in the order of the methods here, and only ever read. It may change meanwhile: what it
gives of one object is of one moment, and what comes later is brought by the next import. Anything that cannot be made a
record is given as `Broken` in its place: nothing is dropped in silence.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence

from penstock.artifacts.trees import ArtifactTree
from penstock.errors import ImportFailed, remedy
from penstock.moving.records import (
    Broken,
    Kind,
    PointBlock,
    SourceLoggedModel,
    SourceModel,
    SourceRun,
)
from penstock.tracking.experiments import Experiment


def refused_store(place: str) -> ImportFailed:
    """What is said of a store of ours that is named as a source."""
    return ImportFailed(
        f"{place} is a store of Penstock's, not of MLflow's.",
        hint="A hub serves it as it is; a backup of it may be restored elsewhere.",
        remedy=remedy("move_store", store=place),
    )


class ImportSource(ABC):
    """Every method may raise ImportFailed where the source cannot be read, which ends the import; it goes on when it is
    started again."""

    @property
    @abstractmethod
    def place(self) -> str:
        """Names the source to people and to later imports, without credentials: what was imported is known by it."""

    @property
    def directory(self) -> str:
        """The directory of this machine that it lies in; empty where there is none."""
        return ""

    @abstractmethod
    def counts(self) -> Mapping[Kind, int]:
        """How many objects of each kind there are, broken ones included; counted apart from what the other methods
        read, since the import is checked by it. Kinds that it cannot count cheaply are left out."""

    @abstractmethod
    def experiments(self) -> Iterator[Experiment | Broken]:
        """Deleted ones, too."""

    @abstractmethod
    def runs(self) -> Iterator[Sequence[SourceRun | Broken]]:
        """Of all experiments, deleted ones too, a page of at most a few hundred at a time, in the same order each
        time. Between two pages the points of the first are asked for."""

    @abstractmethod
    def points(self, runs: Sequence[SourceRun]) -> Iterator[PointBlock | Broken]:
        """All points of these runs, of the last page: the blocks of one run follow each other, in the order of the
        runs. A block has at most about 100,000 points, and no more than one is held."""

    @abstractmethod
    def logged_models(self) -> Iterator[Sequence[SourceLoggedModel | Broken]]:
        """Deleted ones, too; a page at a time."""

    @abstractmethod
    def registered_models(self) -> Iterator[SourceModel | Broken]:
        """With their versions."""

    def orphans(self) -> Iterator[Broken]:
        """What belongs to nothing that the other methods gave: points of no run, versions of no model."""
        yield from ()

    def artifacts(self) -> ArtifactTree | None:
        """Files that are `mlflow-artifacts:` there, by their path below that, where the source hands them out."""
        return None

    def close(self) -> None:  # noqa: B027  (nothing to close is the common case)
        """Releases connections and files."""
