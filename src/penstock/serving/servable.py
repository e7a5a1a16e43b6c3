"""One version being served: runner, batcher and state; leased by requests, closed when the last lease is back."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from math import inf
from time import perf_counter
from typing import Any

from penstock.defaults import MAX_QUEUE_ROWS, MAX_ROWS, MAX_TEXT_CELL, MAX_WAIT
from penstock.errors import Closing, Overloaded
from penstock.loading import LoadedModel
from penstock.loading.proof import TAKES_LIST
from penstock.machine.backoff import retry_delay
from penstock.metrics import Metrics, VersionMetrics
from penstock.payload import Params, Payload
from penstock.serving.batching.admission import ConcurrencyLimit
from penstock.serving.batching.batcher import Batcher
from penstock.serving.batching.jobs import Answer
from penstock.serving.batching.lanes import Batch
from penstock.serving.runners.isolation import IsolatedModel, Loaded
from penstock.serving.runners.model_process import ModelProcess
from penstock.serving.runners.process_runner import ProcessRunner
from penstock.serving.runners.runner import Runner, ThreadRunner
from penstock.serving.runners.thread_watch import ReplacedRunner, ThreadWatch, hangs
from penstock.signature import Field, Signature, bounded_rows, conform_params

log = logging.getLogger("penstock.serving")


class State(Enum):
    """States only move forward. A servable exists once it is loaded and proven, so there is no state before READY."""

    READY = "ready"
    DRAINING = "draining"  # takes no new lease; those it gave are still worked on
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class ServingOptions:
    """`concurrency` is how many unjoined requests run at once; None is MLflow's number, min(32, cores + 4). `max_wait`
    is how many seconds of work a burst of requests may pile up. `timeout` is how many seconds a request may take; None
    is the server's number. `max_text_cell` is the most bytes of a text for a model that runs in the gateway because the
    cost of its rows is bounded. `mlflow_exact` says that every answer is MLflow's, bit for bit; `strict_params`, that
    requests with params that the model does not have are refused."""

    max_rows: int = MAX_ROWS
    max_queue_rows: int = MAX_QUEUE_ROWS
    concurrency: int | None = None
    max_wait: float = MAX_WAIT
    timeout: float | None = None
    max_text_cell: int = MAX_TEXT_CELL
    mlflow_exact: bool = False
    strict_params: bool = False


def _bounded(loaded: Loaded, max_text: int) -> Signature | None:
    """The signature, with the limit on texts that makes the cost of a row bounded, where that is what lets the model
    run here."""
    signature = loaded.signature
    if signature is None or bounded_rows(signature) or not (isinstance(loaded, LoadedModel) and loaded.bounded):
        return signature
    return replace(signature, max_text=max_text)


def slots_of(options: ServingOptions) -> int:
    return options.concurrency or min(32, (os.cpu_count() or 1) + 4)


class _Observer:
    """Passes what the batcher tells on to bound metrics."""

    def __init__(self, metrics: VersionMetrics) -> None:
        self._metrics = metrics

    def dispatched(self, batch: Batch) -> None:
        self._metrics.batches[batch.reason].inc()
        self._metrics.batch_rows.observe(batch.rows)
        self._metrics.rows.inc(batch.rows)

    def queued(self, rows: int, large: int) -> None:
        self._metrics.queue_rows.value = rows
        self._metrics.queue_large_rows.value = large

    def drained(self, rate: float) -> None:
        self._metrics.drain_rate.set(rate)


class Lease:
    """Holds a version open for one request, from the decoding of its body to its answer. A class and no generator,
    since every request takes one."""

    __slots__ = ("_servable",)

    def __init__(self, servable: Servable) -> None:
        self._servable = servable

    def __enter__(self) -> Servable:
        servable = self._servable
        if servable.state is not State.READY:
            raise Closing(f"Version {servable.version} of model {servable.model!r} is being closed.")
        servable.concurrency_limit.enter(perf_counter())
        servable.metrics.in_flight.value += 1
        return servable

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        servable = self._servable
        servable.concurrency_limit.leave(perf_counter(), served=not isinstance(error, Overloaded))
        servable.metrics.in_flight.value -= 1
        servable.metrics.request_limit.value = servable.concurrency_limit.limit
        if not servable.concurrency_limit.inside:
            servable.free.set()


class Servable:
    """A loaded version of a model that answers requests. `model` is the name it is served under; `on_failed` is called
    with version and reason when its processes end again and again."""

    def __init__(
        self,
        model: str,
        version: str,
        loaded: Loaded,
        metrics: Metrics,
        options: ServingOptions | None = None,
        *,
        on_failed: Callable[[str, str], None] | None = None,
    ) -> None:
        options = options or ServingOptions()
        self.model = model
        self.version = version
        self.loaded: Loaded = loaded
        self.timeout = options.timeout
        self.mlflow_exact = options.mlflow_exact
        self.signature = _bounded(loaded, options.max_text_cell)
        self.params = self.signature.params if self.signature is not None else ()
        self.strict_params = options.strict_params
        self.row_by_row = loaded.package.flavor().row_by_row
        self.misreads_tables = any(warning.startswith(TAKES_LIST) for warning in loaded.proof.warnings)
        self.metrics = metrics.version(model, version)
        unjoined = loaded.proof.unjoined
        self.joined_at_load = not unjoined
        self._on_failed = on_failed
        # Part of the mutable state: what predicts, who looks whether it hangs, and what replaces it then.
        self._watch: ThreadWatch | None = None
        self._replacing: asyncio.Task[None] | None = None
        self._runner = self._make_runner(loaded, options)
        self._batcher = self._make_batcher(options)
        self.metrics.queue_limit_rows.set(options.max_queue_rows)
        # The whole mutable state: its state, the requests that hold a lease, the event that the last lease is back
        # (set only once a close waits for it), and what each protocol keeps with the version.
        self.state = State.READY
        self.concurrency_limit = ConcurrencyLimit(options.max_wait)
        self.free = asyncio.Event()
        self.bindings: dict[object, Any] = {}
        self.metrics.request_limit.set(self.concurrency_limit.limit)
        if unjoined:
            log.info("%s version %s predicts each request alone: %s.", model, version, unjoined.rstrip("."))

    def _make_runner(self, loaded: Loaded, options: ServingOptions) -> Runner:
        if isinstance(loaded, IsolatedModel):
            return ProcessRunner(loaded, f"{self.model} version {self.version}", self.metrics, self._fail)
        self.metrics.runs_here()
        bounded = bounded_rows(loaded.signature)
        runner = ThreadRunner(loaded.predictor, slots_of(options), self.model, bounded=bounded)
        if loaded.apart is not None:
            stuck = partial(self._on_stuck, runner, loaded.apart, options)
            self._watch = ThreadWatch(runner, loaded.time_limit, stuck)
        return runner

    def _make_batcher(self, options: ServingOptions) -> Batcher:
        return Batcher(
            self._runner,
            joined=self.joined_at_load,
            observer=_Observer(self.metrics),
            max_rows=options.max_rows,
            max_queue_rows=options.max_queue_rows,
        )

    def _on_stuck(self, runner: ThreadRunner, apart: Callable[[], IsolatedModel], options: ServingOptions) -> None:
        """A thread that predicts hangs: it is left, and a process of the same package takes its place."""
        log.error(
            "%s version %s: a prediction hangs. The thread is left; a process of its own takes the model's place.",
            self.model,
            self.version,
        )
        self.metrics.stuck_threads.inc()
        left, self._runner = self._batcher, ReplacedRunner()
        self._batcher = self._make_batcher(options)
        left.abandon(hangs())
        runner.abandon()
        self._replacing = asyncio.get_running_loop().create_task(self._replace(apart, options))

    async def _replace(self, apart: Callable[[], IsolatedModel], options: ServingOptions) -> None:
        """Starts the process, and tries again while that fails and the version is wanted."""
        attempts = 0
        while True:
            try:
                loaded = await asyncio.to_thread(apart)
                break
            except Exception as error:
                attempts += 1
                log.error("%s version %s cannot be started in a process: %s", self.model, self.version, error)
                self._fail("hangs, and could not be replaced")
                await asyncio.sleep(retry_delay(attempts, random.random()))
                if self.state is not State.READY:
                    return
        if self.state is not State.READY:
            loaded.close()
            return
        left = self._batcher
        self.loaded = loaded
        self._runner = ProcessRunner(loaded, f"{self.model} version {self.version}", self.metrics, self._fail)
        self._batcher = self._make_batcher(options)
        await left.close()
        log.info("%s version %s answers from a process of its own.", self.model, self.version)

    def _fail(self, reason: str) -> None:
        if self._on_failed is not None:
            self._on_failed(self.version, reason)

    @property
    def processes(self) -> list[ModelProcess]:
        """The processes that it runs in; none where that is this one."""
        return self._runner.processes if isinstance(self._runner, ProcessRunner) else []

    @property
    def joined(self) -> bool:
        """Whether rows of several callers are predicted together."""
        return self._batcher.joined

    def lease(self) -> Lease:
        """Holds the version open. Spans all parts of a request; never taken before the body is there. Entering raises
        Closing once the version is on its way out."""
        return Lease(self)

    def admit(self, time_left: float) -> None:
        """The first of two checks, before the body is read: is there room for one row of a caller that has
        `time_left` seconds? Raises Overloaded."""
        limit = self.concurrency_limit
        if limit.inside >= limit.limit:
            raise Overloaded(
                f"{limit.inside} requests are being answered; another request would wait too long.",
                limit="wait",
                retry_after=limit.retry_after,
            )
        refusal = self._batcher.refusal(1, time_left)
        if refusal is not None:
            raise refusal

    @property
    def optional(self) -> list[str]:
        """The columns that requests may leave out."""
        fields = self.signature.inputs or () if self.signature is not None else ()
        return [str(field.name) for field in fields if isinstance(field, Field) and not field.required]

    def conform_params(self, params: Any) -> Params:
        """The params with their defaults. Raises SchemaViolation."""
        if params is None and not self.params:
            return None  # as most requests have it
        return conform_params(self.params, params)

    def predict(self, payload: Payload, params: Params, deadline: float = inf) -> asyncio.Future[Answer]:
        """The answer to conformed rows, to come; cancelling it drops the job at once. What has not begun at `deadline`
        (perf_counter) is not begun any more. Raises Overloaded, Closing; the future raises PredictError,
        DeadlineExceeded, Closing."""
        return self._batcher.enqueue(payload, params, deadline)

    async def close(self) -> None:
        """Waits until nobody holds it, then releases the model. Safe to call twice."""
        if self.state is not State.READY:
            return
        self.state = State.DRAINING
        if self._watch is not None:
            self._watch.close()
        while self.concurrency_limit.inside:
            self.free.clear()
            await self.free.wait()
        await self._batcher.close()
        await self._runner.close()
        self.state = State.CLOSED

    def __repr__(self) -> str:
        leases = self.concurrency_limit.inside
        return f"<Servable {self.model} {self.version} {self.state.value}, {leases} leases, {self._batcher!r}>"
