"""The sources of a server: started in order, run, told of failures, ended."""

from __future__ import annotations

import asyncio
import logging

import pytest

from penstock.errors import ProofFailed
from penstock.serving.swap.sources import Sources
from serving.fakes import settle


class FakeSource:
    def __init__(self, calls: list[str], name: str, *, error: Exception | None = None) -> None:
        self.calls = calls
        self.name = name
        self.error = error

    async def start(self) -> None:
        self.calls.append(f"{self.name} starts")
        if self.error is not None:
            raise self.error

    async def try_once(self) -> None:
        self.calls.append(f"{self.name} is tried")

    async def run(self) -> None:
        self.calls.append(f"{self.name} runs")
        try:
            await asyncio.Event().wait()
        finally:
            self.calls.append(f"{self.name} ends")

    def wake(self) -> None:
        self.calls.append(f"{self.name} is woken")

    def give_up(self, model: str, version: str, reason: str) -> None:
        self.calls.append(f"{self.name}: {model} {version} {reason}")


async def test_sources_start_one_after_the_other_and_run_until_the_end() -> None:
    calls: list[str] = []
    sources = Sources([FakeSource(calls, "a")])
    sources.add(FakeSource(calls, "b"))
    await sources.start()
    await settle()
    assert [c for c in calls if "starts" in c] == ["a starts", "b starts"]
    sources.give_up("m", "2", "ended")
    assert calls[-2:] == ["a: m 2 ended", "b: m 2 ended"]
    sources.wake()
    assert calls[-2:] == ["a is woken", "b is woken"]
    await sources.close()
    assert calls[-2:] == ["a ends", "b ends"]


async def test_what_a_start_raises_is_the_callers_and_the_others_end(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[str] = []
    sources = Sources([FakeSource(calls, "a"), FakeSource(calls, "b", error=ProofFailed("no")), FakeSource(calls, "c")])
    with pytest.raises(ProofFailed):
        await sources.start()
    await settle()
    await sources.close()
    assert calls[-1] == "a ends"
    assert "c starts" not in calls
    assert [r for r in caplog.records if r.levelno >= logging.ERROR] == []


class Waiting(FakeSource):
    """Its first try lasts until it is let go."""

    def __init__(self, calls: list[str], name: str) -> None:
        super().__init__(calls, name)
        self.go = asyncio.Event()

    async def try_once(self) -> None:
        await super().try_once()
        await self.go.wait()


async def test_sources_that_come_later_try_a_few_at_a_time_and_go_one_by_one() -> None:
    calls: list[str] = []
    sources = Sources([FakeSource(calls, "a")])
    await sources.start()
    later = [Waiting(calls, name) for name in "bcd"]
    for source in later:
        sources.begin(source)
    await settle()
    assert [c for c in calls if "tried" in c] == ["b is tried", "c is tried"]
    await sources.end(later[0])  # in the middle of its first try
    await settle()
    assert [c for c in calls if "tried" in c] == ["b is tried", "c is tried", "d is tried"]
    for source in later:
        source.go.set()
    await settle()
    assert [c for c in calls if "runs" in c] == ["a runs", "c runs", "d runs"]
    sources.give_up("m", "1", "ended")
    assert "b: m 1 ended" not in calls
    assert "c: m 1 ended" in calls
    await sources.end(later[1])
    assert calls[-1] == "c ends"
    await sources.close()
    sources.begin(FakeSource(calls, "too late"))
    await settle()
    assert not any("too late" in call for call in calls)
