"""Files stay that somebody else has, in whatever form the place is written, and wherever runs keep theirs."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from hub.conftest import HubCalls
from hub.gc.conftest import files, put
from penstock.artifacts.trees import LocalTree
from penstock.hub.gc.collector import StoreCollector
from penstock.hub.gc.naming import places_named
from penstock.hub.gc.plan import GcPlan, GcRequest
from penstock.hub.version_sources import below
from penstock.registry import NewVersion
from penstock.sql.database import Database
from penstock.sql.dialect import run


def now() -> GcRequest:
    return GcRequest(time.time_ns() // 1_000_000)


def collected(collector: StoreCollector) -> GcPlan:
    """Of which the look before it said what it would remove."""
    request = now()
    plan = collector.plan(request)
    root = Path(collector._root)
    before = len(files(root))
    collector.collect(plan, request)
    assert sum(count.files for count in plan.counts.values()) == before - len(files(root))
    return plan


def made_old(root: Path) -> None:
    for path in [root, *root.rglob("*")]:
        os.utime(path, (1000, 1000))


@pytest.mark.parametrize(
    "source",
    [
        "ROOT/PLACE/model",
        "ROOT//PLACE/model",
        "ROOT/0/./RUN/artifacts/model/",
        "ROOT/../artifacts/PLACE/model",
        "file:ROOT/PLACE/model",
        "FILE://ROOT/PLACE/model",
        "file://localhostROOT/PLACE/model",
        "mlflow-artifacts://host:5000/PLACE/model",
        "mlflow-artifacts:/0/%52UN/artifacts/model",
        "0/%52UN/artifacts/model",
        "0//RUN/x/../artifacts/model",
        "runs:/RUN/model",
    ],
)
async def test_files_of_a_version_stay_in_whatever_form_it_names_them(
    source: str, hub: HubCalls, collector: StoreCollector, database: Database, root: Path
) -> None:
    run_id = await hub.made_run()
    place = f"0/{run_id}/artifacts"
    await put(hub, f"{place}/model/MLmodel")
    await put(hub, f"{place}/other")
    hub.opened.registry.register("iris", NewVersion("iris/1"))
    first = f"%{ord(run_id[0]):02x}{run_id[1:]}"
    source = source.replace("ROOT", str(root)).replace("PLACE", place).replace("%52UN", first).replace("RUN", run_id)
    database.write(lambda c: run(c, "UPDATE penstock_versions SET source = ?", source))
    await hub.post("runs/delete", run_id=run_id)
    plan = collected(collector)
    assert files(root) == {f"{place}/model/MLmodel"}
    assert [each.what for each in plan.kept] == [f"files at {place}/model"]


def test_places_are_found_by_links_and_in_urls(tmp_path: Path) -> None:
    (tmp_path / "real" / "1").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "again").symlink_to(tmp_path / "real" / "1")
    real, link = str(tmp_path / "real"), str(tmp_path / "link")
    assert places_named(f"{real}/1/m", link) == places_named(f"{link}/1/m", real) == {"1/m"}
    assert places_named(f"{real}/again/m", f"file://{link}") == {"again/m", "1/m"}
    assert places_named(os.path.relpath(f"{real}/1/m"), link, relative=True) >= {"1/m"}
    assert places_named("s3a://b//art/./1/m", "s3://b/art/") == {"1/m"}
    for elsewhere in ("s3://b/artist/1", "mlflow-artifacts:/", "https://h/1", "prompt:x", "", "../1", "/a\0b", link):
        assert places_named(elsewhere, link, relative=True) == places_named("s3://b/art", "s3://b/art") == set()


async def test_a_run_that_keeps_its_files_in_those_of_a_deleted_run_loses_none(
    hub: HubCalls, collector: StoreCollector, root: Path
) -> None:
    outer = await hub.made_run()
    place = f"0/{outer}/artifacts"
    made = await hub.post("experiments/create", name="inside", artifact_location=f"mlflow-artifacts:/{place}/sub")
    experiment = made.json()["experiment_id"]
    inner, gone = await hub.made_run(experiment), await hub.made_run(experiment)
    answer = await hub.post("logged-models", experiment_id=experiment, name="m", source_run_id=inner)
    model = answer.json()["model"]["info"]["model_id"]
    kept = {f"{place}/sub/{inner}/artifacts/b", f"{place}/sub/models/{model}/artifacts/MLmodel"}
    for path in (*kept, f"{place}/a", f"{place}/sub/{gone}/artifacts/c"):
        await put(hub, path)
    await hub.post("runs/delete", run_id=outer)
    await hub.post("runs/delete", run_id=gone)
    plan = collected(collector)
    assert ({each.id for each in plan.runs}, plan.counts["runs"].files) == ({outer, gone}, 2)
    assert files(root) == kept
    await hub.post("runs/delete", run_id=inner)
    collected(collector)
    assert files(root) == {f"{place}/sub/models/{model}/artifacts/MLmodel"}


@pytest.mark.parametrize(("run_id", "uri"), [("1", "mlflow-artifacts:/1"), ("1", "mlflow-artifacts:/1/artifacts/1/x")])
async def test_a_place_that_is_not_made_for_the_run_stays(
    run_id: str, uri: str, hub: HubCalls, collector: StoreCollector, database: Database, root: Path
) -> None:
    gone = await hub.made_run()
    await put(hub, "1/victim/artifacts/w")
    await put(hub, "1/artifacts/1/x/w")
    await hub.post("runs/delete", run_id=gone)
    database.write(lambda c: run(c, "UPDATE penstock_runs SET run_id = ?, artifact_uri = ?", run_id, uri))
    before = files(root)
    plan = collected(collector)
    assert [each.what for each in plan.kept] == [f"files of run {run_id}"]
    assert files(root) == before


async def test_what_an_earlier_release_marked_takes_no_files_of_others(
    hub: HubCalls, collector: StoreCollector, database: Database, root: Path
) -> None:
    living = await hub.made_run()
    await put(hub, f"0/{living}/artifacts/w")
    mark = "INSERT INTO penstock_garbage (id, kind, owner, key, place, at) VALUES (1, 'run', '0', 99, '0', 1)"
    database.write(lambda c: run(c, mark))
    collected(collector)
    assert files(root) == {f"0/{living}/artifacts/w"}


async def test_a_run_whose_id_looks_like_a_package_is_none(
    hub: HubCalls, collector: StoreCollector, database: Database, root: Path
) -> None:
    living = await hub.made_run()
    digest = "a" * 64
    uri = f"mlflow-artifacts:/0/{digest}/artifacts"
    database.write(lambda c: run(c, "UPDATE penstock_runs SET run_id = ?, artifact_uri = ?", digest, uri))
    await put(hub, f"0/{digest}/artifacts/w")
    made_old(root)
    assert collected(collector).packages == []
    assert (files(root), living) == ({f"0/{digest}/artifacts/w"}, living)


async def test_a_root_that_is_a_link_is_the_place_that_it_leads_to(
    hub: HubCalls, database: Database, root: Path, tmp_path: Path
) -> None:
    run_id = await hub.made_run()
    await put(hub, f"0/{run_id}/artifacts/model/MLmodel")
    (tmp_path / "link").symlink_to(root)
    hub.opened.registry.register("iris", NewVersion(f"{root}/0/{run_id}/artifacts/model"))
    await hub.post("runs/delete", run_id=run_id)
    link = tmp_path / "link"
    collector = StoreCollector(database, LocalTree(link), str(link), time.time())
    collector.collect(collector.plan(now()), now())
    assert files(root) == {f"0/{run_id}/artifacts/model/MLmodel"}


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("/r/a/1/m", "1/m"),
        ("/r/a//1/./m/", "1/m"),
        ("//r/x/../a/1", "1"),
        ("/r/ab/1", "/r/ab/1"),
        ("/r/a/../b//c", "/r/a/../b//c"),
        ("1/m", "1/m"),
        ("s3://b//m", "s3://b//m"),
    ],
)
def test_a_place_below_the_root_has_one_form_in_the_registry(source: str, place: str) -> None:
    assert below("/r/a", source) == below("/r/./a/", source) == place
    assert below("s3://b", "s3://b/1/m") == "1/m"
