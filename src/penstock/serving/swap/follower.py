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
from typing import Any, Generic, Protocol

from penstock.defaults import KEEP_PREVIOUS, POLL_INTERVAL
from penstock.errors import (
    ModelProcessLost,
    PenstockError,
    RegistryNotFound,
    RegistryUnavailable,
    SignatureIncompatible,
    error_code,
)
from penstock.metrics import Metrics
from penstock.registry.interface import ModelVersion
from penstock.registry.resolutions import AWAY, LastResolution
from penstock.serving.load_failure import LoadFailure
from penstock.serving.swap.freshness import Freshness
from penstock.serving.swap.next_action import (
    Action,
    FailedLoad,
    Load,
    RetirePrevious,
    Revert,
    Snapshot,
    Wait,
    next_action,
    poll_delay,
    retry_delay,
)
from penstock.serving.swap.target import P, Prepare, StoppableLoads, SwapTarget

log = logging.getLogger("penstock.serving")


@dataclass(frozen=True, slots=True)
class FollowOptions:
    """Seconds between polls, and how long a replaced version is kept warm."""

    poll_interval: float = POLL_INTERVAL
    keep_previous: float = KEEP_PREVIOUS


class VersionSource(Protocol):
    """Where a served model's versions come from."""

    async def start(self) -> None:
        """The first version, loaded and proven. Raises what loading raises."""

    async def run(self) -> None:
        """Whatever goes on while the model is served, until cancelled."""


