"""MlrunsDirectory: a directory of MLflow's file store as a source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from penstock.errors import ImportFailed
from penstock.moving.mlruns import models, points, runs
from penstock.moving.mlruns.layout import MODELS, experiment_places, is_file_store, points_below, run_places
from penstock.moving.mlruns.places import Place, files_of, held_in
from penstock.moving.records import Broken, Kind, PointBlock, SourceLoggedModel, SourceModel, SourceRun
from penstock.moving.source import ImportSource
from penstock.tracking.experiments import Experiment


class MlrunsDirectory(ImportSource):
    """See `ImportSource` for what each method does. Nothing but `mlruns` itself is read: no link is followed."""

    def __init__(self, root: Path) -> None:
        self._root = Place(root.absolute())
        self._runs = runs.RunReader()

    def __repr__(self) -> str:
        return f"<MlrunsDirectory {self._root.path}>"

    @property
    def place(self) -> str:
        return str(self._root.path)

    @property
    def directory(self) -> str:
        return str(self._root.path)

    def counts(self) -> Mapping[Kind, int]:
        """By names and lines alone. What inputs and outputs are of is not told by their names."""
        experiments = [place for place, _ in experiment_places(self._root)]
        each_run = [place for experiment in experiments for place in run_places(experiment)]
        logged = list(models.logged_model_places(self._root))
        registered = held_in(self._root, MODELS)
        versions = [place for model in registered for _, place in models.version_places(model)]

        def held(places: Sequence[Place], folder: str) -> int:
            return sum(len(files_of(place / folder)) for place in places)

        return {
            "experiments": len(experiments),
            "experiment tags": held(experiments, "tags"),
            "runs": len(each_run),
            "params": held(each_run, "params"),
            "tags": held(each_run, "tags"),
            "metric points": sum(points_below(place / "metrics") for place in each_run),
            "logged models": len(logged),
            "logged model params": held(logged, "params"),
            "logged model tags": held(logged, "tags"),
            "logged model metrics": sum(points_below(place / "metrics") for place in logged),
            "registered models": len(registered),
            "registered model tags": held(registered, "tags"),
            "aliases": held(registered, "aliases"),
            "model versions": len(versions),
            "model version tags": held(versions, "tags"),
        }

    def experiments(self) -> Iterator[Experiment | Broken]:
        return runs.read_experiments(self._root)

    def runs(self) -> Iterator[Sequence[SourceRun | Broken]]:
        self._runs = runs.RunReader()
        return self._runs.read(self._root)

    def points(self, given: Sequence[SourceRun]) -> Iterator[PointBlock | Broken]:
        return points.read_points(self._runs.places, given)

    def logged_models(self) -> Iterator[Sequence[SourceLoggedModel | Broken]]:
        return models.read_logged_models(self._root)

    def registered_models(self) -> Iterator[SourceModel | Broken]:
        return models.read_registered_models(self._root)

    def orphans(self) -> Iterator[Broken]:
        """Traces are counted: a hub has none."""
        for experiment, _ in experiment_places(self._root):
            if count := len(held_in(experiment, "traces")):
                yield Broken("experiments", experiment.name, "its traces stay behind: a hub has none", count, kept=True)


def open_mlruns(place: str) -> MlrunsDirectory:
    """Raises ImportFailed where no file store is there."""
    root = Path(place)
    if not is_file_store(root):
        inside = [each for each in (root / "mlruns", root / "mlflow.db") if each.is_file() or is_file_store(each)]
        raise ImportFailed(
            f"{place} is no directory of MLflow's file store: there is no experiment and no model in it.",
            hint=f"Name what is inside it: {inside[0]}"
            if inside
            else "Give the directory that MLflow calls mlruns, the file of its database, or the address of its server.",
        )
    return MlrunsDirectory(root)
