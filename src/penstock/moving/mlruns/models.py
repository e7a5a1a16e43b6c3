"""Logged and registered models out of a file store."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from penstock.moving.mlflow_database.cells import in_pages, moment, number, text
from penstock.moving.mlruns.layout import (
    MODELS,
    UnreadableError,
    experiment_places,
    files_of,
    points_below,
    read_meta,
    read_texts,
    subdirectories,
)
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


def logged_model_places(root: Path) -> Iterator[Path]:
    for experiment, _ in experiment_places(root):
        yield from subdirectories(experiment / MODELS)


def version_places(model: Path) -> list[tuple[int, Path]]:
    found = [(match, place) for place in subdirectories(model) if (match := _VERSION.fullmatch(place.name))]
    return sorted((int(match[1]), place) for match, place in found)


def read_logged_models(root: Path) -> Iterator[list[SourceLoggedModel | Broken]]:
    for some in in_pages(logged_model_places(root), _PAGE):
        page: list[SourceLoggedModel | Broken] = []
        for place in some:
            page += _read_logged_model(place)
        yield page


def read_registered_models(root: Path) -> Iterator[SourceModel | Broken]:
    for place in subdirectories(root / MODELS):
        yield from _read_registered_model(place)


def _read_logged_model(place: Path) -> Iterator[SourceLoggedModel | Broken]:
    broken: list[Broken] = []
    at = place.name
    try:
        meta = read_meta(place)
        if text(meta.get("model_id")) != at:
            raise UnreadableError(f"it says that it is model {text(meta.get('model_id'))[:80]!r}")
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


def _metrics(place: Path, at: str, broken: list[Broken]) -> Iterator[LoggedModelMetric]:
    """A line is `timestamp value step run`, and perhaps name and digest of a dataset."""
    for key, path in files_of(place / "metrics"):
        with path.open("rb") as file:
            for line in file:
                try:
                    fields = line.decode().split()
                    timestamp, value, step = int(fields[0]), float(fields[1]), int(fields[2])
                    run_id = fields[_METRIC_FIELDS - 1]
                except (IndexError, ValueError):
                    why = "its line is no timestamp, value, step and run"
                    broken.append(Broken("logged model metrics", f"{at}/{key}"[:300], why))
                    continue
                dataset = fields[_METRIC_FIELDS:_WITH_DATASET] if len(fields) == _WITH_DATASET else ["", ""]
                yield LoggedModelMetric(Metric(key, value, timestamp, step, at, *dataset), run_id)


def _read_registered_model(place: Path) -> Iterator[SourceModel | Broken]:
    broken: list[Broken] = []
    versions = version_places(place)
    try:
        meta = read_meta(place)
        name = text(meta.get("name")) or place.name
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
    found = tuple(version for number_of, each in versions if (version := _version(name, number_of, each, broken)))
    yield SourceModel(model, found, versions[-1][0] if versions else 0)
    yield from broken


def _version(name: str, version: int, place: Path, broken: list[Broken]) -> ModelVersion | None:
    at = f"{name}/{version}"
    try:
        meta = read_meta(place)
        stage = text(meta.get("current_stage")) or "None"
        if stage == _DELETED_STAGE:
            raise UnreadableError("it was deleted there; its number is not given again")
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
    return [Broken(kind, at, "what it belongs to cannot be read", count) for kind, count in counts if count]
