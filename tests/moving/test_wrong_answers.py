"""Imports from a server that answers with what no server of MLflow's does: each such object is told, the others go on,
and what has no end is ended."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from itertools import count
from typing import Any

import pytest

from moving.conftest import Store
from penstock.artifacts.trees import TreeEntry
from penstock.errors import ImportFailed, RegistryUnavailable
from penstock.mlflow_api.client import MlflowRestClient
from penstock.moving.mlflow_server import paging
from penstock.moving.mlflow_server.files import ServedFiles
from penstock.moving.mlflow_server.source import MlflowServer, open_mlflow_server
from penstock.moving.records import Broken, SourceModel, SourceRun

URL = "http://tracking.example"
RUN = "a" * 32
EXPERIMENT = {"experiment_id": "0", "name": "Default", "artifact_location": "mlflow-artifacts:/0"}
INFO = {"run_id": RUN, "experiment_id": "0", "status": "FINISHED", "start_time": 1, "artifact_uri": ""}
ONE_METRIC = {"metrics": [{"key": "m", "value": 1, "timestamp": 1, "step": 0}]}

Answers = dict[str, Any]


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answers], None]:
    """What a server answers to each path: an object, or what makes one; `{}` to all others."""

    def given(answers: Answers) -> None:
        def asked(client: MlflowRestClient, path: str, **fields: Any) -> dict[str, Any]:
            answer = answers.get(path, {})
            found: dict[str, Any] = answer() if callable(answer) else answer
            return found

        monkeypatch.setattr(MlflowRestClient, "get", asked)
        monkeypatch.setattr(MlflowRestClient, "send", lambda client, method, path, **fields: asked(client, path))

    return given


def experiments(*found: Any) -> Answers:
    return {"experiments/search": {"experiments": list(found)}}


def runs(*found: Any) -> Answers:
    return {**experiments(EXPERIMENT), "runs/search": {"runs": list(found)}}


def models(*found: Any, versions: list[Any] | None = None) -> Answers:
    return {
        "registered-models/search": {"registered_models": list(found)},
        "model-versions/search": {"model_versions": versions or []},
    }


@pytest.mark.parametrize(
    ("answers", "listed"),
    [
        (
            experiments({"experiment_id": {"a": 1}, "name": [1]}, EXPERIMENT),
            ("experiments", "(without id)", "its experiment_id is not as MLflow tells it"),
        ),
        (
            experiments(EXPERIMENT, {"experiment_id": "1", "name": "x", "tags": "xx"}),
            ("experiments", "1", "its tags are not as MLflow tells them"),
        ),
        (
            runs({"info": {**INFO, "status": [1]}}, {"info": {**INFO, "run_id": "b" * 32}}),
            ("runs", RUN, "its status is not as MLflow tells it"),
        ),
        (runs({"info": []}), ("runs", "(without id)", "its info are not as MLflow tells them")),
        (runs({"info": INFO, "data": {"params": [5]}}), ("runs", RUN, "its params are not as MLflow tells them")),
        (runs({"info": INFO, "data": {"metrics": 5}}), ("runs", RUN, "its metrics are not as MLflow tells them")),
        (
            models({"name": ["x"], "aliases": 5}),
            ("registered models", "(without id)", "its name is not as MLflow tells it"),
        ),
        (models({"name": "m", "aliases": 5}), ("registered models", "m", "its aliases are not as MLflow tells them")),
        (
            models({"name": "m"}, versions=[{"name": "m", "version": "9" * 5000}, {"name": "m", "version": "1"}]),
            ("model versions", f"m/{'9' * 80}", "its number is none that a version has"),
        ),
        (
            models({"name": "m"}, versions=[{"name": "m", "version": "²"}, {"name": "m", "version": "1"}]),
            ("model versions", "m/²", "its number is none that a version has"),
        ),
        (
            models({"name": "m"}, versions=[{"name": "other", "version": "2"}, {"name": "m", "version": "1"}]),
            ("model versions", "m/2", "it is told as one of another model"),
        ),
    ],
)
def test_a_wrong_answer_is_told_and_the_others_go_on(
    answering: Callable[[Answers], None], answers: Answers, listed: tuple[str, str, str]
) -> None:
    answering(answers)
    with closing(open_mlflow_server(URL)) as source:
        found = _all_of(source)
        counts = source.counts()
    broken = [(each.kind, each.id, each.reason) for each in found if isinstance(each, Broken)]
    assert broken == [listed]
    told = sum(len(each) for name in answers for each in answers[name].values())
    assert len(found) + sum(len(each.versions) for each in found if isinstance(each, SourceModel)) == told
    assert counts["experiments"] == sum(each[0] == "experiments" for each in broken) + sum(
        type(each).__name__ == "Experiment" for each in found
    )


def test_an_import_goes_on_beside_what_has_no_id(answering: Callable[[Answers], None], store: Store) -> None:
    answering({**experiments({}, EXPERIMENT), **models({}, {"name": "m"})})
    report = store.bring(URL)
    assert report.agrees
    assert report.reasons == {
        "experiments": {"its id is no number": 1},
        "registered models": {"its name is empty": 1},
    }


def _all_of(source: MlflowServer) -> list[Any]:
    found: list[Any] = [*source.experiments()]
    found += [run for page in source.runs() for run in page]
    found += [model for page in source.logged_models() for model in page]
    return [*found, *source.registered_models()]


@pytest.mark.parametrize("found", [[EXPERIMENT], [], [{}]])
def test_pages_that_bring_nothing_new_are_ended(answering: Callable[[Answers], None], found: list[Any]) -> None:
    tokens = count()
    answering({"experiments/search": lambda: {"experiments": found, "next_page_token": f"t{next(tokens)}"}})
    with closing(open_mlflow_server(URL)) as source, pytest.raises(ImportFailed, match="no end of experiments"):
        source.counts()
    assert next(tokens) <= paging.IDLE_PAGES + 1


def test_more_than_can_be_held_is_refused(
    answering: Callable[[Answers], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "MOST_FOUND", 20)
    ids = count()
    answering(
        {
            "registered-models/search": lambda: {
                "registered_models": [{"name": str(next(ids))}],
                "next_page_token": str(next(ids)),
            }
        }
    )
    with (
        closing(open_mlflow_server(URL)) as source,
        pytest.raises(ImportFailed, match="more than 20 registered models"),
    ):
        source.counts()


def test_a_series_without_end_is_ended(answering: Callable[[Answers], None]) -> None:
    steps = count()

    def page() -> dict[str, Any]:
        at = next(steps)
        return {"metrics": [{"key": "m", "value": 1, "timestamp": 1, "step": at}], "next_page_token": f"t{at}"}

    answering({**runs({"info": INFO, "data": ONE_METRIC}), "metrics/get-history": page})
    with closing(open_mlflow_server(URL)) as source:
        (given,) = [run for page in source.runs() for run in page if isinstance(run, SourceRun)]
        with pytest.raises(ImportFailed, match=f"no end of points of 'm' of run {RUN}"):
            list(source.points([given]))


@pytest.mark.parametrize("size", ["x", "NaN", -5, 10**40, [1], 2.5])
def test_a_file_of_a_size_that_is_none_is_left_out_alone(monkeypatch: pytest.MonkeyPatch, size: Any) -> None:
    told = [{"path": "f", "file_size": size}, {"path": "g", "file_size": "10"}, {"path": "h", "is_dir": True}]
    monkeypatch.setattr(MlflowRestClient, "list_artifacts", lambda client, url: told)
    with closing(open_mlflow_server(URL)) as source:
        tree = source.artifacts()
        assert isinstance(tree, ServedFiles)
        assert tree.entries("0")[1:] == [TreeEntry("g", 10), TreeEntry("h", None)]
        with pytest.raises(RegistryUnavailable, match="tells no size of 0/f that is one"):
            tree.open("0/f")


def test_folders_in_folders_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MlflowRestClient, "list_artifacts", lambda client, url: [{"path": "sub", "is_dir": True}])
    with closing(open_mlflow_server(URL)) as source:
        tree, path = source.artifacts(), "0"
        assert isinstance(tree, ServedFiles)

        def go_down(path: str) -> None:
            for _ in range(1000):
                path += f"/{tree.entries(path)[0].name}"

        with pytest.raises(RegistryUnavailable, match="folders in folders without end below 0/sub"):
            go_down(path)
