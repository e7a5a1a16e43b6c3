"""Sources of versions: a pinned one, or an alias followed in a registry.

Following polls, loads what the alias names now, swaps and drains. A failed step leaves `current` alone.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from penstock.errors import PenstockError, RegistryNotFound, RegistryUnavailable, SignatureIncompatible
from penstock.loading import LoadedModel
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
from penstock.serving.servable import Servable, ServingOptions
from penstock.serving.served_model import ServedModel

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


class Pinned:
    """One version for good: a package at a path, or a version named by its number."""

    def __init__(
        self,
        served: ServedModel,
        load: Callable[[], tuple[str, LoadedModel]],
        metrics: Metrics,
        *,
        serving: ServingOptions | None = None,
    ) -> None:
        self._served = served
        self._load = load
        self._metrics = metrics
        self._serving = serving or ServingOptions()

    async def start(self) -> None:
        version, loaded = await asyncio.to_thread(self._load_timed)
        self._served.swap(Servable(self._served.name, version, loaded, self._metrics, self._serving))

    def _load_timed(self) -> tuple[str, LoadedModel]:
        with self._metrics.loading(self._served.name):
            return self._load()

    async def run(self) -> None:
        return


class Follower:
    """Keeps one served model at the version that its alias names.

    `resolve` asks the registry and `load` makes a proven model of a version; both block and are run in threads.
    """

    def __init__(
        self,
        served: ServedModel,
        resolve: Callable[[], ModelVersion],
        load: Callable[[ModelVersion], LoadedModel],
        metrics: Metrics,
        *,
        follow: FollowOptions | None = None,
        serving: ServingOptions | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.served = served
        self._resolve = resolve
        self._load = load
        self._metrics = metrics
        self._follow = follow or FollowOptions()
        self._serving = serving or ServingOptions()
        self._clock = clock
        self._chance = chance
        # The whole mutable state: what the registry last said, the load under way, the last failure, two notes.
        self._wanted: ModelVersion | None = None
        self._loading: tuple[str, asyncio.Task[LoadedModel]] | None = None
        self._failure: Failure | None = None
        self._previous_until = 0.0
        self._unreachable = False

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
        self.served.swap(await self._load_now(self._wanted))

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
            self._metrics.registry_errors.labels(self.served.name).inc()
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
        self._metrics.registry_success.labels(self.served.name).set_to_current_time()
        if self._unreachable:
            self._unreachable = False
            log.info("%s: the registry names a version again.", self.served.name)

    def _note_unreachable(self, error: Exception) -> None:
        """Says it once, not at every poll."""
        if not self._unreachable:
            self._unreachable = True
            current = self.served.current
            serving = f"version {current.version} goes on answering" if current else "nothing is served yet"
            log.error(
                "%s: the registry names no version, %s. %s", self.served.name, serving, error,
                exc_info=None if isinstance(error, PenstockError) else error,
            )  # fmt: skip

    def _snapshot(self) -> Snapshot:
        current, previous = self.served.current, self.served.previous
        return Snapshot(
            wanted=self._wanted.version if self._wanted else None,
            current=current.version if current else None,
            previous=previous.version if previous else None,
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
                log.info("%s: loading version %s.", self.served.name, version)
                self._loading = (version, asyncio.create_task(asyncio.to_thread(self._load_timed, wanted)))
            case Revert():
                self.served.revert()
                self._failure = None  # what was refused beside the other version may do beside this one
                self._keep_previous()
                return True
            case RetirePrevious():
                self.served.retire_previous()
                return True
            case Wait():
                pass
        return False

    def _load_timed(self, version: ModelVersion) -> LoadedModel:
        with self._metrics.loading(self.served.name):
            return self._load(version)

    async def _load_now(self, version: ModelVersion) -> Servable:
        loaded = await asyncio.to_thread(self._load_timed, version)
        return Servable(self.served.name, version.version, loaded, self._metrics, self._serving)

    def _finish_load(self) -> None:
        """Takes the ended load: swaps to it, drops it if it is wanted no more, or notes why it failed."""
        assert self._loading is not None
        version, task = self._loading
        self._loading = None
        error = task.exception()
        if error is not None:
            self._note_failure(version, error)
            return
        loaded = task.result()
        if self._wanted is None or self._wanted.version != version:
            log.info("%s: version %s was superseded while it loaded.", self.served.name, version)
            loaded.close()
            return
        self._failure = None
        self.served.swap(Servable(self.served.name, version, loaded, self._metrics, self._serving))
        self._keep_previous()

    def _keep_previous(self) -> None:
        self._previous_until = self._clock() + self._follow.keep_previous

    def _note_failure(self, version: str, error: BaseException) -> None:
        attempts = self._failure.attempts + 1 if self._failure and self._failure.version == version else 1
        # A signature does not change: no second look at it until the alias moves on.
        delay = math.inf if isinstance(error, SignatureIncompatible) else retry_delay(attempts, self._chance())
        self._failure = Failure(version, attempts, self._clock() + delay)
        current = self.served.current
        serving = f"version {current.version} goes on answering" if current else "nothing is served"
        log.error(
            "%s: version %s cannot be served, %s. %s", self.served.name, version, serving, error,
            exc_info=None if isinstance(error, PenstockError) else error,
        )  # fmt: skip

    async def _abandon_load(self) -> None:
        """A thread cannot be stopped: wait for its end, and release what it loaded."""
        if self._loading is None:
            return
        _, task = self._loading
        self._loading = None
        with suppress(Exception):
            (await asyncio.shield(task)).close()

    def __repr__(self) -> str:
        return f"<Follower of {self.served.alias!r}: {self._snapshot()}>"
