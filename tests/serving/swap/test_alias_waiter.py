"""Waiting for a registry that tells when an alias moves: who follows it asks at once, and as before where it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from queue import Queue

import pytest
import pytest_asyncio

from penstock.artifacts import PackageCache
from penstock.errors import RegistryUnavailable, Unsupported
from penstock.metrics import Metrics
from penstock.mlflow_api.client import MlflowRestClient
from penstock.registry import ModelVersion, NewVersion, open_registry
from penstock.registry.hub.store import HubRegistry
from penstock.registry.memory import MemoryRegistry
from penstock.serving.served_model import ServedModel
from penstock.serving.swap.alias_waiter import AliasWaiter
from penstock.serving.swap.follower import Follower
from penstock.serving.swap.pattern import Pattern
from penstock.serving.swap.pattern_search import PatternSearch
from penstock.serving.swap.registry_poll import RegistryPoll
from penstock.serving.swap.target import LoadedVersion, LocalTarget
from registry.hub_server import ListeningHub
from serving.fakes import FakePredictor, loaded, until

HOUR = 3600.0


class TellsByHand(MemoryRegistry):
    """Answers those who wait with what a test puts in."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: Queue[str | Exception] = Queue()
        self.asked: list[str] = []

    def wait_for_aliases(self, state: str, seconds: float) -> str:
        self.asked.append(state)
        answer = self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer


class Woken:
    """How often, to be waited for."""

    def __init__(self) -> None:
        self.times = 0
        self._queue: asyncio.Queue[None] = asyncio.Queue()

    def __call__(self) -> None:
        self.times += 1
        self._queue.put_nowait(None)

    async def once(self) -> None:
        async with asyncio.timeout(5):
            await self._queue.get()


Run = Callable[[AliasWaiter], None]


@pytest_asyncio.fixture
async def run() -> AsyncIterator[Run]:
    tasks: list[asyncio.Task[None]] = []
    yield lambda waiter: tasks.append(asyncio.create_task(waiter.run()))
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def telling() -> Iterator[TellsByHand]:
    registry = TellsByHand()
    yield registry
    registry.answers.put("the end")  # for the thread that waits


async def test_whoever_follows_is_woken_by_each_move_and_by_nothing_else(telling: TellsByHand, run: Run) -> None:
    woken = Woken()
    run(AliasWaiter(lambda: telling, woken, interval=HOUR))
    for answer in ("a", "a", "b"):
        telling.answers.put(answer)
    await woken.once()
    await woken.once()
    await until(lambda: len(telling.asked) == 4)
    assert (telling.asked, woken.times) == (["", "a", "a", "b"], 2)


async def test_a_registry_that_comes_back_is_asked_at_once_whatever_it_says(telling: TellsByHand, run: Run) -> None:
    woken = Woken()
    run(AliasWaiter(lambda: telling, woken, interval=0.001))
    for answer in ("a", RegistryUnavailable("It is away."), ValueError("a mistake"), "a"):
        telling.answers.put(answer)
    await woken.once()
    await woken.once()
    await until(lambda: len(telling.asked) == 5)
    assert telling.asked == ["", "a", "", "", "a"]


async def test_one_that_cannot_be_waited_for_is_not_asked_again_but_another_one_is(
    telling: TellsByHand, run: Run
) -> None:
    class Asked(MemoryRegistry):
        times = 0

        def wait_for_aliases(self, state: str, seconds: float) -> str:
            self.times += 1
            raise Unsupported("It cannot.")

    plain, woken, looks = Asked(), Woken(), 0
    now: list[MemoryRegistry | None] = [None]

    def look() -> MemoryRegistry | None:
        nonlocal looks
        looks += 1
        return now[0]

    run(AliasWaiter(look, woken, interval=0.001))
    now[0] = plain
    await until(lambda: plain.times == 1)
    seen = looks
    await until(lambda: looks > seen + 2)
    assert plain.times == 1
    now[0] = telling
    telling.answers.put("a")
    await woken.once()


async def test_a_promoted_version_is_loaded_without_a_poll(run: Run, tmp_path: Path, iris_onnx_package: Path) -> None:
    """The hub is asked by itself once an hour."""
    hub = ListeningHub()
    hub.start()
    with closing(hub), hub.over(tmp_path / "hub") as url, closing(open_registry(str(tmp_path / "hub/store"))) as store:
        for _ in range(2):
            store.register("m", NewVersion("x"))
        store.promote("m", "1", by="ann")
        with closing(HubRegistry(MlflowRestClient(url), PackageCache(tmp_path / "cache"))) as registry:
            loads: asyncio.Queue[str] = asyncio.Queue()

            async def prepare(version: ModelVersion) -> LoadedVersion:
                loads.put_nowait(version.version)
                return LoadedVersion(version.version, loaded(iris_onnx_package, FakePredictor()))

            metrics = Metrics(process=False)
            poll = RegistryPoll("m", lambda: registry.resolve("m"), metrics, interval=HOUR)
            follower = Follower(LocalTarget(ServedModel("m", metrics), metrics), poll, prepare, metrics)
            await follower.start()
            following = asyncio.create_task(follower.run())
            told = Woken()

            def wake() -> None:
                follower.wake()
                told()

            run(AliasWaiter(lambda: registry, wake, interval=HOUR))
            await told.once()
            for version in ("2", "1"):
                store.promote("m", version, by="ben")
                await told.once()
            async with asyncio.timeout(5):
                assert [await loads.get() for _ in range(2)] == ["1", "2"]
            await until(lambda: follower.target.current == "1")
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following


async def test_a_pattern_asks_when_it_is_woken() -> None:
    questions = 0

    def search() -> dict[str, str]:
        nonlocal questions
        questions += 1
        return {}

    def join(*_: object) -> None:
        pytest.fail("nothing matches")

    pattern = Pattern(
        PatternSearch("team-*", search, lambda name, version: pytest.fail("nothing matches")),
        join,  # type: ignore[arg-type]
        Metrics(process=False),
        taken=lambda name: False,
        on_started=lambda: None,
        poll_interval=HOUR,
    )
    await pattern.start()
    running = asyncio.create_task(pattern.run())
    for expected in (2, 3):
        pattern.wake()
        await until(lambda expected=expected: questions == expected)  # type: ignore[misc]
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
