"""Packed points: nobody sees that they are packed, and packing goes on after a database that was away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from penstock.errors import RegistryUnavailable
from penstock.sql.database import Database
from penstock.sql.dialect import run
from penstock.tracking.memory.store import MemoryTrackingStore
from penstock.tracking.metrics import Metric
from penstock.tracking.opening import open_database
from penstock.tracking.sql.points import chunks, history, packing, series
from penstock.tracking.sql.points.packing import Packing
from penstock.tracking.sql.store import SqlTrackingStore
from penstock.tracking.writes import CreateRun, LogBatch, UpdateRun
from tracking.conftest import sql_store


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(request.getfixturevalue("postgres_url") if request.param == "postgresql" else tmp_path / "store")


@pytest.fixture
def store(url: str) -> Iterator[SqlTrackingStore]:
    with closing(sql_store(url)) as opened:
        yield opened


def rows(store: SqlTrackingStore) -> int:
    counted: int = store._database.read(lambda c: run(c, "SELECT count(*) FROM penstock_points").scalar())
    return counted


def packed(store: SqlTrackingStore, run_id: str = "a", points: int = 40, *, steps: Callable[[int], int]) -> None:
    """A run that has ended, with so many points of `m`, which are packed."""
    store.write(CreateRun("0", run_id=run_id))
    metrics = [Metric("m", float(number), 1000 + number, steps(number)) for number in range(points)]
    store.write(LogBatch(run_id, metrics))
    store.write(UpdateRun(run_id, "FINISHED"))
    until = time.monotonic() + 5
    while rows(store):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_points_come_as_they_were_logged_packed_or_not(store: SqlTrackingStore) -> None:
    packed(store, steps=lambda number: number)
    store.write(LogBatch("a", [Metric("m", 7.0, 2000, 60), Metric("m", 8.0, 2000, 5)]))
    ((_, points),) = store.sampled(["a"], "m", limit=100)
    assert list(points.steps) == [*range(5), 5, 5, *range(6, 40), 60]
    assert len(store.history("a", "m", limit=100).points) == 42


def test_a_packed_point_that_comes_again_is_one(store: SqlTrackingStore) -> None:
    packed(store, steps=lambda number: 0)
    again = [Metric("m", float(number), 1000 + number, 0) for number in (0, 39)]
    store.write(LogBatch("a", [*again, Metric("m", 0.5, 1000, 0), Metric("m", 0.0, 1040, 0)]))
    assert (store.series("a")[0].count, rows(store)) == (42, 2)


def test_late_points_of_one_step_are_in_their_place(store: SqlTrackingStore) -> None:
    packed(store, steps=lambda number: 0)
    store.write(LogBatch("a", [Metric("m", 7.0, 500, 0), Metric("m", 3.5, 1003, 0)]))
    ((_, points),) = store.sampled(["a"], "m", limit=100)
    assert list(points.timestamps) == sorted(points.timestamps)
    assert list(points.values)[:6] == [7.0, 0.0, 1.0, 2.0, 3.0, 3.5]


def test_what_comes_after_all_that_is_packed_needs_no_look_at_it(
    store: SqlTrackingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many programs give no step: all their points are at 0."""
    packed(store, steps=lambda number: 0)
    monkeypatch.setattr(series, "packed_points", lambda *_: pytest.fail("all that is packed was read"))
    store.write(LogBatch("a", [Metric("m", 1.0, 1040, 0)]))
    assert store.series("a")[0].count == 41


def test_a_chart_of_steps_that_have_no_points_is_empty(store: SqlTrackingStore) -> None:
    packed(store, steps=lambda number: number * 10)
    assert store.chart(["a"], "m", buckets=10, steps=(101, 109)) == []
    assert store.sampled(["a"], "m", limit=10, steps=(101, 109)) == []


def chunks_of(store: SqlTrackingStore) -> list[int]:
    """The points of each chunk."""
    found = store._database.read(lambda c: run(c, "SELECT points FROM penstock_chunks ORDER BY series, number"))
    return [row[0] for row in found]


def test_many_points_that_come_together_are_packed_as_they_come(store: SqlTrackingStore) -> None:
    store.write(CreateRun("0", run_id="a"))
    batch = [Metric("m", float(step), 1000 + step, step) for step in range(chunks.PACK_AT_ONCE)]
    store.write(LogBatch("a", [*batch, Metric("few", 1.0, 1, 1)]))
    assert (rows(store), chunks_of(store)) == (1, [chunks.PACK_AT_ONCE])
    store.write(LogBatch("a", batch))  # a client that was not answered sends them again
    late = [Metric("m", 0.5, 1000, step) for step in range(chunks.PACK_AT_ONCE)]
    store.write(LogBatch("a", late))
    few, many = store.series("a")
    assert (few.key, few.count, many.count, many.latest) == ("few", 1, 2 * chunks.PACK_AT_ONCE, (63, 1063, 63.0))
    ((_, points),) = store.sampled(["a"], "m", limit=500)
    assert list(points.values)[:4] == [0.5, 0.0, 0.5, 1.0] or list(points.values)[:4] == [0.0, 0.5, 0.5, 1.0]


def test_small_chunks_become_one_when_their_run_ends(store: SqlTrackingStore) -> None:
    store.write(CreateRun("0", run_id="a"))
    for first in range(0, chunks.MERGE_ENDED * 64, 64):
        store.write(LogBatch("a", [Metric("m", 1.0, step, step) for step in range(first, first + 64)]))
    assert chunks_of(store) == [64] * chunks.MERGE_ENDED
    store.write(UpdateRun("a", "FINISHED"))
    until = time.monotonic() + 5
    while len(chunks_of(store)) > 1:
        assert time.monotonic() < until
        time.sleep(0.01)
    ((_, points),) = store.sampled(["a"], "m", limit=10_000)
    assert list(points.steps) == list(range(chunks.MERGE_ENDED * 64))


