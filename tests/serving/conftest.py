"""What tests of the event loop share."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from serving.fakes import settle


@pytest.fixture
async def no_lost_errors() -> AsyncIterator[None]:
    """Whatever asyncio would report as never retrieved, or as an error in a callback, fails the test."""
    lost: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: lost.append(context))
    gc.freeze()  # what was there before is not looked at, which would take longer than the test
    yield
    await settle()
    gc.collect()
    gc.unfreeze()
    assert lost == []
