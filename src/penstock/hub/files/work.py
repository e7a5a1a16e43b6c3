"""What is done with files, apart from everything else: threads of their own, and changes that registering waits for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

T = TypeVar("T")

# Pieces of files that are read and written at once. A store that hangs holds as many, and nothing but files waits.
_THREADS = 32

# Packages that are read through at once: each is a processor's work for as long as it takes.
_LONG_THREADS = 2


class FileWork:
    """Made on the event loop that it is used on."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="penstock-files")
        self._long_threads = ThreadPoolExecutor(_LONG_THREADS, thread_name_prefix="penstock-digests")
        # The whole mutable state: changes that are under way, each with what it ends by.
        self._changes: set[asyncio.Future[None]] = set()

    async def run(self, function: Callable[..., T], *arguments: object) -> T:
        """What a function that waits for a disk or a store returns. Short work: a piece of a file."""
        return await self._loop.run_in_executor(self._threads, function, *arguments)

    async def run_long(self, function: Callable[..., T], *arguments: object) -> T:
        """The same for what reads whole files."""
        return await self._loop.run_in_executor(self._long_threads, function, *arguments)

    @asynccontextmanager
    async def change(self) -> AsyncIterator[None]:
        """Around looking whether files may change, and changing them."""
        ended: asyncio.Future[None] = self._loop.create_future()
        self._changes.add(ended)
        try:
            yield
        finally:
            self._changes.discard(ended)
            ended.set_result(None)

    async def changes_made(self) -> None:
        """Returns when no change is under way that began before. Who registers a version, and then waits for this,
        knows that nothing will change its files: later changes have seen the version."""
        if self._changes:
            await asyncio.wait(list(self._changes))

    def close(self) -> None:
        for threads in (self._threads, self._long_threads):
            threads.shutdown(wait=False, cancel_futures=True)

    def __repr__(self) -> str:
        return f"<FileWork, {len(self._changes)} changes under way>"
