"""One version being served: runner, batcher and state; leased by requests, closed when the last lease is back."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from importlib.util import find_spec
from typing import Any

from penstock.errors import Closing
from penstock.loading import LoadedModel
from penstock.metrics import Metrics, VersionMetrics
from penstock.payload import Params, Payload
from penstock.serving.batcher import MAX_QUEUE_ROWS, MAX_ROWS, Answer, Batcher
from penstock.serving.lanes import Batch
from penstock.serving.runner import Runner, ThreadRunner
from penstock.signature import Signature, conform_params
from penstock.wire.requests import Request, read_request

log = logging.getLogger("penstock.serving")


class State(Enum):
    """States only move forward. A servable exists once it is loaded and proven, so there is no state before READY."""

    READY = "ready"
    DRAINING = "draining"  # takes no new lease; those it gave are still worked on
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class ServingOptions:
    """`concurrency` is how many unjoined requests run at once; None is MLflow's number, min(32, cores + 4)."""

    max_rows: int = MAX_ROWS
    max_queue_rows: int = MAX_QUEUE_ROWS
    concurrency: int | None = None


class _Observer:
    """Passes what the batcher tells on to bound metrics."""

    def __init__(self, metrics: VersionMetrics) -> None:
        self._metrics = metrics

    def dispatched(self, batch: Batch) -> None:
        self._metrics.batches[batch.reason].inc()
        self._metrics.batch_rows.observe(batch.rows)
        self._metrics.rows.inc(batch.rows)

    def queued(self, rows: int) -> None:
        self._metrics.queue_rows.set(rows)


class Servable:
    """A loaded version of a model that answers requests. `model` is the name it is served under."""

    def __init__(
        self, model: str, version: str, loaded: LoadedModel, metrics: Metrics, options: ServingOptions | None = None
    ) -> None:
        options = options or ServingOptions()
        self.model = model
        self.version = version
        self.loaded = loaded
        self.metrics = metrics.version(model, version)
        unjoined = loaded.proof.unjoined
        self.joined_at_load = not unjoined
        self._frames = loaded.predictor.takes_frames and find_spec("pandas") is not None
        slots = options.concurrency or min(32, (os.cpu_count() or 1) + 4)
        self._runner: Runner = ThreadRunner(loaded.predictor, slots, model)
        self._batcher = Batcher(
            self._runner,
            joined=self.joined_at_load,
            observer=_Observer(self.metrics),
            max_rows=options.max_rows,
            max_queue_rows=options.max_queue_rows,
        )
        self.metrics.queue_limit_rows.set(options.max_queue_rows)
        # The whole mutable state: how far its life has gone, how many requests hold it, and the word that none does.
        self.state = State.READY
        self._leases = 0
        self._free = asyncio.Event()
        self._free.set()
        if unjoined:
            log.info("%s version %s predicts each request apart: %s.", model, version, unjoined)

    @property
    def signature(self) -> Signature | None:
        return self.loaded.signature

    @property
    def joined(self) -> bool:
        """Whether rows of several callers are predicted together."""
        return self._batcher.joined

    @contextmanager
    def lease(self) -> Iterator[Servable]:
        """Holds the version open. Spans all parts of a request; never taken before the body is there. Raises Closing
        once the version is on its way out."""
        if self.state is not State.READY:
            raise Closing(f"Version {self.version} of model {self.model!r} is being closed.")
        self._leases += 1
        self._free.clear()
        try:
            yield self
        finally:
            self._leases -= 1
            if not self._leases:
                self._free.set()

    def read(self, media: str, body: bytes) -> Request:
        """A body as the model takes it. Raises MalformedInput, SchemaViolation, UnsupportedMedia."""
        return read_request(media, body, self.signature, frames=self._frames)

    def conform_params(self, params: Any) -> Params:
        """The params with their defaults. Raises SchemaViolation."""
        return conform_params(self.signature.params if self.signature else (), params)

    def predict(self, payload: Payload, params: Params) -> asyncio.Future[Answer]:
        """The answer to conformed rows, to come; cancelling it drops the job. Raises Overloaded, Closing; the future
        raises PredictError."""
        return self._batcher.enqueue(payload, params)

    async def close(self) -> None:
        """Waits until nobody holds it, then releases the model. Safe to call twice."""
        if self.state is not State.READY:
            return
        self.state = State.DRAINING
        await self._free.wait()
        await self._batcher.close()
        await asyncio.to_thread(self._runner.close)
        self.state = State.CLOSED

    def __repr__(self) -> str:
        return f"<Servable {self.model} {self.version} {self.state.value}, {self._leases} leases, {self._batcher!r}>"
