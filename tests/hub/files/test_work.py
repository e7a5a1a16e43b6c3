"""Changes of files: whoever waits for them waits for those that began before, and for no others."""

from __future__ import annotations

import asyncio
from contextlib import closing

from penstock.hub.files.work import FileWork


async def test_registering_waits_for_changes_that_are_under_way() -> None:
    with closing(FileWork()) as work:
        await work.changes_made()
        go_on = asyncio.Event()

        async def change() -> None:
            async with work.change():
                await go_on.wait()

        first = asyncio.create_task(change())
        await asyncio.sleep(0)
        waiting = asyncio.create_task(work.changes_made())
        await asyncio.sleep(0)
        second = asyncio.create_task(change())
        await asyncio.sleep(0)
        assert not waiting.done()
        assert repr(work) == "<FileWork, 2 changes under way>"
        go_on.set()
        await asyncio.gather(first, second, waiting)
        assert repr(work) == "<FileWork, 0 changes under way>"


async def test_what_is_run_is_answered() -> None:
    with closing(FileWork()) as work:
        assert await work.run(sum, [1, 2]) == 3
        assert await work.run_long(sum, [1, 2]) == 3