class Follower(Generic[P]):
    """Keeps one served model at the version that its alias names.

    `resolve` asks the registry; it blocks and is run in a thread. `prepare` makes a proven model of a version. `last`
    keeps what was served, for a start without the registry.
    """

    def __init__(
        self,
        stage: SwapTarget[P],
        resolve: Callable[[], ModelVersion],
        prepare: Prepare[P],
        metrics: Metrics,
        *,
        follow: FollowOptions | None = None,
        last: LastResolution | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        now: Callable[[], float] = time.time,
        away: set[str] | None = None,
        loads: StoppableLoads | None = None,
    ) -> None:
        self.stage = stage
        self._loads = loads
        self._resolve = resolve
        self._prepare = prepare
        self._metrics = metrics
        self._follow = follow or FollowOptions()
        self._last = last
        self._clock = clock
        self._chance = chance
        metrics.expect_model(stage.name)
        self._now = now
        # Followers of one registry share a set of those that cannot reach it: one line in the log for all.
        self._away = away if away is not None else set()
        # The whole mutable state: what the registry last said and how fresh that is, the load under way, the last
        # failure and what is known of it, the version that was given up while it answered, until when the previous
        # version is kept, failed polls in a row, whether that was said, the word that a round is due.
        self._freshness = Freshness(self._follow.poll_interval)
        self._wanted: ModelVersion | None = None
        self._wanted_since = 0.0
        self._loading: tuple[str, asyncio.Task[P]] | None = None
        self._failure: FailedLoad | None = None
        self._known_failure: LoadFailure | None = None
        self._given_up: str | None = None
        self._previous_until = 0.0
        self._failed_polls = 0
        self._unreachable = False
        self._woken = asyncio.Event()
        stage.on_failed = self.give_up

    async def start(self) -> None:
        """Resolves and loads for the first time. Raises what that raises, but for a registry or store that is there and
        does not answer: what the registry last said is served then, or it is waited for, and the model is not ready."""
        try:
            await self._poll()
        except AWAY as error:
            if not await self._recall(error):
                if not _passes(error):
                    raise
                self._note_unreachable(error)
                return
        assert self._wanted is not None
        try:
            prepared = await self._prepare_timed(self._wanted)
        except Exception as error:
            if not (_passes(error) or self._freshness.stale(self._clock())):
                raise
            self._note_failure(self._wanted.version, error)
            return
        self.stage.swap(prepared)
        await self._remember()

    async def run(self, *, at_once: bool = False) -> None:
        """Follows until cancelled."""
        try:
            if not at_once:  # followers that began together part here
                await self._sleep(self._follow.poll_interval * self._chance())
            while True:
                await self.step()
                await self._sleep(poll_delay(self._follow.poll_interval, self._failed_polls, self._chance()))
        finally:
            await self._abandon_load()

    async def step(self) -> None:
        """One round: ask the registry, then do whatever can be done now."""
        try:
            await self._poll()
        except Exception as error:  # whatever a backend raises, following goes on
            self._metrics.registry_errors.labels(self.stage.name).inc()
            self._failed_polls += 1
            self._note_unreachable(error)
        self._forget_failure()
        while await self._carry_out(next_action(self._snapshot())):
            pass
        wanted = self._wanted.version if self._wanted else None
        failing = self._failure is not None and self._failure.version == wanted != self.stage.current
        self._metrics.swap_failing.labels(self.stage.name).set(failing)
        await self._remember()

    async def try_once(self) -> None:
        """One round, and another one when the load that it began has ended."""
        await self.step()
        if self._loading is not None:
            await asyncio.wait([self._loading[1]])
            await self.step()

    def wake(self) -> None:
        """The next round is due now."""
        self._woken.set()

    async def _sleep(self, seconds: float) -> None:
        """Waits for the next poll, or until a load ends, which is acted on at once, as is a call."""
        woken = asyncio.create_task(self._woken.wait())
        try:
            waited: list[asyncio.Task[Any]] = [woken, *([self._loading[1]] if self._loading else [])]
            await asyncio.wait(waited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
            self._woken.clear()

    async def _poll(self) -> None:
        try:
            wanted = await asyncio.to_thread(self._resolve)
            if self._wanted is None or self._wanted.version != wanted.version:
                self._wanted_since = self._clock()
            self._wanted = wanted
            self._freshness.succeeded()
        except Exception:
            self._freshness.failed(self._clock())
            raise
        finally:
            self._show_freshness()
        if self._given_up is not None and self._given_up != self._wanted.version:
            self._failure = self._given_up = None  # the alias has moved on
        self._metrics.registry_success.labels(self.stage.name).set_to_current_time()
        self._failed_polls = 0
        if self._unreachable:
            self._unreachable = False
            self._away.discard(self.stage.name)
            if not self._away:
                log.info("%s: the registry names a version again.", self.stage.name)

    async def _recall(self, error: PenstockError) -> bool:
        """Wants what the registry last said, where that is known."""
        found = await asyncio.to_thread(self._last.recall) if self._last is not None else None
        if found is None:
            return False
        self._unreachable = True
        self._away.add(self.stage.name)
        self._wanted = found.version
        self._freshness.recalled()
        self._show_freshness()
        log.warning(
            "%s: the registry cannot be asked; version %s, which it named on %s, is served, and may be stale. %s",
            self.stage.name,
            found.version.version,
            f"{found.seen_at:%Y-%m-%d %H:%M:%S} UTC",
            error,
        )
        return True

    async def _remember(self) -> None:
        """Keeps what the registry says, once it answers here."""
        wanted = self._wanted
        if self._last is not None and wanted is not None and wanted.version == self.stage.current:
            await asyncio.to_thread(self._last.remember, wanted)

    def _show_freshness(self) -> None:
        stale = self._freshness.stale(self._clock())
        self._metrics.registry_stale.labels(self.stage.name).set(stale)
        self.stage.mark(stale=stale)

    def _note_unreachable(self, error: Exception) -> None:
        """Says it once, not at every poll; of a registry that cannot be reached by several, once for all of them."""
        if not self._unreachable:
            self._unreachable = True
            said = bool(self._away) and isinstance(error, RegistryUnavailable)
            if isinstance(error, RegistryUnavailable):
                self._away.add(self.stage.name)
            current = self.stage.current
            serving = f"version {current} goes on answering" if current else "nothing is served yet"
            log.log(
                logging.DEBUG if said else logging.ERROR,
                "%s: the registry names no version, %s. %s",
                self.stage.name,
                serving,
                error,
                exc_info=None if isinstance(error, PenstockError) else error,
            )

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
        if self._loading is not None:
            version, task = self._loading
            if task.done():
                self._finish_load()
                return True
            if self._loads is not None and self._wanted is not None and self._wanted.version != version:
                self._loads.stop()
        match action:
            case Load(version):
                wanted = self._wanted
                assert wanted is not None
                log.info("%s: loading version %s.", self.stage.name, version)
                self._loading = (version, asyncio.create_task(self._prepare_timed(wanted)))
            case Revert():
                self.stage.revert()
                self._clear_failure()  # what was refused beside the other version may do beside this one
                self._swapped()
                return True
            case RetirePrevious():
                self.stage.retire_previous()
                return True
            case Wait():
                pass
        return False

    async def _prepare_timed(self, version: ModelVersion) -> P:
        with self._metrics.loading(self.stage.name, error_code):
            return await self._prepare(version)

    def _finish_load(self) -> None:
        """Takes the ended load: swaps to it, drops it if it is wanted no more, or notes why it failed."""
        assert self._loading is not None
        version, task = self._loading
        self._loading = None
        error = task.exception()
        if self._wanted is None or self._wanted.version != version:
            log.info("%s: version %s was superseded while it loaded.", self.stage.name, version)
            if error is None:
                task.result().drop()
            return
        if error is not None:
            self._note_failure(version, error)
            return
        self._clear_failure()
        self.stage.swap(task.result())
        self._swapped()

    def _swapped(self) -> None:
        self._metrics.swap_seconds.labels(self.stage.name).observe(self._clock() - self._wanted_since)
        self._previous_until = self._clock() + self._follow.keep_previous

    def give_up(self, version: str, why: str) -> None:
        """A version has failed while it answered. Where the one before it is still warm, that one answers again, and
        the failed one is not tried until the alias has named another version."""
        if version != self.stage.current or self.stage.previous is None:
            return
        previous = self.stage.previous
        self._given_up = version
        self._failure = FailedLoad(version, 1, math.inf)
        text = f"Its process {why}."
        self._known_failure = LoadFailure(version, ModelProcessLost.code, text, self._now(), 1, final=True)
        self.stage.note_failure(self._known_failure)
        self.stage.revert()
        self.stage.retire_previous()  # or the alias, which still names it, would have it back at once
        log.error(
            "%s: version %s has failed and is taken back, version %s answers again. %s It is tried again when %s has "
            "named another version.",
            self.stage.name,
            version,
            previous,
            text,
            self.stage.alias or "its alias",
        )

    def _clear_failure(self) -> None:
        self._failure = self._known_failure = None
        self.stage.note_failure(None)

    def _forget_failure(self) -> None:
        """Nobody needs to know what is wrong with a version that is wanted no more. Its back-off is remembered."""
        if (
            self._known_failure is not None
            and (w := self._wanted) is not None
            and w.version != self._known_failure.version
        ):
            self._known_failure = None
            self.stage.note_failure(None)

    def _note_failure(self, version: str, error: BaseException) -> None:
        attempts = self._failure.attempts + 1 if self._failure and self._failure.version == version else 1
        # A signature does not change: no second look at it until the alias moves on.
        delay = math.inf if isinstance(error, SignatureIncompatible) else retry_delay(attempts, self._chance())
        self._failure = FailedLoad(version, attempts, self._clock() + delay)
        known = self._known_failure
        since = known.since if known is not None and known.version == version else self._now()
        text = str(error) if isinstance(error, PenstockError) else f"{type(error).__name__}: {error}"
        self._known_failure = LoadFailure(version, error_code(error), text, since, attempts, final=math.isinf(delay))
        self.stage.note_failure(self._known_failure)
        current = self.stage.current
        serving = f"version {current} goes on answering" if current else "nothing is served"
        log.error(
            "%s: version %s cannot be served, %s. %s",
            self.stage.name,
            version,
            serving,
            error,
            exc_info=None if isinstance(error, PenstockError) else error,
        )

    async def _abandon_load(self) -> None:
        """A process can be stopped. A thread cannot: wait for its end, and release what it loaded."""
        if self._loading is None:
            return
        _, task = self._loading
        self._loading = None
        if self._loads is not None:
            self._loads.stop(for_good=True)
        with suppress(Exception):
            (await asyncio.shield(task)).drop()

    def __repr__(self) -> str:
        return f"<Follower of {self.stage.alias!r}: {self._snapshot()}>"


def _passes(error: Exception) -> bool:
    """Whether waiting helps: somebody is there, and does not answer now."""
    return isinstance(error, RegistryUnavailable) and not isinstance(error, RegistryNotFound)
