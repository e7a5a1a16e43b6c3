"""What is to be removed, as values: what was asked for, and what was found for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

# Of a run, as SQL. Where it was imported from a server, which does not tell it, at least not before its end.
DELETED_AT = "coalesce(deleted_at, end_time, start_time)"


@dataclass(frozen=True, slots=True)
class GcRequest:
    """`before` is in milliseconds since 1970: what was deleted later stays. Where any ids are given, only what they
    name is removed, of all kinds."""

    before: int
    run_ids: Sequence[str] = ()
    experiment_ids: Sequence[str] = ()
    model_ids: Sequence[str] = ()

    @property
    def names_some(self) -> bool:
        return bool(self.run_ids or self.experiment_ids or self.model_ids)


class Doomed(NamedTuple):
    """A run or logged model that goes. `place` is where its files are, below the hub's artifacts; empty where they are
    not the hub's."""

    key: int
    id: str
    place: str


class Leftover(NamedTuple):
    """A row of the table of garbage."""

    id: int
    kind: str
    owner: str
    key: int | None
    place: str


class OwnedPlace(NamedTuple):
    """Where the files of some garbage are; empty where they are not the hub's."""

    kind: str
    owner: str
    place: str


class Kept(NamedTuple):
    """Something that stays though it might seem garbage, and why."""

    what: str
    why: str


@dataclass(slots=True)
class FileCount:
    files: int = 0
    bytes: int = 0

    def add(self, files: int, size: int) -> None:
        self.files += files
        self.bytes += size


@dataclass(slots=True)
class GcPlan:
    """What was found. `experiments` are keys, `packages` paths below the artifacts, `leftovers` what an earlier
    collection did not come to an end with, `counts` the files by kind. `orphans` are ids of logged models that stay,
    though the run that made them goes."""

    runs: list[Doomed] = field(default_factory=list)
    experiments: list[int] = field(default_factory=list)
    models: list[Doomed] = field(default_factory=list)
    packages: list[str] = field(default_factory=list)
    drafts: FileCount = field(default_factory=FileCount)
    leftovers: list[Leftover] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    counts: dict[str, FileCount] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return not (
            self.runs or self.experiments or self.models or self.packages or self.drafts.files or self.leftovers
        )

    def garbage(self) -> dict[str, list[OwnedPlace]]:
        """Where its files are, by what `counts` calls them."""
        return {
            "runs": [OwnedPlace("run", each.id, each.place) for each in self.runs],
            "logged_models": [OwnedPlace("model", each.id, each.place) for each in self.models],
            "packages": [OwnedPlace("package", "", each) for each in self.packages],
            "leftovers": [OwnedPlace(each.kind, each.owner, each.place) for each in self.leftovers],
        }

    @property
    def places(self) -> int:
        """How many places files are to be removed from."""
        return len(self.runs) + len(self.models) + len(self.packages) + len(self.leftovers)

    def as_json(self) -> dict[str, Any]:
        return {
            "runs": [each.id for each in self.runs],
            "experiments": [str(each) for each in self.experiments],
            "logged_models": [each.id for each in self.models],
            "packages": self.packages,
            "drafts": self.drafts.files,
            "leftovers": [each.owner or each.place for each in self.leftovers],
            "files": {
                kind: {"files": count.files, "bytes": count.bytes}
                for kind, count in {**self.counts, "drafts": self.drafts}.items()
            },
            "kept": [{"what": each.what, "why": each.why} for each in self.kept],
            "logged_models_without_run": self.orphans,
        }
