"""What a run belongs with: the run that it is nested in, runs nested in it, models it made or took, its files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from penstock.cli.runs.reading.source import ReadRun, RunSearch, RunSource
from penstock.errors import TrackingRefused, TrackingUnavailable
from penstock.fluent.views import TrackedRun
from penstock.mlflow_api.search.printing import quoted

PARENT_TAG = "mlflow.parentRunId"

# Files that are listed, and runs nested in this one.
MAX_FILES = 200
MAX_CHILDREN = 20


@dataclass(frozen=True, slots=True)
class RunFile:
    path: str
    size: int


@dataclass(frozen=True, slots=True)
class LinkedModel:
    """A logged model; `name` and `status` are empty where the server does not tell."""

    model_id: str
    name: str = ""
    status: str = ""


@dataclass(frozen=True, slots=True)
class LinkedVersion:
    """A registered version that the run produced, with the aliases that name it now."""

    name: str
    version: str
    aliases: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Relatives:
    """`files_left` and `children_left` say that there are more than are listed."""

    parent: TrackedRun | None = None
    children: Sequence[TrackedRun] = ()
    children_left: bool = False
    made: Sequence[LinkedModel] = ()
    took: Sequence[LinkedModel] = ()
    versions: Sequence[LinkedVersion] = ()
    files: Sequence[RunFile] = ()
    files_left: bool = False


def relatives_of(source: RunSource, read: ReadRun) -> Relatives:
    """What cannot be read, as files that the server does not reach, is left out."""
    run = read.run
    parent = run.data.tags.get(PARENT_TAG)
    found_parent = source.found("runs/get", {"run_id": parent}) if parent else None
    nested = f"tags.`{PARENT_TAG}` = {quoted(run.info.run_id)}"
    children = source.search(RunSearch([run.info.experiment_id], nested, limit=MAX_CHILDREN))
    files = list(islice(_files(source, run.info.run_id), MAX_FILES + 1))
    return Relatives(
        TrackedRun.of_json(found_parent["run"]) if found_parent else None,
        children.runs,
        children.more,
        [_model(source, model_id) for model_id in read.links.models_out],
        [_model(source, model_id) for model_id in read.links.models_in],
        _versions(source, run.info.run_id),
        files[:MAX_FILES],
        len(files) > MAX_FILES,
    )


def _model(source: RunSource, model_id: str) -> LinkedModel:
    found = source.found(f"logged-models/{model_id}", {})
    if found is None:
        return LinkedModel(model_id)
    info = found["model"]["info"]
    status = str(info.get("status", "")).removeprefix("LOGGED_MODEL_").lower()
    return LinkedModel(model_id, info.get("name", ""), status)


def _versions(source: RunSource, run_id: str) -> list[LinkedVersion]:
    """Registered ones; aliases are those of the model, since a search tells none."""
    fields = {"filter": f"run_id = {quoted(run_id)}"}
    try:
        entries = list(source.pages("model-versions/search", fields, "model_versions", 100, method="GET"))
    except TrackingRefused:
        return []  # the registry is elsewhere, or not for this caller
    versions = []
    for name in sorted({entry["name"] for entry in entries}):
        model = source.found("registered-models/get", {"name": name}) or {}
        aliases = model.get("registered_model", {}).get("aliases", [])
        numbers = sorted((str(entry["version"]) for entry in entries if entry["name"] == name), key=int)
        versions += [LinkedVersion(name, number, _naming(aliases, number)) for number in numbers]
    return versions


def _naming(aliases: Sequence[Mapping[str, Any]], number: str) -> list[str]:
    return sorted(each["alias"] for each in aliases if str(each["version"]) == number)


def _files(source: RunSource, run_id: str, path: str = "") -> Iterator[RunFile]:
    try:
        fields = {"run_id": run_id, **({"path": path} if path else {})}
        entries = list(source.pages("artifacts/list", fields, "files", method="GET"))
    except (TrackingRefused, TrackingUnavailable):  # a server that does not reach them answers with a 500, too
        return
    for entry in entries:
        if entry.get("is_dir"):
            yield from _files(source, run_id, entry["path"])
        else:
            yield RunFile(entry["path"], int(entry.get("file_size") or 0))
