"""Imports from a running server: a hub, which answers as MLflow's does."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hub.backup.conftest import answers, fill
from moving.conftest import Store
from penstock.errors import ImportFailed, RegistryRefused, RegistryUnavailable
from penstock.mlflow_api.client import CallTimeouts, MlflowRestClient
from penstock.moving.importer import ImportOptions
from penstock.moving.mlflow_server import asking, histories
from penstock.moving.mlflow_server.source import open_mlflow_server
from penstock.moving.records import PointBlock
from penstock.tracking.metrics import Metric
from penstock.tracking.opening import open_database
from penstock.tracking.queries import RunQuery
from penstock.tracking.sql.store import SqlTrackingStore
from penstock.tracking.writes import LogBatch
from registry.hub_server import ListeningHub


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("old")
    fill(str(place / "store"), place / "artifacts")
    return place


@pytest.fixture(scope="module")
def listening() -> Iterator[ListeningHub]:
    hub = ListeningHub()
    hub.start()
    yield hub
    hub.close()


@pytest.fixture
def url(template: Path, tmp_path: Path, listening: ListeningHub, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Of a server with something of everything, which asks for a token."""
    shutil.copytree(template, tmp_path / "old")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", (tmp_path / "old" / "token").read_text())
    with listening.over(tmp_path / "old") as found:
        yield found


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked again."""
    monkeypatch.setattr(asking, "_TIMEOUTS", CallTimeouts(retries=0))


async def told(place: Path) -> dict[str, Any]:
    """What a hub tells of all that a server tells to others: neither tokens, nor who changed a registered model."""
    found = await answers(str(place / "store"), place / "artifacts")
    return {name: each for name, each in found.items() if name not in ("tokens", "history", "changes", "get")}


async def test_each_object_is_told_as_the_old_server_told_it(
    url: str, store: Store, template: Path, tmp_path: Path
) -> None:
    report = store.bring(url, ImportOptions(copy_artifacts=True))
    assert [each for each in report.counted if not each.agrees] == []
    shutil.copy(template / "token", tmp_path / "token")  # which the new store does not know, and asks nobody for
    shutil.copytree(template, tmp_path / "asked")
    before, after = await told(tmp_path / "asked"), await told(tmp_path)
    assert before.keys() == after.keys()
    for name in before:
        assert after[name] == before[name], name


async def test_a_second_import_brings_what_is_new(url: str, store: Store, tmp_path: Path) -> None:
    (note,) = store.bring(url).notes
    assert " runs keep their files " in note
    assert note.endswith("or import once more with --copy-artifacts.")  # it is asked for them itself
    again = {each.kind: each.imported for each in store.bring(url).counted if each.imported}
    assert again == {}
    with closing(open_database(str(tmp_path / "old" / "store"))) as database:
        tracking = SqlTrackingStore(database, artifact_root="mlflow-artifacts:")
        run = next(r for r in _runs(tracking) if r.status == "RUNNING" and r.lifecycle == "active")
        tracking.write(LogBatch(run.run_id, [Metric("late", 0.5, 1, -7), Metric("long", 1.0, 5, -3)]))
        tracking.close()
    again = {each.kind: each.imported for each in store.bring(url).counted if each.imported}
    assert again == {"metric points": 2}


@pytest.mark.parametrize(("most_points", "in_bulk"), [(25_000, True), (30, True), (7, False)])
def test_points_are_the_same_however_they_are_asked_for(
    url: str, monkeypatch: pytest.MonkeyPatch, most_points: int, in_bulk: bool
) -> None:
    monkeypatch.setattr(histories, "MOST_POINTS", most_points)
    monkeypatch.setattr(histories, "_MOST_KEYS", 3)
    if not in_bulk:
        monkeypatch.setattr(asking.ServerAsker, "page_of", lambda *_, **__: None)
    with closing(open_mlflow_server(url)) as source:
        found: dict[tuple[str, str], int] = {}
        seen: list[str] = []
        for page in source.runs():
            for block in source.points(page):  # type: ignore[arg-type]
                assert isinstance(block, PointBlock)
                found[block.run_id, block.key] = found.get((block.run_id, block.key), 0) + len(block.points)
                seen += [block.run_id] if block.run_id not in seen[-1:] else []
    assert len(seen) == len(set(seen)) == 6
    assert sorted(set(found.values()))[-2:] == [200, 400]


def test_what_fails_is_asked_again_and_then_told(url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The import is cut off by the server's end, and goes on when it is back."""
    send = MlflowRestClient.send
    left = 2

    def failing(client: MlflowRestClient, method: str, path: str, **fields: Any) -> dict[str, Any]:
        nonlocal left
        if path == "runs/search":
            left -= 1
            if left < 0:
                raise RegistryUnavailable("The server is gone.")
        return send(client, method, path, **fields)

    monkeypatch.setattr(MlflowRestClient, "send", failing)
    monkeypatch.setattr("penstock.moving.mlflow_server.source._RUNS", 2)
    with pytest.raises(ImportFailed, match="The server is gone"):
        store.bring(url)
    left = 1000
    report = store.bring(url)
    assert [each for each in report.counted if not each.agrees] == []
    assert {each.kind: each.present for each in report.counted}["runs"] > 0


def test_a_server_of_before_logged_models_has_none(url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    send = MlflowRestClient.send

    def older(client: MlflowRestClient, method: str, path: str, **fields: Any) -> dict[str, Any]:
        if path == "logged-models/search":
            raise RegistryRefused("not found", error_code="ENDPOINT_NOT_FOUND", status=404)
        return send(client, method, path, **fields)

    monkeypatch.setattr(MlflowRestClient, "send", older)
    report = store.bring(url)
    assert {each.kind: each.imported for each in report.counted}["logged models"] == 0


@pytest.mark.usefixtures("quick")
def test_who_is_not_let_in_and_nobody_at_the_address_are_told(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "wrong")
    for address, why in ((url, "refuses access"), ("http://127.0.0.1:9", "cannot be reached")):
        with closing(open_mlflow_server(address)) as source, pytest.raises(ImportFailed, match=why):
            source.counts()


def _runs(tracking: SqlTrackingStore) -> list[Any]:
    ids = ["0", "1", "2"]
    return tracking.runs([ref.run_id for ref in tracking.find_runs(RunQuery(ids, view="ALL"))])
