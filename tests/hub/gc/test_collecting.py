"""What was deleted is removed with its files, and nothing else, wherever a collection is cut off."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from hub.conftest import HubCalls
from hub.gc.conftest import files, put
from penstock.artifacts.trees import LocalTree
from penstock.errors import (
    PackageNotFound,
    PenstockError,
    RegistryUnavailable,
    RunNotFound,
    TrackingInvalid,
    TrackingStateInvalid,
)
from penstock.hub.gc.collector import StoreCollector
from penstock.hub.gc.plan import GcPlan, GcRequest
from penstock.registry import NewVersion
from penstock.sql.database import Database
from penstock.sql.dialect import run
from penstock.sql.tables import metadata
from penstock.tracking.metrics import Metric
from penstock.tracking.writes import LogBatch

# Tables whose rows belong to runs or logged models.
_OF_RUNS = ["runs", "params", "tags", "series", "points", "chunks", "inputs", "run_models", "datasets"]
_OF_MODELS = ["logged_models", "logged_model_params", "logged_model_tags", "logged_model_metrics"]
# And others. That something was removed here is what stops the next import from bringing it.
_OF_REGISTRY = ["models", "versions", "aliases", "moves", "model_changes"]
_OTHERS = [*_OF_REGISTRY, "experiments", "changes", "tokens", "imports", "imported"]
_OF_THEM = [*_OF_RUNS, *_OF_MODELS, "experiment_tags", "garbage"]


def counts(database: Database) -> dict[str, int]:
    def count(c: Connection) -> dict[str, int]:
        return {name: run(c, f"SELECT count(*) FROM penstock_{name}").scalar() for name in _OF_THEM}

    return database.read(count)


def now() -> GcRequest:
    return GcRequest(time.time_ns() // 1_000_000)


def collected(collector: StoreCollector, request: GcRequest | None = None) -> GcPlan:
    request = request or now()
    plan = collector.plan(request)
    collector.collect(plan, request)
    return plan


async def logged_run(hub: HubCalls, experiment: str = "0") -> str:
    """A run with something in every table, and a file."""
    run_id = await hub.made_run(experiment)
    points = [Metric("loss", 0.5, 1, step) for step in range(100)] + [Metric("acc", 0.5, 1, 1)]
    hub.opened.tracking.write(LogBatch(run_id, points, [("depth", "3")], [("who", "ann")]))
    dataset = {"name": "d", "digest": "1", "source_type": "x", "source": "y"}
    await hub.post("runs/log-inputs", run_id=run_id, datasets=[{"dataset": dataset}])
    await put(hub, f"{experiment}/{run_id}/artifacts/plots/a.png")
    return run_id


async def made_model(hub: HubCalls, run_id: str, experiment: str = "0") -> str:
    answer = await hub.post("logged-models", experiment_id=experiment, name="m", source_run_id=run_id)
    model_id = str(answer.json()["model"]["info"]["model_id"])
    hub.opened.tracking.write(LogBatch(run_id, [Metric("auc", 1.0, 1, 1, model_id)]))
    await put(hub, f"{experiment}/models/{model_id}/artifacts/MLmodel", b"flavors: {}")
    return model_id


@pytest.mark.parametrize("store", ["sqlite", "postgresql"], indirect=True)
async def test_what_was_deleted_goes_and_all_else_stays(
    hub: HubCalls, collector: StoreCollector, database: Database, root: Path
) -> None:
    kept = await logged_run(hub)
    model = await made_model(hub, kept)
    before, stay = counts(database), files(root)
    gone = await logged_run(hub)
    # What a run that goes has said of a model that stays goes with it.
    hub.opened.tracking.write(LogBatch(gone, [Metric("auc", 0.1, 1, 1, model)]))
    experiment = (await hub.post("experiments/create", name="e")).json()["experiment_id"]
    inside = await logged_run(hub, experiment)
    await made_model(hub, inside, experiment)
    lost = await made_model(hub, gone)
    assert (await hub.client.delete(f"/api/2.0/mlflow/logged-models/{lost}")).status_code == 200
    await hub.post("runs/delete", run_id=gone)
    await hub.post("experiments/delete", experiment_id=experiment)
    seen = hub.opened.tracking.changes()

    plan = collector.plan(now())
    assert ({each.id for each in plan.runs}, plan.experiments) == ({gone, inside}, [int(experiment)])
    assert (len(plan.models), plan.counts["runs"].files, plan.kept) == (2, 2, [])
    assert counts(database)["garbage"] == 0

    collector.collect(plan, now())
    assert files(root) == stay
    assert not (root / experiment).exists()
    # The one dataset that the run which went had brought is the one that the other run has.
    assert counts(database) == before
    assert hub.opened.tracking.changes() > seen
    found = await hub.post("runs/search", experiment_ids=["0", experiment], run_view_type="ALL")
    assert [each["info"]["run_id"] for each in found.json()["runs"]] == [kept]
    assert (await hub.post("runs/restore", run_id=gone)).status_code == 404
    again = (await hub.post("experiments/create", name="e")).json()["experiment_id"]
    assert int(again) == int(experiment) + 1
    assert collector.plan(now()).is_empty


async def test_files_of_versions_stay_until_these_are_deleted(
    hub: HubCalls, collector: StoreCollector, root: Path
) -> None:
    run_id = await logged_run(hub)
    model = f"0/{run_id}/artifacts/model"
    await put(hub, f"{model}/MLmodel", b"flavors: {}")
    await hub.post("registered-models/create", name="iris")
    made = await hub.post("model-versions/create", name="iris", source=f"runs:/{run_id}/model", run_id=run_id)
    assert made.status_code == 200
    await hub.post("runs/delete", run_id=run_id)
    plan = collected(collector)
    assert plan.counts["runs"].files == 1
    assert files(root) == {f"{model}/MLmodel"}
    assert [each.what for each in plan.kept] == [f"files at {model}"]
    assert (await hub.get("/model-versions/get-artifact", name="iris", version="1", path="MLmodel")).status_code == 200
    assert [each.owner for each in collected(collector).leftovers] == [run_id]
    await hub.client.request("DELETE", "/api/2.0/mlflow/model-versions/delete", json={"name": "iris", "version": "1"})
    collected(collector)
    assert files(root) == set()
    assert not (root / "0" / run_id).exists()
    assert collector.plan(now()).is_empty


async def test_files_that_are_not_the_hubs_stay(hub: HubCalls, collector: StoreCollector, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    made = await hub.post("experiments/create", name="own", artifact_location=str(elsewhere))
    run_id = await hub.made_run(made.json()["experiment_id"])
    place = elsewhere / run_id / "artifacts"
    place.mkdir(parents=True)
    (place / "a").write_text("x")
    await hub.post("runs/delete", run_id=run_id)
    plan = collected(collector)
    assert [each.what for each in plan.kept] == [f"files of run {run_id}"]
    assert (place / "a").exists()
    with pytest.raises(RunNotFound):
        hub.opened.tracking.run(run_id)


async def test_only_what_is_named_goes(hub: HubCalls, collector: StoreCollector) -> None:
    first, second, active = [await logged_run(hub) for _ in range(3)]
    experiment = (await hub.post("experiments/create", name="e")).json()["experiment_id"]
    for run_id in (first, second):
        await hub.post("runs/delete", run_id=run_id)
    await hub.post("experiments/delete", experiment_id=experiment)
    long_ago = now().before - 3_600_000

    def refused(kind: type[PenstockError], said: str, before: int = now().before, **ids: Any) -> None:
        with pytest.raises(kind, match=said):
            collector.plan(GcRequest(before, **ids))

    refused(TrackingStateInvalid, "is not deleted", run_ids=[active])
    refused(TrackingStateInvalid, "is not deleted", experiment_ids=["0"])
    refused(RunNotFound, "not found", run_ids=["nobody"])
    refused(PenstockError, "No Experiment", experiment_ids=["x"])
    refused(PenstockError, "not found", model_ids=["m-0"])
    refused(TrackingInvalid, "later than", long_ago, run_ids=[first])
    assert collector.plan(GcRequest(long_ago)).is_empty
    request = GcRequest(now().before, run_ids=[first])
    assert [each.id for each in collected(collector, request).runs] == [first]
    assert {each.id for each in collector.plan(now()).runs} == {second}
    request = GcRequest(now().before, experiment_ids=[experiment])
    assert collected(collector, request).experiments == [int(experiment)]


async def test_an_experiment_with_an_active_run_stays(hub: HubCalls, collector: StoreCollector) -> None:
    experiment = (await hub.post("experiments/create", name="e")).json()["experiment_id"]
    active, gone = await logged_run(hub, experiment), await logged_run(hub, experiment)
    await hub.post("experiments/delete", experiment_id=experiment)
    await hub.post("runs/restore", run_id=active)
    plan = collected(collector)
    assert ([each.id for each in plan.runs], plan.experiments) == ([gone], [])
    assert active in plan.kept[0].why
    await hub.post("experiments/restore", experiment_id=experiment)
    assert hub.opened.tracking.run(active).params == {"depth": "3"}


async def test_a_run_that_was_deleted_nobody_knows_when_goes_too(
    hub: HubCalls, collector: StoreCollector, database: Database
) -> None:
    run_id = await logged_run(hub)
    await hub.post("runs/delete", run_id=run_id)
    database.write(lambda c: run(c, "UPDATE penstock_runs SET deleted_at = NULL, end_time = 2000"))
    assert collector.plan(GcRequest(1999)).is_empty
    assert [each.id for each in collected(collector, GcRequest(2000)).runs] == [run_id]


async def test_what_is_restored_after_the_look_stays(hub: HubCalls, collector: StoreCollector, root: Path) -> None:
    run_id = await logged_run(hub)
    await hub.post("runs/delete", run_id=run_id)
    plan = collector.plan(now())
    await hub.post("runs/restore", run_id=run_id)
    before = files(root)
    collector.collect(plan, now())
    assert files(root) == before
    assert hub.opened.tracking.run(run_id).params == {"depth": "3"}


async def test_packages_without_a_version_go_when_nobody_is_at_them(
    hub: HubCalls, collector: StoreCollector, root: Path
) -> None:
    named, lone, fresh = (f"iris/{letter * 64}" for letter in "abc")
    for place in (named, lone, fresh, f"iris/.{'d' * 64}.x1y2", "iris/notes"):
        await put(hub, f"{place}/MLmodel", b"flavors: {}")
    hub.opened.registry.register("iris", NewVersion(named, digest="a" * 64))
    draft = root / ".penstock-uploads" / "cut-off"
    draft.write_bytes(b"123")
    _age(root, spared=fresh.rpartition("/")[2])
    plan = collected(collector)
    assert plan.packages == [f"iris/.{'d' * 64}.x1y2", lone]
    assert (plan.drafts.files, plan.drafts.bytes) == (1, 3)
    assert [each.what for each in plan.kept] == [f"package {fresh}"]
    assert files(root) == {f"{named}/MLmodel", f"{fresh}/MLmodel", "iris/notes/MLmodel"}


@pytest.mark.parametrize("store", ["sqlite", "postgresql"], indirect=True)
async def test_no_version_is_registered_with_files_that_go(
    hub: HubCalls, collector: StoreCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = await logged_run(hub)
    await hub.post("runs/delete", run_id=run_id)
    plan = collector.plan(now())
    monkeypatch.setattr(LocalTree, "remove", _cut_off)
    with pytest.raises(RegistryUnavailable):
        collector.collect(plan, now())
    with pytest.raises(PackageNotFound, match="removed as garbage"):
        hub.opened.registry.register("iris", NewVersion(f"0/{run_id}/artifacts/plots"))
    assert hub.opened.registry.models() == []


async def test_a_collection_that_is_cut_off_anywhere_is_continued(
    hub: HubCalls, collector: StoreCollector, database: Database, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = await logged_run(hub)
    before, stay = counts(database), files(root)
    steps = _Steps(monkeypatch, database)
    cut_off = 0
    for at in range(100):
        experiment = (await hub.post("experiments/create", name=f"e{at}")).json()["experiment_id"]
        run_id = await logged_run(hub, experiment)
        await made_model(hub, run_id, experiment)
        await hub.post("experiments/delete", experiment_id=experiment)
        steps.left = at
        try:
            collected(collector)
        except RegistryUnavailable:
            cut_off += 1
        whole = steps.left > 0
        steps.left = 1000
        collected(collector)
        assert counts(database) == before, at
        assert files(root) == stay, at
        if whole:
            break
    assert cut_off >= 8
    assert hub.opened.tracking.run(kept).params == {"depth": "3"}


class _Steps:
    """Lets so many changes of database and files happen, and none after them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, database: Database) -> None:
        self.left = 1000
        write, remove = database.write, LocalTree.remove

        def counted_write(change: Any) -> Any:
            self._take()
            return write(change)

        def counted_remove(tree: LocalTree, path: str) -> None:
            self._take()
            remove(tree, path)

        monkeypatch.setattr(database, "write", counted_write)
        monkeypatch.setattr(LocalTree, "remove", counted_remove)

    def _take(self) -> None:
        if self.left == 0:
            raise RegistryUnavailable("cut off")
        self.left -= 1


def _age(root: Path, spared: str) -> None:
    for path in root.rglob("*"):
        if spared not in path.parts:
            os.utime(path, (1000, 1000))


def _cut_off(tree: LocalTree, path: str) -> None:
    raise RegistryUnavailable("cut off")


def test_every_table_is_known_to_the_collection() -> None:
    """Whoever adds a table says here whether a collection has to look at it."""
    found = {name.removeprefix("penstock_") for name in metadata.tables}
    assert found == {*_OTHERS, *_OF_THEM}
