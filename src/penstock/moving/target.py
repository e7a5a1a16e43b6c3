"""The store that is imported into: what is there, and batches written with their marks in one transaction each.

A batch that is there has its marks, and one that is cut off leaves nothing, so an import goes on where it was. A hub
may be running on the store meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from sqlalchemy import Connection

from penstock.artifacts.trees import ArtifactTree
from penstock.errors import ModelNotFound
from penstock.hub.version_sources import below
from penstock.moving.records import KINDS, Kind, PointBlock, SourceLoggedModel, SourceRun
from penstock.registry.entries import ModelVersion, RegisteredModel
from penstock.registry.interface import Registry
from penstock.registry.sql.importing import import_model
from penstock.sql.database import Database
from penstock.sql.import_marks import import_of, open_import, place_before, read_marks, write_marks
from penstock.tracking.experiments import Experiment
from penstock.tracking.logged_models import LoggedModel
from penstock.tracking.runs import Run
from penstock.tracking.sql.imports import experiments, logged_models, runs
from penstock.tracking.sql.imports.counts import count_imported
from penstock.tracking.sql.imports.points import import_points
from penstock.tracking.sql.keys import Keys

# What marks are of. Points have one a run, files as well.
Marked: TypeAlias = Literal["experiment", "run", "points", "files", "logged model", "model", "version"]
Marks: TypeAlias = Mapping[str, bytes]

IMPORTER = "import"


class ImportTarget:
    """`place` of a source is what its marks are under."""

    def __init__(self, database: Database, registry: Registry, artifacts: ArtifactTree, place: str) -> None:
        self._database = database
        self.registry = registry
        self.artifacts = artifacts
        self._place = place
        # Mutable state: the number of the source, None until something is written for it the first time.
        self._number = database.read(lambda c: import_of(c, place))

    def __repr__(self) -> str:
        return f"<ImportTarget {self._database.place}>"

    @property
    def place(self) -> str:
        return self._database.place

    def begin(self) -> None:
        """Notes that an import from the source begins."""
        now = time.time_ns() // 1_000_000
        self._number = self._database.write(lambda c: open_import(c, self._place, now))

    def marks(self, kind: Marked, ids: Sequence[str]) -> dict[str, bytes]:
        number = self._number
        return {} if number is None else self._database.read(lambda c: read_marks(c, number, kind, ids))

    def imported_before(self, kind: Marked, ids: Sequence[str]) -> str:
        """The other source that one of these came from, the last one; empty where there is none."""
        return self._database.read(lambda c: place_before(c, self._place, kind, ids))

    def keep_marks(self, kind: Marked, marks: Marks) -> None:
        if marks:
            self._database.write(lambda c: write_marks(c, self._source, kind, marks.items()))

    # -- what is there ------------------------------------------------------------------------------------------------

    def experiments(self, ids: Sequence[str]) -> dict[str, Experiment]:
        return self._database.read(lambda c: experiments.read_experiments(c, ids))

    def experiment_names(self, names: Sequence[str]) -> dict[str, str]:
        return self._database.read(lambda c: experiments.read_names(c, names))

    def has_runs(self, experiment_id: str) -> bool:
        return self._database.read(lambda c: experiments.has_runs(c, experiment_id))

    def runs(self, run_ids: Sequence[str]) -> dict[str, Run]:
        return self._database.read(lambda c: runs.read_known_runs(c, run_ids))

    def logged_models(self, model_ids: Sequence[str]) -> dict[str, tuple[LoggedModel, bool]]:
        return self._database.read(lambda c: logged_models.read_known_models(c, model_ids))

    def registered_model(self, name: str) -> tuple[RegisteredModel, dict[str, ModelVersion]] | None:
        """With its versions by number, their sources as the registry keeps them; None where there is none of this
        name."""
        with suppress(ModelNotFound):
            root = self.registry.artifact_root
            versions = (replace(each, source=below(root, each.source)) for each in self.registry.versions(name))
            return self.registry.model(name), {each.version: each for each in versions}
        return None

    # -- batches ------------------------------------------------------------------------------------------------------

    def write_experiments(self, some: Sequence[Experiment], marks: Marks) -> None:
        def change(c: Connection) -> None:
            experiments.import_experiments(c, some)
            write_marks(c, self._source, "experiment", marks.items())

        self._database.write(change)

    def write_runs(self, some: Sequence[SourceRun], marks: Marks) -> None:
        def change(c: Connection) -> None:
            keys = Keys(c)
            runs.import_runs(c, keys, [(each.run, each.deleted_at) for each in some])
            write_marks(c, self._source, "run", marks.items())
            keys.keep(c)

        self._database.write(change)

    def write_points(self, blocks: Sequence[PointBlock], marks: Marks) -> int:
        """Says how many of the points were new."""

        def change(c: Connection) -> int:
            keys = Keys(c)
            added = import_points(c, keys, blocks)
            write_marks(c, self._source, "points", marks.items())
            keys.keep(c)
            return sum(added.values())

        return self._database.write(change)

    def write_logged_models(self, some: Sequence[SourceLoggedModel], marks: Marks) -> None:
        def change(c: Connection) -> None:
            Keys(c)  # whoever asks for a free key waits for its row
            logged_models.import_logged_models(c, [(each.model, each.deleted) for each in some])
            write_marks(c, self._source, "logged model", marks.items())

        self._database.write(change)

    def write_model(
        self,
        model: RegisteredModel,
        last_number: int,
        changed: Sequence[ModelVersion],
        marks: Mapping[Marked, Marks],
        *,
        describe: bool,
    ) -> None:
        now = datetime.now(UTC)

        def change(c: Connection) -> None:
            import_model(c, model, last_number, changed, describe=describe, at=now, by=IMPORTER)
            for kind, some in marks.items():
                write_marks(c, self._source, kind, some.items())

        self._database.write(change)

    # -- counting -----------------------------------------------------------------------------------------------------

    def counts(self) -> dict[Kind, int]:
        """What is in the store now of all that came from the source."""
        number = self._source
        found = self._database.read(lambda c: count_imported(c, number))
        counts = {kind: found[kind] for kind in KINDS if kind in found}
        names = [model.name for model in self.registry.models()]
        marked = self.marks("model", names)
        models = [model for model in self.registry.models() if model.name in marked]
        versions = [version for model in models for version in self.registry.versions(model.name)]
        ours = self.marks("version", [f"{each.name}/{each.version}" for each in versions])
        brought = [each for each in versions if f"{each.name}/{each.version}" in ours]
        counts["registered models"] = len(models)
        counts["registered model tags"] = sum(len(model.tags) for model in models)
        counts["aliases"] = sum(len(model.aliases) for model in models)
        counts["model versions"] = len(brought)
        counts["model version tags"] = sum(len(each.tags) for each in brought)
        return counts

    @property
    def _source(self) -> int:
        assert self._number is not None, "begin() comes first"
        return self._number
