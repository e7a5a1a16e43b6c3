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

    async def run(self) -> None:
        self.calls.append(f"{self.name} runs")
        try:
            await asyncio.Event().wait()
        finally:
            self.calls.append(f"{self.name} ends")

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
