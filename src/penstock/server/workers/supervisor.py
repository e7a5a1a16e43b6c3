"""The supervisor of `--workers N`: owns the sources of versions and the workers, and answers no request itself."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from math import ceil
from typing import Any

from penstock.defaults import WORKER_TIMEOUT
from penstock.errors import PenstockError, WorkerLost, error_of
from penstock.http.run import RunOptions, say_if_waiting, url_of
from penstock.http.workers.accepting import ConnectionCounts
from penstock.http.workers.worker_process import SLOT_STATES, Launch, WorkerProcess
from penstock.metrics import Metrics, render
from penstock.metrics.aggregate import SUPERVISOR, Family, MetricsAggregate, from_plain
from penstock.server.workers.messages import (
    Accept,
    Agree,
    Answers,
    Ask,
    Beat,
    Begun,
    Collect,
    Company,
    Exposition,
    Failed,
    GaveUp,
    Mark,
    Message,
    Note,
    Numbers,
    Proven,
    Scrape,
    Serve,
    StartWorker,
    Stop,
    Tell,
    Unserve,
    WorkerStarted,
)
from penstock.serving.fleet import fleet_plan as plan
from penstock.serving.fleet.worker_fleet import WorkerFleet
from penstock.serving.swap.follower import VersionSource

log = logging.getLogger("penstock.server")

_COLLECT_TIMEOUT = 1.0  # a worker that is busy for longer is shown as it last said
_BEATS = 5  # signs of life that a worker is asked for within its time
_START_TIMEOUT = 60.0  # for an interpreter to start and import, however short the time for a sign of life is
_LAST_TIMEOUT = 5.0  # after drain_timeout, for closing models


class Supervisor:
    """Starts the workers, keeps them running, tells them what to serve, adds up their numbers, and ends them."""

    def __init__(
        self,
        launch: Launch,
        begin: Sequence[StartWorker],
        metrics: Metrics,
        counts: ConnectionCounts,
        options: RunOptions,
        *,
        worker_timeout: float = WORKER_TIMEOUT,
        start_timeout: float = _START_TIMEOUT,
    ) -> None:
        self.crew = WorkerFleet(len(begin), self._joined, self._unfit)
        self._metrics = metrics
        self._counts = counts
        self._options = options
        self._beat_every = worker_timeout / _BEATS
        self._beats_at_start = ceil(max(start_timeout, worker_timeout) / self._beat_every)
        # The whole mutable state: the workers' places, tasks, numbers, a collection under way, how far
        # life has gone.
        self._slots = {b.number: WorkerProcess(b.number, launch, b, self) for b in begin}
        for b in begin:
            metrics.worker_restarts.labels(str(b.number))
        self._following: list[asyncio.Task[None]] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._tallies = MetricsAggregate()
        self._collecting: asyncio.Task[list[Family]] | None = None
        self._unheard: set[int] = set()
        self._heard = asyncio.Event()
        self._opened = False
        self._draining: float | None = None  # the delay
        loop = asyncio.get_running_loop()
        self._all_here: asyncio.Future[None] = loop.create_future()
        self._broken: asyncio.Future[None] = loop.create_future()
        self._told_to_stop = asyncio.Event()

    async def run(
        self, sources: Sequence[VersionSource], bound: Sequence[socket.socket], on_ready: Callable[[str], Any]
    ) -> None:
        """Serves until a signal comes, then drains. `on_ready` is called with the first socket's URL once every model
        is loaded in every worker; as in `run.serve`. Raises what loading raises, WorkerLost where a worker ends before
        all have served."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        keeping = [asyncio.create_task(slot.keep()) for slot in self._slots.values()]
        starting = asyncio.create_task(self._start(sources, url_of(bound[0])))
        self._spawn(self._watch())
        stopped = asyncio.create_task(self._told_to_stop.wait())
        try:
            waited: list[asyncio.Future[Any]] = [starting, stopped, self._broken]
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if not self._told_to_stop.is_set():
                await (self._broken if self._broken.done() else starting)
                on_ready(url_of(bound[0]))
            await stopped
        finally:
            self._drain(0.0)
            for each in bound:
                each.close()  # once the workers have closed it too, nobody can connect
            await self._end(keeping)
            await self._close([starting, stopped, *self._following, *self._tasks])
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    async def _start(self, sources: Sequence[VersionSource], url: str) -> None:
        """Returns when every worker answers for every model."""
        await self._all_here
        for source in sources:
            await source.start()
            self._following.append(asyncio.create_task(source.run()))
        await self._ask_numbers(60.0)  # a worker that answers has carried out what it was told before
        self._opened = True
        if waiting := self.crew.waiting_for:
            say_if_waiting(url, waiting)
            await self.crew.until_ready()
            await self._ask_numbers(60.0)

    async def _watch(self) -> None:
        """Ends workers that hang: stopped, held by a model that never lets go of the interpreter, stuck in their
        start."""
        while self._draining is None:
            await asyncio.sleep(self._beat_every)
            for slot in self._slots.values():
                slot.beat(_BEATS, self._beats_at_start)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("The supervisor failed at something.", exc_info=error)

    # -- what workers say and do -------------------------------------------------------------------------------------

    def said(self, slot: WorkerProcess, message: Message) -> None:
        number = slot.number
        match message:
            case WorkerStarted():
                slot.up = True
                self.crew.arrive(number, partial(_order, slot))
            case GaveUp(model, version, why):
                self.crew.gave_up(model, version, why)
            case Proven(model, version):
                self.crew.proven(number, model, version)
            case Failed(model, version, code, text, hint):
                self.crew.failed(number, model, version, error_of(code, text, hint))
            case Unserve(model):
                self.crew.unserved(number, model)
            case Beat():
                pass
            case Answers(model, version):
                self.crew.answers(number, model, version)
            case Numbers(families):
                self._tallies.report(str(number), from_plain(families))
                self._hear(number)
            case Scrape(id):
                self._spawn(self._expose(slot, id))
            case _:
                log.error("Worker %d said what only the supervisor says: %s", number, type(message).__name__)

    def ended(self, slot: WorkerProcess, how: str) -> None:
        self._counts.set(slot.number, -1)
        self._tallies.retire(str(slot.number))
        self._hear(slot.number)
        if self._draining is not None:
            return
        was_loading = self.crew.leave(slot.number, how)
        if not self._opened:  # as a single process would be gone; why is said once, by the load where there was one
            if not was_loading:
                self._broken.set_exception(WorkerLost(f"Worker {slot.number} {how} before it could serve."))
            self._drain(0.0)
        self._tell_company()

    def restarting(self, slot: WorkerProcess) -> None:
        self._metrics.worker_restarts.labels(str(slot.number)).inc()

    def changed(self) -> None:
        states = [slot.state for slot in self._slots.values()]
        for state in SLOT_STATES:
            self._metrics.workers.labels(state).set(states.count(state))

    def _joined(self, number: int) -> None:
        slot = self._slots[number]
        slot.serves()
        slot.send(Accept())
        self._tell_company()
        if len(self.crew.joined) == len(self._slots):
            if not self._all_here.done():
                self._all_here.set_result(None)
            if self._opened:
                log.info("All %d workers serve.", len(self._slots))

    def _unfit(self, number: int, error: PenstockError) -> None:
        log.error("Worker %d cannot load what the others serve, and ends. %s", number, error)
        self._slots[number].kill()

    def _tell_company(self) -> None:
        joined = self.crew.joined
        for number in joined:
            self._slots[number].send(Company(len(joined), len(self._slots)))

    # -- numbers -----------------------------------------------------------------------------------------------------

    async def _expose(self, slot: WorkerProcess, id: int) -> None:
        """Scrapes that come while the workers are asked share the answer."""
        if self._collecting is None or self._collecting.done():
            self._collecting = asyncio.create_task(self._collect())
        families = await asyncio.shield(self._collecting)
        slot.send(Exposition(id, render(families).decode()))

    async def _collect(self) -> list[Family]:
        await self._ask_numbers(_COLLECT_TIMEOUT)
        self._tallies.report(SUPERVISOR, self._metrics.collect())
        return self._tallies.total()

    async def _ask_numbers(self, timeout: float) -> None:  # noqa: ASYNC109  (the end of patience is no error)
        self._unheard = {number for number, slot in self._slots.items() if slot.up}
        self._heard.clear()
        for number in self._unheard:
            self._slots[number].send(Collect())
        if self._unheard:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._heard.wait(), timeout)

    def _hear(self, number: int) -> None:
        self._unheard.discard(number)
        if not self._unheard:
            self._heard.set()

    # -- the end -----------------------------------------------------------------------------------------------------

    def _on_signal(self, number: int) -> None:
        if self._draining is not None:
            log.info("Stopping at once.")
            for slot in self._slots.values():
                slot.kill()
            return
        self._drain(self._options.drain_delay if number == signal.SIGTERM else 0.0)
        self._told_to_stop.set()

    def _drain(self, delay: float) -> None:
        """The first call counts. Before the start is over there is nothing in flight that could be finished."""
        if self._draining is None:
            self._draining = delay
            self.crew.close()
            for task in self._following:
                task.cancel()
            for slot in self._slots.values():
                slot.stop(delay if self._opened else None)

    async def _end(self, keeping: list[asyncio.Task[None]]) -> None:
        """Waits for the workers, with patience for what is in flight and none for what hangs."""
        patience = (self._draining or 0.0) + self._options.drain_timeout + _LAST_TIMEOUT
        _, late = await asyncio.wait(keeping, timeout=patience)
        if late:
            log.error("%d workers did not end in time, and are killed.", len(late))
            for slot in self._slots.values():
                slot.kill()
        await asyncio.gather(*keeping)

    async def _close(self, tasks: list[asyncio.Task[Any]]) -> None:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception) and not isinstance(ended, PenstockError):
                log.error("The supervisor failed at something.", exc_info=ended)
        self._all_here.cancel()
        if not self._broken.cancel() and not self._broken.cancelled():
            self._broken.exception()  # said already, or overtaken by a signal

    def __repr__(self) -> str:
        return f"<Supervisor of {len(self._slots)} workers: {self.crew!r}>"


def _order(slot: WorkerProcess, model: str, word: plan.Word) -> None:
    """The crew's words as messages."""
    match word:
        case plan.Ask(package):
            slot.send(Ask(model, package.version, package.path, package.digest))
        case plan.Stop():
            slot.send(Stop(model))
        case plan.Tell(current, previous, candidate):
            slot.send(Tell(model, current, previous, candidate))
        case plan.Mark(stale):
            slot.send(Mark(model, stale))
        case plan.Note(failure):
            slot.send(Note(model, None if failure is None else asdict(failure)))
        case plan.Agree(version):
            slot.send(Agree(model, version))
        case plan.Serve(alias):
            slot.send(Serve(model, alias))
        case plan.Unserve():
            slot.send(Unserve(model))
        case plan.Begun():
            slot.send(Begun(model))
