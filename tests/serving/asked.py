"""A batcher, and those who ask it."""

from __future__ import annotations

import asyncio
from typing import Any

from penstock.serving.batching.batcher import Batcher
from penstock.serving.batching.jobs import Answer
from serving.fakes import FakeRunner, tensors, values_of


def batcher_of(runner: FakeRunner, **options: Any) -> Batcher:
    return Batcher(runner, **{"joined": True, **options})


def ask(batcher: Batcher, *values: float, width: int = 1, **params: Any) -> asyncio.Task[Answer]:
    return asyncio.create_task(batcher.submit(tensors(*values, width=width), params))


async def answers(*tasks: asyncio.Task[Answer]) -> list[Any]:
    """Each caller's values, or the message of its error."""
    found = await asyncio.gather(*tasks, return_exceptions=True)
    return [str(f) if isinstance(f, BaseException) else values_of(f.payload) for f in found]
