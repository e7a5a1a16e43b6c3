"""Experiments and runs out of a file store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from penstock.moving.mlflow_database.cells import in_pages, number, optional_number, optional_text, text
from penstock.moving.mlruns.layout import count_points, experiment_places, points_below, read_texts, run_places
from penstock.moving.mlruns.metas import MAX_DATASET_META, read_meta
from penstock.moving.mlruns.places import Place, UnreadableError, files_of, held_in
from penstock.moving.records import Broken, Kind, SourceRun
from penstock.tracking.datasets import Dataset, DatasetInput
from penstock.tracking.experiments import Experiment, Lifecycle
from penstock.tracking.runs import RUN_NAME_TAG, ModelOutput, Run, RunStatus

# MLflow's RunStatus by the number of its enumeration, which is what is in the file.
_STATUSES: Mapping[int, RunStatus] = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
_PAGE = 200


def read_experiments(root: Place) -> Iterator[Experiment | Broken]:
    """The first of those that have one id."""
    seen = set[str]()
    for place, in_trash in experiment_places(root):
        broken: list[Broken] = []
        try:
            meta = read_meta(place)
            at = text(meta.get("experiment_id", place.name))
            if at != place.name:
                raise UnreadableError(f"it says that it is experiment {at[:80]!r}")
            if at in seen:
                raise UnreadableError("another experiment with this id is there, which is not in the trash")
            seen.add(at)
            location = text(meta.get("artifact_location"))
            yield Experiment(
                experiment_id=at,
                name=text(meta.get("name")),
                artifact_location=location if in_trash else present(location, place),
                lifecycle="deleted" if in_trash else _lifecycle(meta),
                creation_time=number(meta.get("creation_time")),
                last_update_time=number(meta.get("last_update_time"), number(meta.get("creation_time"))),
                tags=read_texts(place / "tags", "experiment tags", at, broken.append),
            )
        except UnreadableError as error:
            yield Broken("experiments", place.name, str(error))
            if held := len(files_of(place / "tags")):
                yield Broken("experiment tags", place.name, "its experiment is not brought over", held)
        yield from broken


class RunReader:
    """Mutable state: `places` are those of the runs of the last page by their ids; and the ids that were seen."""

    def __init__(self) -> None:
        self.places: dict[str, Place] = {}
        self._seen = set[str]()

    def read(self, root: Place) -> Iterator[list[SourceRun | Broken]]:
        """The first of those that have one id."""
        for experiment, _ in experiment_places(root):
            for some in in_pages(run_places(experiment), _PAGE):
                page: list[SourceRun | Broken] = []
                self.places = {}
                for place in some:
                    page += self._read(experiment, place)
                yield page

    def _read(self, experiment: Place, place: Place) -> Iterator[SourceRun | Broken]:
        if place.name in self._seen:
            yield from _lost(place, "another run with this id is there, in another experiment or beside the trash")
            return
        for each in _read_run(experiment, place):
            if isinstance(each, SourceRun):
                self._seen.add(place.name)
                self.places[place.name] = place
            yield each


def _read_run(experiment: Place, place: Place) -> Iterator[SourceRun | Broken]:
    broken: list[Broken] = []
    try:
        meta = read_meta(place)
        at = text(meta.get("run_id") or meta.get("run_uuid"))
        if at != place.name:
            raise UnreadableError(f"it says that it is run {at[:80]!r}")
        if text(meta.get("experiment_id")) != experiment.name:
            raise UnreadableError(f"it says that it is of experiment {text(meta.get('experiment_id'))[:80]!r}")
    except UnreadableError as error:
        yield from _lost(place, str(error))
        return
    tags = read_texts(place / "tags", "tags", at, broken.append)
    inputs = list(_inputs(place, at, broken))
    metrics = [path for _, path in files_of(place / "metrics")]
    run = Run(
        run_id=at,
        experiment_id=experiment.name,
        name=text(meta.get("run_name") or meta.get("name")) or tags.get(RUN_NAME_TAG, ""),
        user_id=text(meta.get("user_id")),
        status=_status(meta.get("status")),
        start_time=number(meta.get("start_time")),
        end_time=optional_number(meta.get("end_time")),
        artifact_uri=present(text(meta.get("artifact_uri")), place / "artifacts"),
        lifecycle=_lifecycle(meta),
        changed=0,
        params=read_texts(place / "params", "params", at, broken.append),
        tags=tags,
        datasets=tuple(_datasets(experiment, at, inputs, broken)),
        model_inputs=tuple(ModelOutput(text(each.get("source_id"))) for each in inputs if _is(each, "MODEL")),
        model_outputs=tuple(_outputs(place, at, broken)),
    )
    # Lines are only ever added to a file.
    mark = f"{len(metrics)}-{sum(path.size() for path in metrics)}"
    yield SourceRun(run, optional_number(meta.get("deleted_time")), sum(map(count_points, metrics)), mark)
    yield from broken


def _lost(place: Place, why: str) -> Iterator[Broken]:
    """A run that is not brought over, with all that hangs on it."""
    yield Broken("runs", place.name, why)
    held: tuple[tuple[Kind, int], ...] = (
        ("params", len(files_of(place / "params"))),
        ("tags", len(files_of(place / "tags"))),
        ("metric points", points_below(place / "metrics")),
    )
    for kind, count in held:
        if count:
            yield Broken(kind, place.name, "its run is not brought over", count)


def _inputs(place: Place, run_id: str, broken: list[Broken]) -> Iterator[dict[str, Any]]:
    for each in held_in(place, "inputs"):
        try:
            yield read_meta(each)
        except UnreadableError as error:
            broken.append(Broken("dataset inputs", f"{run_id}/{each.name}", str(error)))


def _datasets(
    experiment: Place, run_id: str, inputs: list[dict[str, Any]], broken: list[Broken]
) -> Iterator[DatasetInput]:
    for given in inputs:
        if not _is(given, "DATASET"):
            continue
        name = text(given.get("source_id"))
        try:
            if not name or "/" in name or name.startswith("."):
                raise UnreadableError("there is no such dataset")
            meta = read_meta(experiment / "datasets" / name, MAX_DATASET_META)
        except UnreadableError as error:
            broken.append(Broken("dataset inputs", f"{run_id}/{name}"[:300], f"of its dataset: {error}"))
            continue
        tags = given.get("tags")
        yield DatasetInput(
            Dataset(
                text(meta.get("name")),
                text(meta.get("digest")),
                text(meta.get("source_type")),
                text(meta.get("source")),
                optional_text(meta.get("schema")),
                optional_text(meta.get("profile")),
            ),
            {text(key): text(value) for key, value in tags.items()} if isinstance(tags, dict) else {},
        )


def _outputs(place: Place, run_id: str, broken: list[Broken]) -> Iterator[ModelOutput]:
    for each in held_in(place, "outputs"):
        try:
            yield ModelOutput(each.name, number(read_meta(each).get("step")))
        except UnreadableError as error:
            broken.append(Broken("models of runs", f"{run_id}/{each.name}", str(error)))


def _is(given: Mapping[str, Any], kind: str) -> bool:
    return given.get("source_type") == kind


def _status(cell: Any) -> RunStatus:
    if cell is None:
        return "RUNNING"
    return _STATUSES.get(cell, "RUNNING") if isinstance(cell, int) else cast("RunStatus", text(cell))


def _lifecycle(meta: Mapping[str, Any]) -> Lifecycle:
    return "deleted" if meta.get("lifecycle_stage") == "deleted" else "active"


def present(uri: str, place: Place) -> str:
    """Where files are. A directory that was moved as a whole still names its old place: then they are beside."""
    parts = urlsplit(uri)
    if parts.scheme not in ("", "file") or parts.netloc not in ("", "localhost"):
        return uri
    there = Path(unquote(parts.path)) if parts.scheme else Path(uri)
    if there.exists() or place.is_link() or not place.path.exists():
        return uri
    return place.path.absolute().as_uri()
