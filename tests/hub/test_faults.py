"""A database that is away, a disk that is full, slow files: what callers are told, and that all is well after."""

from __future__ import annotations

import asyncio
import errno
import math
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.conftest import HubCalls, hub_over, until
from penstock.artifacts.trees import OpenedFile
from penstock.assembly.hub import HubOptions, migrate_store, open_stores
from penstock.errors import Closing, RegistryFull, RegistryUnavailable
from penstock.hub.access.gate import HubGate
from penstock.hub.access.tokens import TableCallers
from penstock.hub.service import Hub
from penstock.metrics import HubMetrics
from penstock.sql.database import Database
from penstock.sql.dialect import run
from penstock.tracking.opening import open_database
from penstock.tracking.runs import RunRef
from penstock.tracking.writes import LogBatch
from support.postgres import Postgres

FILES = "/api/2.0/mlflow-artifacts/artifacts"
MB = 1024 * 1024


async def log(hub: HubCalls, run_id: str, step: int = 0) -> httpx.Response:
    return await hub.post("runs/log-metric", run_id=run_id, key="m", value=1, timestamp=1, step=step)


async def steps(hub: HubCalls, run_id: str) -> set[int]:
    answer = await hub.get("metrics/get-history", run_id=run_id, metric_key="m")
    return {point["step"] for point in answer.json().get("metrics", ())}


