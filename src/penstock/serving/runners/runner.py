"""Where a predictor's code runs: off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from threading import get_ident
from time import perf_counter, thread_time
from typing import Protocol, TypeAlias

from penstock.flavors import Predictor
from penstock.flavors.predictor import failed
from penstock.machine.throttle import throttled
from penstock.payload import Params, Payload

# Predicts at once, on the calling thread: the answer, the seconds that it took, and those that the thread worked.
RunNow: TypeAlias = Callable[[Payload, Params], tuple[Payload, float, float]]


class Runner(Protocol):
    """Runs one predictor. `run` may be called for `slots` answers at once, with joined batches for `together`; for as
    many as `ahead` more where that spares a quick model the wait for the next question."""

    slots: int
    together: int
    ahead: int

    def run(self, payload: Payload, params: Params) -> Awaitable[tuple[Payload, float]]:
        """The answer to come, and the seconds that the model itself took. Awaiting it raises PredictError."""

    async def close(self) -> None:
        """Waits for what is running, then releases the predictor."""


class ThreadRunner:
    """Runs a predictor in threads of its own; `run_now` on the caller's, for predictors that promise to be quick where
    the size of a row is `bounded`."""

    run_now: RunNow | None
    together = 1
    ahead = 0

    def __init__(self, predictor: Predictor, slots: int, name: str = "model", *, bounded: bool = False) -> None:
        self.slots = slots
        self._predictor = predictor
        self.run_now = self._now if bounded and predictor.quick else None
        # When each thread that predicts now has begun, by its number. Written by that thread alone.
        self.working_since: dict[int, float] = {}
        self._pool = ThreadPoolExecutor(max_workers=slots, thread_name_prefix=f"penstock-{name}")

    def run(self, payload: Payload, params: Params) -> asyncio.Future[tuple[Payload, float]]:
        return asyncio.get_running_loop().run_in_executor(self._pool, self._watched, payload, params)

    def _watched(self, payload: Payload, params: Params) -> tuple[Payload, float]:
        thread = get_ident()
        self.working_since[thread] = perf_counter()
        try:
            return self._timed(payload, params)
        finally:
            del self.working_since[thread]

    def _timed(self, payload: Payload, params: Params) -> tuple[Payload, float]:
        start = perf_counter()
        try:
            answer = self._predictor.predict(payload, params)
        except Exception:
            raise
        except BaseException as error:  # a server's signals come another way: this one is the model's
            raise failed(error) from error
        return answer, perf_counter() - start

    def _now(self, payload: Payload, params: Params) -> tuple[Payload, float, float]:
        work = thread_time()
        answer, seconds = self._timed(payload, params)
        return answer, seconds, thread_time() - work

    def abandon(self) -> None:
        """Waits for nothing: a thread that hangs is left, with the predictor that it uses."""
        self._predictor.interrupt()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._pool.shutdown(wait=True)
        with throttled():  # a large model takes a while to release
            self._predictor.close()

    def __repr__(self) -> str:
        return f"<ThreadRunner {self.slots} slots>"
