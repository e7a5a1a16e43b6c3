"""Stores with something of everything, and all that a hub over one answers."""

from __future__ import annotations

import random
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hub.conftest import HubCalls, hub_over
from penstock.assembly.hub import HubOptions, open_stores
from penstock.assembly.upkeep import take_backup
from penstock.registry import NewVersion
from penstock.tracking.datasets import Dataset, DatasetInput
from penstock.tracking.metrics import Metric
from penstock.tracking.runs import ModelOutput
from penstock.tracking.writes import (
    CreateExperiment,
    CreateLoggedModel,
    CreateRun,
    DeleteExperiment,
    DeleteRun,
    LogBatch,
    LogInputs,
    LogOutputs,
    SetExperimentTag,
    UpdateRun,
)

_TEXTS = ["", "x", "é", "日本", "\u2028 '\"\\", "a\tb\nc", "😀" * 3, "-0.0", "%s ?", "v" * 6000]
_VALUES = [0.0, -0.0, 1.5, float("nan"), 1.7976931348623157e308, -1.7976931348623157e308, 5e-324, 0.1]
_STEPS = [0, 1, -1, 2**63 - 1, -(2**63), 10]


@pytest.fixture
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A PostgreSQL without tables."""
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("filled")
    fill(str(place / "store"), place / "files")
    return place


@pytest.fixture(scope="session")
def saved_template(template: Path) -> Path:
    take_backup(str(template / "store"), str(template / "files"), str(template / "saved"), _ignored, _ignored)
    return template


@pytest.fixture
def filled_and_saved(saved_template: Path, tmp_path: Path) -> Path:
    """The same with a backup in `saved`."""
    return Path(shutil.copytree(saved_template, tmp_path, dirs_exist_ok=True))


@pytest.fixture
def filled(template: Path, tmp_path: Path) -> Path:
    """A directory with the store `store`, its files in `files`, and the token that lets anybody in in `token`."""
    return Path(shutil.copytree(template, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("saved")))


def _ignored(_: int) -> None:
    """Progress that nobody looks at."""


def fill(store: str, artifacts: Path) -> None:
    chance = random.Random(7)
    opened = open_stores(HubOptions(store, str(artifacts)))
    with closing(opened.tracking) as tracking:
        for name in ("active", "deleted"):
            experiment = tracking.write(CreateExperiment(f"{name} é", tags={"k": "v"}))
            tracking.write(SetExperimentTag(experiment, "k2", "日本"))
            for at in range(3):
                run_id = tracking.write(CreateRun(experiment, f"run {at}", "ann", at)).run_id
                points = [
                    Metric(key, chance.choice(_VALUES), chance.randrange(2**50), chance.choice(_STEPS))
                    for key in ("loss", "acc/x", "é y")
                    for _ in range(40)
                ]
                points += [Metric("long", chance.random(), step, step) for step in range(200 * at)]
                params = [(f"p{n}", text) for n, text in enumerate(_TEXTS)]
                tracking.write(LogBatch(run_id, points, params, [(f"t{n}", text) for n, text in enumerate(_TEXTS)]))
                dataset = DatasetInput(Dataset("d", "1", "local", "{}", schema=None, profile="é"), {"a": "b"})
                model = tracking.write(CreateLoggedModel(experiment, "m", run_id, "", [("p", "1")], {"t": "2"}))
                tracking.write(LogInputs(run_id, [dataset]))
                tracking.write(LogOutputs(run_id, [ModelOutput(model.model_id, 3)]))
                tracking.write(LogBatch(run_id, [Metric("auc", 0.5, 1, 1, model.model_id, "d", "1")]))
                for place in (f"{experiment}/{run_id}/artifacts/a b/é.txt", f"{experiment}/models/{model.model_id}/x"):
                    with opened.artifacts.new(place) as file:
                        file.write(chance.randbytes(500))
                if at:
                    tracking.write(UpdateRun(run_id, "FINISHED", 99))
            tracking.write(DeleteRun(run_id))
        tracking.write(DeleteExperiment(experiment))
        registry = opened.registry
        for number in range(3):
            registry.register("iris", NewVersion(f"iris/{number}", signature={"inputs": "[]"}, tags={"a": "é"}))
        registry.promote("iris", "1", by="ann", reason="first")
        registry.promote("iris", "2", by="bob")
        registry.set_stage("iris", "3", "Staging")
        registry.create_model("a 'prompt'", description="😀", tags={"mlflow.prompt.is_prompt": "true"})
        registry.create_model("gone")
        registry.delete("gone")
        opened.tokens.add("bob", "write")
        opened.tokens.revoke("bob")
        (artifacts.parent / "token").write_text(opened.tokens.add("ann", "admin"))


async def answers(store: str, artifacts: Path) -> dict[str, Any]:
    """What a hub over the store says of all that is in it, asked with the token that the first one knew."""
    token = (artifacts.parent / "token").read_text()
    async with hub_over(store, artifacts) as hub:
        hub.client.headers["Authorization"] = f"Bearer {token}"
        return dict([each async for each in _answers(hub)])


async def _answers(hub: HubCalls) -> Any:
    found = (await hub.post("experiments/search", view_type="ALL", max_results=100)).json()
    yield "experiments", found
    ids = [each["experiment_id"] for each in found["experiments"]]
    runs = (await hub.post("runs/search", experiment_ids=ids, run_view_type="ALL")).json()
    yield "runs", runs
    for run in runs["runs"]:
        run_id = run["info"]["run_id"]
        yield run_id, (await hub.get("runs/get", run_id=run_id)).json()
        for metric in run["data"].get("metrics", []):
            key = metric["key"]
            yield f"{run_id} {key}", (await hub.get("metrics/get-history", run_id=run_id, metric_key=key)).json()
        listed = (await hub.get("artifacts/list", run_id=run_id)).json()
        yield f"{run_id} files", listed
        content = await hub.get("/get-artifact", run_id=run_id, path="a b/é.txt")
        yield f"{run_id} file", (content.status_code, content.content)
    yield "models", (await hub.post("logged-models/search", experiment_ids=ids)).json()
    yield "registered", (await hub.get("registered-models/search")).json()
    yield "versions", (await hub.get("model-versions/search")).json()
    for what in ("history", "changes", "get"):
        yield what, (await hub.get(f"/api/penstock/v1/registry/models/{what}", name="iris")).json()
    yield "tokens", hub.tokens.list()
