"""MlflowServer: a running server as a source.

It tells what its clients may ask: not when something was deleted, no logged models that were, and no numbers of
versions that are gone. Runs are asked for from the oldest on, so that those which are made meanwhile move no other.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from penstock.artifacts.trees import ArtifactTree
from penstock.errors import ImportFailed
from penstock.mlflow_credentials import MlflowCredentials
from penstock.moving.mlflow_server import objects
from penstock.moving.mlflow_server.asking import ServerAsker
from penstock.moving.mlflow_server.files import ServedFiles
from penstock.moving.mlflow_server.histories import HistoryReader
from penstock.moving.records import Broken, Kind, PointBlock, SourceLoggedModel, SourceModel, SourceRun
from penstock.moving.source import ImportSource
from penstock.tracking.experiments import Experiment
from penstock.tracking.runs import ENDED

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
        models = [model for page in self._models() for model in page]
        return {
            "experiments": sum(len(page) for page in self._experiments()),
            "registered models": len(models),
            "aliases": sum(len(model.get("aliases", ())) for model in models),
            "registered model tags": sum(len(model.get("tags", ())) for model in models),
        }

    def experiments(self) -> Iterator[Experiment | Broken]:
        for page in self._experiments():
            yield from map(objects.experiment_of, page)

    def runs(self) -> Iterator[Sequence[SourceRun | Broken]]:
        for some in self._in_experiments():
            search = {"experiment_ids": some, "run_view_type": "ALL", "order_by": ["attributes.start_time ASC"]}
            for page in self._server.search("runs/search", "runs", max_results=_RUNS, **search):
                found = [objects.run_of(told, _mark(told)) for told in page]
                self._keys = {
                    each.run.run_id: objects.metric_keys(told) for each, told in zip(found, page, strict=True)
                }
                yield found

    def points(self, runs: Sequence[SourceRun]) -> Iterator[PointBlock | Broken]:
        return self._histories.read(runs, self._keys)

    def logged_models(self) -> Iterator[Sequence[SourceLoggedModel | Broken]]:
        for some in self._in_experiments():
            try:
                first = {"experiment_ids": some, "max_results": _RUNS}
                for page in self._server.search("logged-models/search", "models", **first):
                    yield [objects.logged_model_of(told) for told in page]
            except ImportFailed as error:
                if _is_unknown(error):  # a server of before version 3
                    return
                raise

    def registered_models(self) -> Iterator[SourceModel | Broken]:
        for page in self._models():
            for told in page:
                model = objects.registered_model_of(told)
                versions = sorted(self._versions(model.name), key=lambda each: int(each["version"]))
                last = int(versions[-1]["version"]) if versions else 0
                yield SourceModel(model, tuple(map(objects.version_of, versions)), last)

    def artifacts(self) -> ArtifactTree:
        return ServedFiles(self._server.client)

    def close(self) -> None:
        self._server.close()

    def _experiments(self) -> Iterator[list[dict[str, Any]]]:
        return self._server.search("experiments/search", "experiments", max_results=1000, view_type="ALL")

    def _in_experiments(self) -> Iterator[list[str]]:
        """Their ids, as many as one search is asked for."""
        ids = [str(told["experiment_id"]) for page in self._experiments() for told in page]
        return (ids[start : start + _EXPERIMENTS] for start in range(0, len(ids), _EXPERIMENTS))

    def _models(self) -> Iterator[list[dict[str, Any]]]:
        for filters in ({}, {"filter": _PROMPTS}):
            yield from self._server.listed(
                "registered-models/search", "registered_models", max_results=_MODELS, **filters
            )

    def _versions(self, name: str) -> list[dict[str, Any]]:
        quoted = name.replace("'", "''")
        found: dict[str, dict[str, Any]] = {}
        for more in ("", f" AND {_PROMPTS}"):
            filters = {"filter": f"name = '{quoted}'{more}", "max_results": 1000}
            for page in self._server.listed("model-versions/search", "model_versions", **filters):
                found |= {str(told.get("version")): told for told in page if str(told.get("version", "")).isdecimal()}
        return list(found.values())


def open_mlflow_server(url: str) -> MlflowServer:
    """By the credentials of MLflow's own variables. Raises ConfigError; asks nothing."""
    return MlflowServer(ServerAsker(url, MlflowCredentials.from_environ(os.environ)))


def _mark(told: Mapping[str, Any]) -> str:
    """Of a run that goes on there is none that would be the same: points may come in any order."""
    info = told.get("info") or {}
    if info.get("status") not in ENDED:
        return f"at {time.time_ns()}"
    return hashlib.sha256(repr((info.get("end_time"), objects.latest_points(told))).encode()).hexdigest()[:32]


def _is_unknown(error: ImportFailed) -> bool:
    """Whether the server does not know the path."""
    cause = error.__cause__
    return getattr(cause, "status", None) == 404 or getattr(cause, "code", "") == "registry_not_found"
