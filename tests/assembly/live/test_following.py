"""What a server follows besides its settings file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from penstock.assembly.live.following import following
from penstock.assembly.live.models import LiveModels
from penstock.assembly.sources import SourceContext
from penstock.config import ServerSettings
from penstock.metrics import Metrics
from penstock.registry.memory import MemoryRegistry
from penstock.serving.swap.sources import Sources


class Tells(MemoryRegistry):
    """Tells one state of its aliases to whoever waits, and nothing more."""

    def wait_for_aliases(self, state: str, seconds: float) -> str:
        if state:
            raise ValueError("no more is told")
        return "a state"


@pytest_asyncio.fixture
async def woken() -> AsyncIterator[asyncio.Event]:
    yield asyncio.Event()


@pytest.mark.parametrize("at_start", [True, False])
async def test_a_registry_that_tells_of_moves_is_waited_for_from_when_it_is_opened(
    woken: asyncio.Event, at_start: bool
) -> None:
    class WokenSources(Sources):
        def wake(self) -> None:
            woken.set()

    registry, nobody = Tells(), None
    settings = ServerSettings(models=["iris"], poll_interval=0.001)
    context = SourceContext(settings, registry if at_start else nobody, Metrics(process=False))
    host: Any = None
    live: LiveModels[Any] = LiveModels(context, host, WokenSources(), lambda: registry)
    trials: Any = None
    async with following(None, live, context.metrics, trials, lambda: False):
        context.registry = registry
        async with asyncio.timeout(5):
            await woken.wait()
    assert not [task for task in asyncio.all_tasks() if "wait_for_aliases" in repr(task)]
