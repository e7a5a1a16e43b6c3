"""MlflowServer: a running server as a source.

It tells what its clients may ask: not when something was deleted, no logged models that were, and no numbers of
versions that are gone. Runs are asked for from the oldest on, so that those which are made meanwhile move no other.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from penstock.artifacts.trees import ArtifactTree
from penstock.errors import ImportFailed
from penstock.mlflow_credentials import MlflowCredentials
from penstock.moving.mlflow_server import answers, objects
from penstock.moving.mlflow_server.asking import ServerAsker
from penstock.moving.mlflow_server.files import ServedFiles
from penstock.moving.mlflow_server.histories import HistoryReader
from penstock.moving.records import Broken, Kind, PointBlock, SourceLoggedModel, SourceModel, SourceRun
from penstock.moving.source import ImportSource
from penstock.registry.entries import ModelVersion
from penstock.tracking.experiments import Experiment
from penstock.tracking.runs import ENDED

T = TypeVar("T")

_EXPERIMENTS = 100
_RUNS = 50
_MODELS = 100
# A filter that names the tag finds prompts, which no other search does.
_PROMPTS = "tags.`mlflow.prompt.is_prompt` = 'true'"


class MlflowServer(ImportSource):
    """See `ImportSource` for what each method does."""

    def __init__(self, server: ServerAsker) -> None:
        self._server = server
        self._histories = HistoryReader(server)
        # Mutable state: the metrics of the runs of the last page.
        self._keys: dict[str, list[str]] = {}

    def __repr__(self) -> str:
        return f"<MlflowServer {self._server.place}>"

    @property
    def place(self) -> str:
        return self._server.place

    def counts(self) -> Mapping[Kind, int]:
        """What can be counted without reading all runs."""
        counted: Counter[Kind] = Counter({"aliases": 0, "registered models": 0, "registered model tags": 0})
        counted["experiments"] = sum(len(page) for page in self._experiments())
        for page in self._models():
            for told in page:
                model = _told("registered models", "name", objects.registered_model_of, told)
                counted["registered models"] += 1
                counted["aliases"] += 0 if isinstance(model, Broken) else len(model.aliases)
                counted["registered model tags"] += 0 if isinstance(model, Broken) else len(model.tags)
        return counted

    def experiments(self) -> Iterator[Experiment | Broken]:
        for page in self._experiments():
            for told in page:
                yield _told("experiments", "experiment_id", objects.experiment_of, told)

    def runs(self) -> Iterator[Sequence[SourceRun | Broken]]:
        for some in self._in_experiments():
            search = {"experiment_ids": some, "run_view_type": "ALL", "order_by": ["attributes.start_time ASC"]}
            for page in self._server.search(
                "runs/search", "runs", answers.id_in("run_id"), max_results=_RUNS, **search
            ):
                found = [_told("runs", "run_id", _run_of, told) for told in page]
                self._keys = {
                    each.run.run_id: objects.metric_keys(told)
                    for each, told in zip(found, page, strict=True)
                    if isinstance(each, SourceRun)
                }
                yield found

    def points(self, runs: Sequence[SourceRun]) -> Iterator[PointBlock | Broken]:
        return self._histories.read(runs, self._keys)

    def logged_models(self) -> Iterator[Sequence[SourceLoggedModel | Broken]]:
        for some in self._in_experiments():
            try:
                first = {"experiment_ids": some, "max_results": _RUNS}
                for page in self._server.search("logged-models/search", "models", answers.id_in("model_id"), **first):
                    yield [_told("logged models", "model_id", objects.logged_model_of, told) for told in page]
            except ImportFailed as error:
                if _is_unknown(error):  # a server of before version 3
                    return
                raise

    def registered_models(self) -> Iterator[SourceModel | Broken]:
        for page in self._models():
            for told in page:
                model = _told("registered models", "name", objects.registered_model_of, told)
                if isinstance(model, Broken):
                    yield model
                    continue
                found = list(self._versions(model.name))
                versions = [each for each in found if isinstance(each, ModelVersion)]
                versions.sort(key=lambda each: int(each.version))
                yield SourceModel(model, tuple(versions), int(versions[-1].version) if versions else 0)
                yield from (each for each in found if isinstance(each, Broken))

    def artifacts(self) -> ArtifactTree:
        return ServedFiles(self._server.client)

    def close(self) -> None:
        self._server.close()

    def _experiments(self) -> Iterator[list[dict[str, Any]]]:
        return self._server.search(
            "experiments/search", "experiments", answers.id_in("experiment_id"), max_results=1000, view_type="ALL"
        )

    def _in_experiments(self) -> Iterator[list[str]]:
        """Their ids, as many as one search is asked for."""
        found = (each for each in self.experiments() if isinstance(each, Experiment))
        ids = [each.experiment_id for each in found if each.experiment_id]
        return (ids[start : start + _EXPERIMENTS] for start in range(0, len(ids), _EXPERIMENTS))

    def _models(self) -> Iterator[list[dict[str, Any]]]:
        """A server that does not know of prompts tells all models again, where it is asked for these."""
        name_of, seen = answers.id_in("name"), set[object]()
        for filters in ({}, {"filter": _PROMPTS}):
            of = {"max_results": _MODELS, **filters}
            for page in self._server.listed("registered-models/search", "registered_models", name_of, **of):
                names = [name_of(told) or repr(told) for told in page]
                yield [told for told, name in zip(page, names, strict=True) if name not in seen]
                seen.update(names)

    def _versions(self, name: str) -> Iterator[ModelVersion | Broken]:
        quoted = name.replace("'", "''")
        seen = set[str]()
        for more in ("", f" AND {_PROMPTS}"):
            filters = {"filter": f"name = '{quoted}'{more}", "max_results": 1000}
            of = answers.id_in("version")
            for page in self._server.listed("model-versions/search", "model_versions", of, **filters):
                for told in page:
                    at = f"{name[:80]}/{answers.shown_id(told, 'version')}"
                    if at not in seen:
                        seen.add(at)
                        yield _version(name, at, told)


def open_mlflow_server(url: str) -> MlflowServer:
    """By the credentials of MLflow's own variables. Raises ConfigError; asks nothing."""
    return MlflowServer(ServerAsker(url, MlflowCredentials.from_environ(os.environ)))


