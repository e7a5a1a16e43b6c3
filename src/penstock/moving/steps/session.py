"""What the steps of one import share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from penstock.moving.checking import Checker
from penstock.moving.files import FilePlan
from penstock.moving.records import Broken, Kind, SourceLoggedModel, SourceModel, SourceRun
from penstock.moving.source import ImportSource
from penstock.moving.tally import Tally
from penstock.moving.target import ImportTarget
from penstock.moving.verdicts import Verdict
from penstock.tracking.experiments import Experiment

# Told the name of the step, how much is done, and how much there is as far as that is known.
OnProgress: TypeAlias = Callable[[str, int, int], object]

# What a person is told where a verdict means that an object stays as it is here.
REASONS: Mapping[Verdict, str] = {
    "conflict": "another one with this id is in the store, or it was changed both there and here",
    "gone": "it was brought over before and removed here since",
}


@dataclass(slots=True)
class ImportSession:
    """Mutable state: the tally, the checker, how many units of the step are done, and which experiments are here."""

    source: ImportSource
    target: ImportTarget
    files: FilePlan
    dry_run: bool
    progress: OnProgress
    total: int
    tally: Tally = field(default_factory=Tally)
    checker: Checker = field(default_factory=Checker)
    experiments: set[str] = field(default_factory=set)
    done: int = 0

    def noted(self, given: Iterable[object]) -> None:
        """Notes those that the source could not make a record of, and what the checker found."""
        self.tally.note(each for each in given if isinstance(each, Broken))
        self.tally.note(self.checker.broken)
        self.checker.broken.clear()

    def advance(self, step: str, units: int) -> None:
        """Runs and points are the units: they are what takes time."""
        self.done += units
        self.progress(step, self.done, self.total)


def held_by_experiment(experiment: Experiment) -> dict[Kind, int]:
    return {"experiments": 1, "experiment tags": len(experiment.tags)}


def held_by_run(given: SourceRun) -> dict[Kind, int]:
    """With its points, where their number is known."""
    run = given.run
    return {
        "runs": 1,
        "params": len(run.params),
        "tags": len(run.tags),
        "dataset inputs": len(run.datasets),
        "models of runs": len(run.model_inputs) + len(run.model_outputs),
        "metric points": given.points or 0,
    }


def held_by_logged_model(given: SourceLoggedModel) -> dict[Kind, int]:
    model = given.model
    return {
        "logged models": 1,
        "logged model params": len(model.params),
        "logged model tags": len(model.tags),
        "logged model metrics": len(model.metrics),
    }


def held_by_model(given: SourceModel) -> dict[Kind, int]:
    return {
        "registered models": 1,
        "registered model tags": len(given.model.tags),
        "aliases": len(given.model.aliases),
        "model versions": len(given.versions),
        "model version tags": sum(len(each.tags) for each in given.versions),
    }