def assert_try_later(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2"), answer.text
    assert answer.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"


async def test_a_hub_that_does_not_start_leaves_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_stores(HubOptions(str(tmp_path / "store"), str(tmp_path / "artifacts")))

    def away() -> TableCallers:
        raise RegistryUnavailable("It is away.")

    monkeypatch.setattr(opened.tokens, "callers", away)
    with pytest.raises(RegistryUnavailable, match="away"):
        await Hub(lambda: opened, HubGate(asks_for_tokens=False), HubMetrics()).start()
    with pytest.raises(Closing):
        opened.tracking.write(LogBatch("r0"))


async def test_a_database_file_that_is_gone_is_missed_until_it_is_back(hub: HubCalls, tmp_path: Path) -> None:
    """Neither is an empty one made in its place, nor is anything written to where it was moved."""
    run_id = await hub.made_run()
    os.rename(tmp_path / "store", tmp_path / "moved")
    for answer in (
        await log(hub, run_id),
        await hub.get("runs/get", run_id=run_id),
        await hub.post("runs/search", experiment_ids=["0"]),
        await hub.post("registered-models/create", name="fraud"),
    ):
        assert_try_later(answer)
        assert "is not there any more. Put the file back." in answer.json()["message"]
    assert not (tmp_path / "store").exists()
    os.rename(tmp_path / "moved", tmp_path / "store")
    assert (await log(hub, run_id, 7)).status_code == 200
    assert await steps(hub, run_id) == {7}


async def test_a_locked_database_is_awaited_by_those_who_write_alone(hub: HubCalls, tmp_path: Path) -> None:
    run_id = await hub.made_run()
    with closing(sqlite3.connect(tmp_path / "store" / "registry.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(log(hub, run_id, 7))
        assert (await hub.get("runs/get", run_id=run_id)).status_code == 200
        assert not waiting.done()
        other.execute("ROLLBACK")
    assert (await waiting).status_code == 200


async def test_a_restarted_postgresql_loses_nothing_that_was_answered(
    postgres: Postgres, own_postgres_url: str, tmp_path: Path
) -> None:
    migrate_store(own_postgres_url)
    async with hub_over(own_postgres_url, tmp_path) as hub:
        run_ids = [await hub.made_run() for _ in range(4)]
        answers = [await log(hub, run_ids[0])]
        postgres.stop()
        try:
            answers += await asyncio.gather(*(log(hub, run_id, 1) for run_id in run_ids))
            for answer in [*answers[1:], await hub.post("runs/search", experiment_ids=["0"])]:
                assert_try_later(answer)
            assert (await hub.get("/health")).status_code == 200
        finally:
            postgres.start()
        answers = await asyncio.gather(*(log(hub, run_id, 2) for run_id in run_ids))
        assert [answer.status_code for answer in answers] == [200] * 4
        assert [await steps(hub, run_id) for run_id in run_ids] == [{0, 2}, {2}, {2}, {2}]


def fill(database: Database, pages: int) -> None:
    """So many pages more fit into the file."""
    database.write(lambda c: run(c, f"PRAGMA max_page_count = {run(c, 'PRAGMA page_count').scalar() + pages}") and None)


async def test_a_full_disk_is_said_at_once_and_only_to_those_who_write(hub: HubCalls) -> None:
    run_id = await hub.made_run()
    tracking: Any = hub.opened.tracking
    fill(tracking._database, 0)
    metrics = [{"key": "m", "value": math.sin(step), "timestamp": step, "step": step} for step in range(1000)]
    answer = await hub.post("runs/log-batch", run_id=run_id, metrics=metrics)
    assert (answer.status_code, answer.json()["error_code"]) == (507, "RESOURCE_EXHAUSTED")
    assert "no room" in answer.json()["message"]
    assert await steps(hub, run_id) == set()
    assert (await hub.get("runs/get", run_id=run_id)).status_code == 200
    fill(tracking._database, 10_000)
    assert (await hub.post("runs/log-batch", run_id=run_id, metrics=metrics)).status_code == 200
    assert await steps(hub, run_id) == set(range(1000))


def test_a_full_disk_of_postgresql_is_known_by_its_code(postgres_url: str) -> None:
    def fail(c: Any) -> None:
        run(c, "DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$")

    with closing(open_database(postgres_url)) as database:
        database.migrate()
        with pytest.raises(RegistryFull, match="no room"):
            database.write(fail)


async def test_an_upload_that_finds_no_room_leaves_nothing(
    hub: HubCalls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    await hub.client.put(f"{FILES}/f", content=b"before")
    monkeypatch.setattr(os, "fsync", full)
    for name in ("f", "new"):
        answer = await hub.client.put(f"{FILES}/{name}", content=b"x" * 3 * MB)
        assert (answer.status_code, answer.json()["error_code"]) == (507, "RESOURCE_EXHAUSTED")
    monkeypatch.undo()
    assert [entry["path"] for entry in (await hub.get(FILES)).json()["files"]] == ["f"]
    assert (await hub.client.get(f"{FILES}/f")).content == b"before"
    assert not list((tmp_path / "artifacts" / ".penstock-uploads").iterdir())
    assert (await hub.client.put(f"{FILES}/new", content=b"after")).status_code == 200


@contextmanager
def slow_files(hub: HubCalls, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Opening a file waits until this ends."""
    go = threading.Event()
    tree: Any = hub.opened.artifacts
    opened = tree.open

    def slow(path: str) -> OpenedFile:
        go.wait(10)
        found: OpenedFile = opened(path)
        return found

    monkeypatch.setattr(type(tree), "open", lambda self, path: slow(path))
    try:
        yield
    finally:
        go.set()


async def test_who_finds_all_readers_waiting_is_told_to_try_later(
    hub: HubCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those whose question is being asked wait on."""
    monkeypatch.setattr("penstock.hub.stores._QUEUE_SECONDS", 0.02)
    run_id, go, tracking = await hub.made_run(), threading.Event(), hub.opened.tracking
    refs = tracking.refs
    asked: list[int] = []

    def slow(run_ids: Sequence[str]) -> list[RunRef]:
        asked.append(len(asked))
        go.wait(10)
        return refs(run_ids)

    monkeypatch.setattr(tracking, "refs", slow)
    waiting = [asyncio.create_task(hub.get("runs/get", run_id=run_id)) for _ in range(4)]
    await until(lambda: len(asked) == 4)
    for answer in await asyncio.gather(*(hub.get("runs/get", run_id=run_id) for _ in range(3))):
        assert_try_later(answer)
    go.set()
    assert {(await answer).status_code for answer in waiting} == {200}
    assert (len(asked), (await hub.get("runs/get", run_id=run_id)).status_code) == (4, 200)


async def test_slow_files_keep_nobody_from_the_database(hub: HubCalls, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = await hub.made_run()
    await hub.client.put(f"{FILES}/f", content=b"content")
    with slow_files(hub, monkeypatch):
        downloads = [asyncio.create_task(hub.client.get(f"{FILES}/f")) for _ in range(8)]
        await asyncio.sleep(0)
        answer = await asyncio.wait_for(hub.get("runs/get", run_id=run_id), 5)
        assert answer.status_code == 200
        assert not any(download.done() for download in downloads)
    assert {(await download).content for download in downloads} == {b"content"}


def restore(saved: Path, file: Path) -> None:
    for name in ("-wal", "-shm"):
        Path(f"{file}{name}").unlink(missing_ok=True)
    os.rename(saved, file)


async def test_a_store_that_was_restored_is_shown_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its changes have the numbers of others that were made after the backup, of which there are texts."""
    monkeypatch.setattr("penstock.hub.service._WATCH_SECONDS", 0.001)
    file, saved = tmp_path / "store" / "registry.db", tmp_path / "saved.db"
    async with hub_over(str(tmp_path / "store"), tmp_path / "artifacts") as hub:
        tracking = hub.opened.tracking
        seen: list[int] = []

        def changes() -> int:
            seen.append(type(tracking).changes(tracking))
            return seen[-1]

        monkeypatch.setattr(tracking, "changes", changes)
        run_id = await hub.made_run()
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(saved)) as backup:
            source.backup(backup)
        for value in ("lost", "lost, too"):
            await hub.post("runs/set-tag", run_id=run_id, key="k", value=value)
            await hub.get("runs/get", run_id=run_id)
        last = tracking.changes()
        await until(lambda: seen[-2:] == [last, last])
        restore(saved, file)
        await until(lambda: seen[-2:] == [last - 2, last - 2])
        tracking.write(LogBatch(run_id, tags=[("k", "new")]))
        told = (await hub.get("runs/get", run_id=run_id)).json()["run"]["data"]["tags"]
        assert {"key": "k", "value": "new"} in told


async def test_changes_are_looked_for_again_after_whatever_fault_and_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("penstock.hub.service._WATCH_SECONDS", 0.001)
    gate = HubGate(asks_for_tokens=True)
    async with hub_over(str(tmp_path / "store"), tmp_path / "artifacts", gate) as hub:
        failed = asyncio.Event()
        loop, tracking = asyncio.get_running_loop(), hub.opened.tracking
        faults = iter([ValueError("odd")] * 3)

        def changes() -> int:
            if (fault := next(faults, None)) is not None:
                raise fault
            loop.call_soon_threadsafe(failed.set)
            return type(tracking).changes(tracking)

        monkeypatch.setattr(tracking, "changes", changes)
        token = await asyncio.to_thread(hub.tokens.add, "ann", "read")
        await failed.wait()
        scope = {"type": "http", "headers": [(b"authorization", f"Bearer {token}".encode())]}
        await until(lambda: gate.identify(scope).name == "ann")
    assert [record.getMessage() for record in caplog.records].count(
        "The store does not answer, and is asked again until it does: odd"
    ) == 1


async def test_a_look_for_changes_that_is_under_way_ends_before_the_stores_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the process would leave it behind, and say so."""
    monkeypatch.setattr("penstock.hub.service._WATCH_SECONDS", 0.001)
    async with hub_over(str(tmp_path / "store"), tmp_path / "artifacts") as hub:
        tracking, order = hub.opened.tracking, list[str]()
        looking, go = threading.Event(), threading.Event()
        close = tracking.close

        def changes() -> int:
            looking.set()
            go.wait(10)
            order.append("looked")
            return 0

        def close_too() -> None:
            order.append("closed")
            close()

        monkeypatch.setattr(tracking, "changes", changes)
        monkeypatch.setattr(tracking, "close", close_too)
        await asyncio.to_thread(looking.wait)
        asyncio.get_running_loop().call_later(0.02, go.set)
    assert order == ["looked", "closed"]


async def test_what_a_killed_hub_left_of_an_upload_is_gone_a_day_later(tmp_path: Path) -> None:
    drafts = tmp_path / "artifacts" / ".penstock-uploads"
    drafts.mkdir(parents=True)
    for name, hours in (("old", 25), ("another's", 1)):
        (drafts / name).write_bytes(b"half")
        os.utime(drafts / name, (time.time() - hours * 3600,) * 2)
    async with hub_over(str(tmp_path / "store"), tmp_path / "artifacts"):
        assert [draft.name for draft in drafts.iterdir()] == ["another's"]


async def test_a_fault_of_ours_has_a_number_in_the_answer_and_in_the_log(
    hub: HubCalls, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(name: str) -> None:
        raise ValueError("odd")

    monkeypatch.setattr(hub.opened.registry, "model", broken)
    path = "/api/2.0/mlflow/registered-models/get?name=m"
    given = await hub.client.get(path, headers={"X-Request-Id": "call-7"})
    made = await hub.client.get(path, headers={"X-Request-Id": "no (harmless) one"})
    assert (given.status_code, given.headers["x-request-id"]) == (500, "call-7")
    number = made.headers["x-request-id"]
    assert number.isalnum()
    assert [record.getMessage() for record in caplog.records if record.name == "penstock.hub"] == [
        f"Request {each} failed: GET '/api/2.0/mlflow/registered-models/get'." for each in ("call-7", number)
    ]
    assert (await hub.get("/health")).headers["x-request-id"].isalnum()