def _told(kind: Kind, id_field: str, made: Callable[[Mapping[str, Any]], T], told: Mapping[str, Any]) -> T | Broken:
    """What the server told, or why it is none. Which one it is says a field of it, or of its `info`."""
    try:
        return made(told)
    except answers.WrongAnswerError as error:
        info = told.get("info")
        return Broken(kind, answers.shown_id(info if isinstance(info, dict) else told, id_field), str(error))


def _run_of(told: Mapping[str, Any]) -> SourceRun:
    return objects.run_of(told, _mark(told))


def _version(name: str, at: str, told: Mapping[str, Any]) -> ModelVersion | Broken:
    try:
        number = answers.version_number(told)
        if answers.text(told, "name") != name:
            raise answers.WrongAnswerError("it is told as one of another model")
        return replace(objects.version_of(told), version=str(number))
    except answers.WrongAnswerError as error:
        return Broken("model versions", at, str(error))


def _mark(told: Mapping[str, Any]) -> str:
    """Of a run that goes on there is none that would be the same: points may come in any order."""
    info = answers.inner(told, "info")
    if answers.text(info, "status") not in ENDED:
        return f"at {time.time_ns()}"
    return hashlib.sha256(repr((info.get("end_time"), objects.latest_points(told))).encode()).hexdigest()[:32]


def _is_unknown(error: ImportFailed) -> bool:
    """Whether the server does not know the path."""
    cause = error.__cause__
    return getattr(cause, "status", None) == 404 or getattr(cause, "code", "") == "registry_not_found"