POINTS = st.lists(
    st.tuples(
        st.sampled_from(["m", "n"]),
        st.sampled_from([0.0, 1.5, float("nan"), float("inf")]),
        st.integers(0, 2),
        st.sampled_from([0, 1, 2, 2**62, -(2**62)]),
    ),
    min_size=1,
    max_size=12,
)


def test_points_are_those_of_the_store_in_memory_whenever_they_are_packed(tmp_path: Path) -> None:
    memory = MemoryTrackingStore()
    with closing(sql_store(str(tmp_path / "store"))) as store, patch.object(series, "PACK_AT_ONCE", 3):

        @given(st.lists(st.tuples(POINTS, st.booleans()), max_size=6))
        @settings(max_examples=40, deadline=None)
        def check(batches: list[tuple[list[tuple[str, float, int, int]], bool]]) -> None:
            run_id = memory.write(CreateRun("0")).run_id
            store.write(CreateRun("0", run_id=run_id))
            for batch, packing in batches:
                for each in (memory, store):
                    each.write(LogBatch(run_id, [Metric(*cells) for cells in batch]))
                if packing:
                    store._database.write(pack_all)
            for key in ("m", "n"):
                theirs, ours = (each.sampled([run_id], key, limit=1000) for each in (memory, store))
                assert repr([list(points) for _, points in ours]) == repr([list(points) for _, points in theirs])
            assert repr(store.series(run_id)) == repr(memory.series(run_id))

        check()


def pack_all(c: Connection) -> None:
    for each in [row[0] for row in run(c, "SELECT id FROM penstock_series")]:
        chunks.pack(c, each)
    run(c, "UPDATE penstock_series SET hot = 0")


def test_histories_are_read_as_far_as_they_are_asked_for(
    store: SqlTrackingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for run_id in ("a", "b", "c", "d"):
        packed(store, run_id, steps=lambda number: number)
    read: list[int] = []

    def counting(c: Connection, chosen: Any, steps: Any = None) -> Any:
        read.append(len(chosen))
        return chunks.read_points(c, chosen, steps)

    monkeypatch.setattr(history, "read_points", counting)
    monkeypatch.setattr(history, "_READ_POINTS", 80)
    found = store.histories(["a", "b", "c", "d"], "m", limit=60)
    assert ([(run_id, len(points)) for run_id, points in found], read) == ([("a", 40), ("b", 20)], [2])
    assert [run_id for run_id, _ in store.sampled(["a", "b", "c", "d"], "m", limit=3)] == ["a", "b", "c", "d"]


class Away(Database):
    """A database that is away for those of its next transactions of which `away` says so."""

    def __init__(self, inner: Database) -> None:
        super().__init__("away", read_only=False)
        self._inner = inner
        self.away: list[bool] = []

    def _ask(self, ask: Callable[[Callable[[Connection], Any]], Any], query: Callable[[Connection], Any]) -> Any:
        if self.away and self.away.pop(0):
            raise RegistryUnavailable("away")
        return ask(query)

    def read(self, query: Callable[[Connection], Any]) -> Any:
        return self._ask(self._inner.read, query)

    def write(self, change: Callable[[Connection], Any]) -> Any:
        return self._ask(self._inner.write, change)

    def snapshot(self, directory: Path) -> AbstractContextManager[Connection]:
        return self._inner.snapshot(directory)

    def fill(self, change: Callable[[Connection], Any]) -> Any:
        return self._ask(self._inner.fill, change)

    def migrate(self) -> str:
        return self._inner.migrate()

    def close(self) -> None:
        self._inner.close()


def test_packing_goes_on_after_a_database_that_was_away(url: str) -> None:
    with closing(sql_store(url)) as store, closing(Away(open_database(url))) as database:
        worker = Packing(database)
        worker.step()
        store.write(CreateRun("0", run_id="a"))
        store.write(LogBatch("a", [Metric("m", 1.0, 1, step) for step in range(40)]))
        worker.ended("a")
        database.away = [True, False, True]  # at the look; then the look succeeds, and packing fails
        for _ in range(2):
            with pytest.raises(RegistryUnavailable):
                worker.step()
        assert (worker.step(), rows(store)) == (False, 0)


def test_a_series_that_cannot_be_read_holds_up_no_other(url: str, caplog: pytest.LogCaptureFixture) -> None:
    with closing(sql_store(url)) as store, closing(open_database(url)) as database:
        worker = Packing(database)
        worker.step()
        for run_id in ("a", "b"):
            store.write(CreateRun("0", run_id=run_id))
        for first in range(0, chunks.MERGE_ENDED * 64, 64):
            store.write(LogBatch("a", [Metric("m", 1.0, step, step) for step in range(first, first + 64)]))
        store.write(LogBatch("b", [Metric("m", 1.0, 1, step) for step in range(40)]))
        database.write(lambda c: run(c, "UPDATE penstock_chunks SET data = ? WHERE number = 1", b"\x01damaged"))
        worker.ended("a")
        worker.ended("b")
        assert not worker.step()
        assert (rows(store), chunks_of(store)) == (0, [64] * chunks.MERGE_ENDED + [40])
    assert "'m'" in caplog.text
    assert "damaged" in caplog.text


def test_runs_that_never_end_are_not_counted_for_ever(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "_MAX_COUNTED", 2)
    with closing(open_database(url)) as database:
        counting = Packing(database)
        for run_id in ("a", "b", "a", "c"):
            counting.logged(run_id, 1)
        assert counting._points == {"a": 2, "c": 1}
