"""Logged and registered models out of a file store."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from penstock.moving.mlflow_database.cells import in_pages, moment, number, text
from penstock.moving.mlruns.layout import (
    MODELS,
    experiment_places,
    lines_of,
    points_below,
    read_texts,
    why_no_file,
)
from penstock.moving.mlruns.metas import read_meta
from penstock.moving.mlruns.places import Place, UnreadableError, files_of, held_in, subdirectories
from penstock.moving.mlruns.runs import present
from penstock.moving.records import Broken, Kind, SourceLoggedModel, SourceModel
from penstock.registry.entries import ModelVersion, RegisteredModel, Stage, VersionStatus
from penstock.tracking.logged_models import LoggedModel, LoggedModelMetric, LoggedModelStatus
from penstock.tracking.metrics import Metric

# MLflow's LoggedModelStatus and ModelVersionStatus by the numbers of their enumerations.
_LOGGED_STATUSES: Mapping[int, LoggedModelStatus] = {
    0: "LOGGED_MODEL_PENDING",
    1: "LOGGED_MODEL_PENDING",
    2: "LOGGED_MODEL_READY",
    3: "LOGGED_MODEL_UPLOAD_FAILED",
}
_DELETED_STAGE = "Deleted_Internal"
_LOGGED = re.compile(r"models:/+(m-[0-9a-zA-Z]+)/?")
_VERSION = re.compile(r"version-([0-9]+)")
_PAGE = 200
_METRIC_FIELDS, _WITH_DATASET = 4, 6


def logged_model_places(root: Place) -> Iterator[Place]:
    for experiment, _ in experiment_places(root):
        yield from held_in(experiment, MODELS)


def version_places(model: Place) -> list[tuple[int, Place]]:
    found = [(match, place) for place in subdirectories(model) if (match := _VERSION.fullmatch(place.name))]
    numbered = [(int(match[1]), place) for match, place in found]
    return sorted(numbered, key=lambda each: (each[0], len(each[1].name)))  # one without leading zeros first


def read_logged_models(root: Place) -> Iterator[list[SourceLoggedModel | Broken]]:
    """The first of those that have one id."""
    seen = set[str]()
    for some in in_pages(logged_model_places(root), _PAGE):
        page: list[SourceLoggedModel | Broken] = []
        for place in some:
            page += _read_logged_model(place, seen)
        yield page


def read_registered_models(root: Place) -> Iterator[SourceModel | Broken]:
    """The first of those that have one name."""
    seen = set[str]()
    for place in held_in(root, MODELS):
        yield from _read_registered_model(place, seen)


def _read_logged_model(place: Place, seen: set[str]) -> Iterator[SourceLoggedModel | Broken]:
    broken: list[Broken] = []
    at = place.name
    try:
        meta = read_meta(place)
        if text(meta.get("model_id")) != at:
            raise UnreadableError(f"it says that it is model {text(meta.get('model_id'))[:80]!r}")
        if at in seen:
            raise UnreadableError("another logged model with this id is there, in another experiment")
        seen.add(at)
    except UnreadableError as error:
        yield Broken("logged models", at, str(error))
        yield from _held(
            at,
            ("logged model params", len(files_of(place / "params"))),
            ("logged model tags", len(files_of(place / "tags"))),
            ("logged model metrics", points_below(place / "metrics")),
        )
        return
    model = LoggedModel(
        model_id=at,
        experiment_id=text(meta.get("experiment_id")),
        name=text(meta.get("name")),
        artifact_uri=present(text(meta.get("artifact_location")), place / "artifacts"),
        creation_time=number(meta.get("creation_timestamp")),
        last_update_time=number(meta.get("last_updated_timestamp")),
        status=_LOGGED_STATUSES.get(number(meta.get("status")), "LOGGED_MODEL_PENDING"),
        status_message=text(meta.get("status_message")),
        model_type=text(meta.get("model_type")),
        source_run_id=text(meta.get("source_run_id")),
        params=read_texts(place / "params", "logged model params", at, broken.append),
        tags=read_texts(place / "tags", "logged model tags", at, broken.append),
        metrics=tuple(_metrics(place, at, broken)),
    )
    yield SourceLoggedModel(model, deleted=meta.get("lifecycle_stage") == "deleted")
    yield from broken


def _metrics(place: Place, at: str, broken: list[Broken]) -> Iterator[LoggedModelMetric]:
    """A line is `timestamp value step run`, and perhaps name and digest of a dataset."""
    for key, path in files_of(place / "metrics"):
        try:
            with path.opened() as file:
                for line in lines_of(file):
                    try:
                        yield _metric(at, key, line)
                    except (IndexError, ValueError):
                        why = "its line is no timestamp, value, step and run"
                        broken.append(Broken("logged model metrics", f"{at}/{key}"[:300], why))
        except (OSError, UnreadableError) as error:
            broken.append(Broken("logged model metrics", f"{at}/{key}"[:300], why_no_file(error)))


def _metric(at: str, key: str, line: bytes) -> LoggedModelMetric:
    fields = line.decode().split()
    timestamp, value, step = int(fields[0]), float(fields[1]), int(fields[2])
    run_id = fields[_METRIC_FIELDS - 1]
    dataset = fields[_METRIC_FIELDS:_WITH_DATASET] if len(fields) == _WITH_DATASET else ["", ""]
    return LoggedModelMetric(Metric(key, value, timestamp, step, at, *dataset), run_id)


def _read_registered_model(place: Place, seen: set[str]) -> Iterator[SourceModel | Broken]:
    broken: list[Broken] = []
    versions = version_places(place)
    try:
        meta = read_meta(place)
        name = text(meta.get("name")) or place.name
        if name in seen:
            raise UnreadableError(f"another registered model that is called {name[:80]!r} is there")
        seen.add(name)
    except UnreadableError as error:
        yield Broken("registered models", place.name, str(error))
        yield from _held(
            place.name,
            ("registered model tags", len(files_of(place / "tags"))),
            ("aliases", len(files_of(place / "aliases"))),
            ("model versions", len(versions)),
            ("model version tags", sum(len(files_of(each / "tags")) for _, each in versions)),
        )
        return
    created = number(meta.get("creation_timestamp"))
    aliases = read_texts(place / "aliases", "aliases", name, broken.append)
    model = RegisteredModel(
        name=name,
        created_at=moment(created),
        updated_at=moment(number(meta.get("last_updated_timestamp"), created)),
        description=text(meta.get("description")),
        aliases={alias: version.strip() for alias, version in aliases.items()},
        tags=read_texts(place / "tags", "registered model tags", name, broken.append),
    )
    numbers = set[int]()
    found = tuple(version for of, each in versions if (version := _version(name, of, each, numbers, broken)))
    yield SourceModel(model, found, versions[-1][0] if versions else 0)
    yield from broken


def _version(name: str, version: int, place: Place, seen: set[int], broken: list[Broken]) -> ModelVersion | None:
    at = f"{name}/{version}"
    try:
        meta = read_meta(place)
        stage = text(meta.get("current_stage")) or "None"
        if stage == _DELETED_STAGE:
            raise UnreadableError("it was deleted there; its number is not given again")
        if version in seen:
            raise UnreadableError("another version with this number is there")
        seen.add(version)
    except UnreadableError as error:
        broken.append(Broken("model versions", at, str(error)))
        broken += _held(at, ("model version tags", len(files_of(place / "tags"))))
        return None
    source, created = text(meta.get("source")), number(meta.get("creation_timestamp"))
    logged = _LOGGED.fullmatch(source)
    return ModelVersion(
        name=name,
        version=str(version),
        source=text(meta.get("storage_location")),
        origin=source,
        created_at=moment(created),
        updated_at=moment(number(meta.get("last_updated_timestamp"), created)),
        description=text(meta.get("description")),
        run_id=text(meta.get("run_id")),
        registered_by=text(meta.get("user_id")),
        tags=read_texts(place / "tags", "model version tags", at, broken.append),
        stage=cast("Stage", stage),
        run_link=text(meta.get("run_link")),
        logged_model=text(meta.get("model_id")) or ("" if logged is None else logged[1]),
        status=_version_status(meta.get("status")),
        status_message=text(meta.get("status_message")),
    )


def _version_status(cell: Any) -> VersionStatus:
    return cast("VersionStatus", cell) if isinstance(cell, str) else "READY"


def _held(at: str, *counts: tuple[Kind, int]) -> list[Broken]:
    return [Broken(kind, at, "what it belongs to is not brought over", count) for kind, count in counts if count]
