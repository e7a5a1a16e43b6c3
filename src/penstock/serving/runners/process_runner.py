"""A version's processes behind the interface of any runner."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from penstock.errors import Closing, ModelProcessLost
from penstock.metrics import VersionMetrics
from penstock.model_process.client.async_client import ModelProcessClient
from penstock.payload import Params, Payload
from penstock.serving.runners.isolation import IsolatedModel
from penstock.serving.runners.model_process import STATES, ModelProcess

# How many more questions may be with a process than it answers at once.
_AHEAD = 64


class ProcessRunner:
    """Spreads predictions over processes, the least loaded first. `together` is how many joined batches may run at
    once, one in each. `label` names the version in the log; `on_failed` is called with the reason once the version has
    shown that it cannot be served."""

    run_now = None

    def __init__(
        self, model: IsolatedModel, label: str, metrics: VersionMetrics, on_failed: Callable[[str], None]
    ) -> None:
        self._metrics = metrics
        metrics.runs_apart(lambda: float(sum(process.memory_bytes for process in self.processes)))
        self._states = metrics.processes  # until another runner of this version has its own
        self._on_failed = on_failed
        self.together = len(model.started)
        self.slots = model.slots * self.together
        self.ahead = _AHEAD * self.together
        # The whole mutable state: the event that a process has changed, whether it is closed, and the processes.
        self._change = asyncio.Event()
        self._closed = False
        self.processes: list[ModelProcess] = []
        self.processes = [
            ModelProcess(label, started, model.again, self, time_limit=model.time_limit) for started in model.started
        ]
        self.on_state_change()

    def run(self, payload: Payload, params: Params) -> Awaitable[tuple[Payload, float]]:
        """The answer to come, and the seconds that the model itself took. Waits for a process that is being started;
        awaiting raises ModelProcessLost where none is, or where the one that was asked ends, and what a predictor
        raises."""
        link = self._least_loaded()
        return self._run_later(payload, params) if link is None else link.predict(payload, params)

    async def _run_later(self, payload: Payload, params: Params) -> tuple[Payload, float]:
        while (link := self._least_loaded()) is None:
            await self._wait()
        return await link.predict(payload, params)

    def _least_loaded(self) -> ModelProcessClient | None:
        best: ModelProcessClient | None = None
        for process in self.processes:
            link = process.link
            if link is not None and (best is None or link.load < best.load):
                best = link
        return best

    async def _wait(self) -> None:
        """Until a process has changed. Raises ModelProcessLost where nothing is to be expected soon."""
        if self._closed:
            raise Closing("This version is being closed.")
        soonest = min(self.processes, key=lambda process: process.due_in)
        if soonest.due_in > 0:
            error = ModelProcessLost("The model process has ended and will restart soon.", hint="Try again.")
            error.retry_after = soonest.retry_after
            raise error
        self._change.clear()
        await self._change.wait()

    # -- what the processes report -----------------------------------------------------------------------------------

    def on_state_change(self) -> None:
        self._change.set()
        states = [process.state for process in self.processes]
        for state in STATES:
            self._states[state].set(states.count(state))

    def on_restart(self) -> None:
        self._metrics.process_restarts[""].inc()

    def on_failed(self, why: str) -> None:
        self._on_failed(why)

    async def close(self) -> None:
        """Lets the processes end; nothing is asked any more."""
        self._closed = True
        await asyncio.gather(*(process.close() for process in self.processes))
        self._change.set()

    def __repr__(self) -> str:
        return f"<ProcessRunner {self.slots} slots: {self.processes!r}>"
