"""Sources of versions: a pinned one, or an alias followed in a registry.

Following polls, loads what the alias names now, swaps and drains. A failed step leaves `current` alone.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, Protocol

from penstock.errors import PenstockError, RegistryNotFound, RegistryUnavailable, SignatureIncompatible
from penstock.metrics import Metrics
from penstock.registry.interface import ModelVersion
from penstock.serving.rollout import (
    Action,
    Failure,
    Load,
    RetirePrevious,
    Revert,
    Snapshot,
    Wait,
    next_action,
    retry_delay,
)
from penstock.serving.stage import P, Prepare, Stage

log = logging.getLogger("penstock.serving")


@dataclass(frozen=True, slots=True)
class FollowOptions:
    """Seconds between polls, and how long a replaced version is kept warm."""

    poll_interval: float = 2.0
    keep_previous: float = 300.0


class Source(Protocol):
    """Where a served model's versions come from."""

    async def start(self) -> None:
        """The first version, loaded and proven. Raises what loading raises."""

    async def run(self) -> None:
        """Whatever goes on while the model is served, until cancelled."""


class Pinned(Generic[P]):
    """One version for good: a package at a path, or a version named by its number."""

    def __init__(self, stage: Stage[P], prepare: Callable[[], Awaitable[P]], metrics: Metrics) -> None:
        self._stage = stage
        self._prepare = prepare
        self._metrics = metrics

    async def start(self) -> None:
        with self._metrics.loading(self._stage.name):
            prepared = await self._prepare()
        self._stage.swap(prepared)

    async def run(self) -> None:
        return


