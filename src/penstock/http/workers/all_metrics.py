"""The metrics of all workers, as one of them shows them: the supervisor adds them up."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

from penstock.errors import WorkerLost
from penstock.http.workers.messages import Scrape

_SCRAPE_TIMEOUT = 5.0


class AllWorkersMetrics:
    """A worker's exposition: asks the supervisor, through `send`."""

    def __init__(self, send: Callable[[Scrape], None]) -> None:
        self._send = send
        # The whole mutable state: the scrapes that wait for their answer.
        self._pending: dict[int, asyncio.Future[str]] = {}
        self._ids = itertools.count(1)

    async def text(self) -> bytes:
        """In Prometheus' text format. Raises WorkerLost where the supervisor does not answer: part of the workers would
        look like counters that go backwards."""
        id = next(self._ids)
        self._pending[id] = asyncio.get_running_loop().create_future()
        self._send(Scrape(id))
        try:
            return (await asyncio.wait_for(self._pending[id], _SCRAPE_TIMEOUT)).encode()
        except TimeoutError:
            raise WorkerLost("The supervisor does not answer.") from None
        finally:
            del self._pending[id]

    def on_answer(self, id: int, text: str) -> None:
        if (scrape := self._pending.get(id)) is not None and not scrape.done():
            scrape.set_result(text)

    def close(self) -> None:
        """Nothing is held open."""

    def __repr__(self) -> str:
        return f"<AllWorkersMetrics, {len(self._pending)} scrapes pending>"
