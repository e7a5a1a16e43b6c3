"""Texts of runs that are kept: how many, which go first, and with many threads at once."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from penstock.hub.run_documents import ENTRY_BYTES, RunDocuments
from penstock.tracking.memory.store import MemoryTrackingStore
from penstock.tracking.runs import Run, RunRef
from penstock.tracking.writes import CreateRun, LogBatch


class CountingStore(MemoryTrackingStore):
    """Which runs were asked for."""

    asked: list[str]

    def runs(self, run_ids: Sequence[str]) -> list[Run]:
        self.asked += run_ids
        return super().runs(run_ids)


@pytest.fixture
def store() -> CountingStore:
    made = CountingStore(artifact_root="mlflow-artifacts:")
    made.asked = []
    return made


def made(store: CountingStore, count: int) -> list[RunRef]:
    return [store.write(CreateRun("0", run_id=f"r{number}", name="same")).ref for number in range(count)]


def test_a_text_that_is_used_stays_longer_than_one_that_is_not(store: CountingStore) -> None:
    first, second, third = made(store, 3)
    (text,) = RunDocuments(store).of([first])
    documents = RunDocuments(store, max_bytes=2 * (len(text) + ENTRY_BYTES))
    for ref in (first, second, first, third):
        documents.of([ref])
    store.asked.clear()
    documents.of([first, third])
    assert store.asked == []
    documents.of([second])
    assert store.asked == ["r1"]


def test_a_changed_run_has_another_text(store: CountingStore) -> None:
    (ref,) = made(store, 1)
    documents = RunDocuments(store)
    documents.of([ref])
    store.write(LogBatch("r0", tags=[("k", "new")]))
    assert b"new" in documents.of(store.refs(["r0"]))[0]


def test_a_run_that_is_logged_to_holds_one_text(store: CountingStore) -> None:
    made(store, 1)
    documents = RunDocuments(store)
    for number in range(100):
        store.write(LogBatch("r0", tags=[("k", str(number))]))
        (text,) = documents.of(store.refs(["r0"]))
        assert f'"{number}"'.encode() in text
    assert documents._bytes == len(text) + ENTRY_BYTES


def test_a_text_takes_the_memory_that_it_is_counted_with(store: CountingStore) -> None:
    refs = made(store, 50)
    for ref in refs:
        store.write(LogBatch(ref.run_id, tags=[(f"key {number}", "a value") for number in range(50)]))
    refs = store.refs([ref.run_id for ref in refs])
    documents = RunDocuments(store)
    tracemalloc.start()
    try:
        counted = sum(map(len, documents.of(refs)))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert counted < taken < 1.5 * counted


def test_what_is_kept_stays_bounded_with_many_threads(store: CountingStore) -> None:
    refs = made(store, 40)
    (text,) = RunDocuments(store).of([refs[0]])
    documents = RunDocuments(store, max_bytes=5 * (len(text) + ENTRY_BYTES))

    def ask(offset: int) -> None:
        for number in range(200):
            chosen = [refs[(offset + number + each) % 40] for each in range(7)]
            for ref, found in zip(chosen, documents.of(chosen), strict=True):
                assert f'"{ref.run_id}"'.encode() in found

    with ThreadPoolExecutor(4) as threads:
        for ended in [threads.submit(ask, 10 * each) for each in range(4)]:
            ended.result()
    assert documents._bytes == sum(each.size for each in documents._texts.values()) <= 5 * (len(text) + ENTRY_BYTES)