class Follower(Generic[P]):
    """Keeps one served model at the version that its alias names.

    `resolve` asks the registry; it blocks and is run in a thread. `prepare` makes a proven model of a version.
    """

    def __init__(
        self,
        stage: Stage[P],
        resolve: Callable[[], ModelVersion],
        prepare: Prepare[P],
        metrics: Metrics,
        *,
        follow: FollowOptions | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.stage = stage
        self._resolve = resolve
        self._prepare = prepare
        self._metrics = metrics
        self._follow = follow or FollowOptions()
        self._clock = clock
        self._chance = chance
        # The whole mutable state: what the registry last said, the load under way, the last failure, two notes.
        self._wanted: ModelVersion | None = None
        self._loading: tuple[str, asyncio.Task[P]] | None = None
        self._failure: Failure | None = None
        self._previous_until = 0.0
        self._unreachable = False
        stage.on_failed = self.give_up

    async def start(self) -> None:
        """Resolves and loads for the first time. Raises what that raises, but for a registry that is there and does not
        answer, which is waited for: the model is not ready until then."""
        try:
            await self._poll()
        except RegistryNotFound:
            raise
        except RegistryUnavailable as error:
            self._note_unreachable(error)
            return
        assert self._wanted is not None
        self.stage.swap(await self._prepare_timed(self._wanted))

    async def run(self) -> None:
        """Follows until cancelled."""
        try:
            while True:
                delay = self._follow.poll_interval * (0.9 + 0.2 * self._chance())
                await self._sleep(delay)
                await self.step()
        finally:
            await self._abandon_load()

    async def step(self) -> None:
        """One round: ask the registry, then do whatever can be done now."""
        try:
            await self._poll()
        except Exception as error:  # whatever a backend raises, following goes on
            self._metrics.registry_errors.labels(self.stage.name).inc()
            self._note_unreachable(error)
        while await self._carry_out(next_action(self._snapshot())):
            pass

    async def _sleep(self, seconds: float) -> None:
        """Waits for the next poll, or until a load ends, which is acted on at once."""
        if self._loading is not None:
            await asyncio.wait([self._loading[1]], timeout=seconds)
        else:
            await asyncio.sleep(seconds)

    async def _poll(self) -> None:
        self._wanted = await asyncio.to_thread(self._resolve)
        if self._failure is not None and self._failure.version != self._wanted.version:
            self._failure = None  # the alias has moved on
        self._metrics.registry_success.labels(self.stage.name).set_to_current_time()
        if self._unreachable:
            self._unreachable = False
            log.info("%s: the registry names a version again.", self.stage.name)

    def _note_unreachable(self, error: Exception) -> None:
        """Says it once, not at every poll."""
        if not self._unreachable:
            self._unreachable = True
            current = self.stage.current
            serving = f"version {current} goes on answering" if current else "nothing is served yet"
            log.error(
                "%s: the registry names no version, %s. %s", self.stage.name, serving, error,
                exc_info=None if isinstance(error, PenstockError) else error,
            )  # fmt: skip

    def _snapshot(self) -> Snapshot:
        return Snapshot(
            wanted=self._wanted.version if self._wanted else None,
            current=self.stage.current,
            previous=self.stage.previous,
            loading=self._loading[0] if self._loading else None,
            failure=self._failure,
            previous_until=self._previous_until,
            now=self._clock(),
        )

    async def _carry_out(self, action: Action) -> bool:
        """Does one step; says whether to look again at once."""
        if self._loading is not None and self._loading[1].done():
            self._finish_load()
            return True
        match action:
            case Load(version):
                wanted = self._wanted
                assert wanted is not None
                log.info("%s: loading version %s.", self.stage.name, version)
                self._loading = (version, asyncio.create_task(self._prepare_timed(wanted)))
            case Revert():
                self.stage.revert()
                self._failure = None  # what was refused beside the other version may do beside this one
                self._keep_previous()
                return True
            case RetirePrevious():
                self.stage.retire_previous()
                return True
            case Wait():
                pass
        return False

    async def _prepare_timed(self, version: ModelVersion) -> P:
        with self._metrics.loading(self.stage.name):
            return await self._prepare(version)

    def _finish_load(self) -> None:
        """Takes the ended load: swaps to it, drops it if it is wanted no more, or notes why it failed."""
        assert self._loading is not None
        version, task = self._loading
        self._loading = None
        error = task.exception()
        if error is not None:
            self._note_failure(version, error)
            return
        prepared = task.result()
        if self._wanted is None or self._wanted.version != version:
            log.info("%s: version %s was superseded while it loaded.", self.stage.name, version)
            prepared.drop()
            return
        self._failure = None
        self.stage.swap(prepared)
        self._keep_previous()

    def _keep_previous(self) -> None:
        self._previous_until = self._clock() + self._follow.keep_previous

    def give_up(self, version: str, why: str) -> None:
        """A version has failed while it answered. Where the one before it is still warm, that one answers again, and
        the failed one is not tried until the alias has named another version."""
        if version != self.stage.current or self.stage.previous is None:
            return
        previous = self.stage.previous
        self._failure = Failure(version, 1, math.inf)
        self.stage.revert()
        self.stage.retire_previous()  # or the alias, which still names it, would have it back at once
        log.error(
            "%s: version %s has failed and is taken back, version %s answers again. Its process %s. It is tried again "
            "when %s has named another version.",
            self.stage.name, version, previous, why, self.stage.alias or "its alias",
        )  # fmt: skip

    def _note_failure(self, version: str, error: BaseException) -> None:
        attempts = self._failure.attempts + 1 if self._failure and self._failure.version == version else 1
        # A signature does not change: no second look at it until the alias moves on.
        delay = math.inf if isinstance(error, SignatureIncompatible) else retry_delay(attempts, self._chance())
        self._failure = Failure(version, attempts, self._clock() + delay)
        current = self.stage.current
        serving = f"version {current} goes on answering" if current else "nothing is served"
        log.error(
            "%s: version %s cannot be served, %s. %s", self.stage.name, version, serving, error,
            exc_info=None if isinstance(error, PenstockError) else error,
        )  # fmt: skip

    async def _abandon_load(self) -> None:
        """A thread cannot be stopped: wait for its end, and release what it loaded."""
        if self._loading is None:
            return
        _, task = self._loading
        self._loading = None
        with suppress(Exception):
            (await asyncio.shield(task)).drop()

    def __repr__(self) -> str:
        return f"<Follower of {self.stage.alias!r}: {self._snapshot()}>"
