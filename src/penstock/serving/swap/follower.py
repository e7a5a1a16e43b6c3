"""Follows an alias: loads what the registry names now, swaps to it, and lets the version before go in time.

A failed step leaves the current version alone.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic

from penstock.defaults import KEEP_PREVIOUS, POLL_INTERVAL
from penstock.errors import PenstockError, RegistryNotFound, RegistryUnavailable, error_code
from penstock.metrics import Metrics
from penstock.registry.interface import ModelVersion
from penstock.registry.resolutions import UNREACHABLE
from penstock.serving.swap.load_failures import LoadFailures, what_serves
from penstock.serving.swap.next_action import Action, Load, RetirePrevious, Revert, Snapshot, Wait, next_action
from penstock.serving.swap.registry_poll import RegistryPoll
from penstock.serving.swap.target import P, Prepare, StoppableLoads, SwapTarget

log = logging.getLogger("penstock.serving")


@dataclass(frozen=True, slots=True)
class FollowOptions:
    """Seconds between polls, and how long a replaced version is kept warm."""

    poll_interval: float = POLL_INTERVAL
    keep_previous: float = KEEP_PREVIOUS


class Follower(Generic[P]):
    """Keeps one served model at the version that `poll` says it is to serve.

    `prepare` makes a proven model of a version, `loads` can end that before it is through. A replaced version is kept
    warm for `keep_previous` seconds.
    """

    def __init__(
        self,
        target: SwapTarget[P],
        poll: RegistryPoll,
        prepare: Prepare[P],
        metrics: Metrics,
        *,
        loads: StoppableLoads | None = None,
        keep_previous: float = KEEP_PREVIOUS,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.target = target
        self.poll = poll
        self._prepare = prepare
        self._loads = loads
        self._metrics = metrics
        self._keep_previous = keep_previous
        self._clock = clock
        metrics.expect_model(target.name)
        # The whole mutable state: the load under way, failures, until when the previous version is kept, the event that
        # a step is due.
        self._loading: tuple[str, asyncio.Task[P]] | None = None
        self._failures = LoadFailures(clock=clock, chance=chance)
        self._previous_until = 0.0
        self._due = asyncio.Event()

    async def start(self) -> None:
        """Resolves and loads for the first time. Raises what that raises, but for a registry or store that is there and
        does not answer: what the registry last said is served then, or it is waited for, and the model is not ready."""
        try:
            await self._ask()
        except UNREACHABLE as error:
            if await self.poll.recall(error):
                self.target.note_registry(self.poll.said)
            elif _is_temporary(error):
                self.poll.log_failure(error, self.target.answering)
                return
            else:
                raise
        wanted = self.poll.wanted
        assert wanted is not None
        try:
            prepared = await self._prepare_timed(wanted)
        except Exception as error:
            if not (_is_temporary(error) or self.poll.stale):
                log.error(
                    "%s: version %s cannot be served, so the server does not start.", self.target.name, wanted.version
                )
                raise
            self._note_failure(wanted.version, error)
            return
        self.target.swap(prepared)
        await self.poll.remember(self.target.current)

    async def run(self, *, at_once: bool = False) -> None:
        """Follows until cancelled."""
        try:
            if not at_once:
                await self._sleep(self.poll.first_delay())
            while True:
                try:
                    await self.step()
                except Exception:  # a mistake of ours, in whatever it does: the next version must still come in
                    log.exception("%s: a step of following its alias failed; following goes on.", self.target.name)
                await self._sleep(self.poll.next_delay())
        finally:
            await self._abandon_load()

    async def step(self) -> None:
        """One round: ask the registry, then do whatever can be done now."""
        try:
            await self._ask()
        except Exception as error:  # whatever a backend raises, following goes on
            self.poll.note_failure(error, self.target.answering)
        wanted = self.poll.wanted.version if self.poll.wanted else None
        if self._failures.forget(wanted):
            self.target.note_failure(None)
        while await self._carry_out(next_action(self._snapshot())):
            pass
        last = self._failures.last
        failing = last is not None and last.version == wanted != self.target.current
        self._metrics.swap_failing.labels(self.target.name).set(failing)
        await self.poll.remember(self.target.current)

    async def try_once(self) -> None:
        """One round, and another one when the load that it began has ended."""
        try:
            await self.step()
            if self._loading is not None:
                await asyncio.wait([self._loading[1]])
                await self.step()
        except asyncio.CancelledError:
            await self._abandon_load()
            raise

    def wake(self) -> None:
        """The next round is due now."""
        self._due.set()

    async def _sleep(self, seconds: float) -> None:
        """Waits for the next poll, or until a load ends, which is acted on at once, or until it is woken."""
        due = asyncio.create_task(self._due.wait())
        try:
            waited: list[asyncio.Task[Any]] = [due, *([self._loading[1]] if self._loading else [])]
            await asyncio.wait(waited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            due.cancel()
            self._due.clear()

    async def _ask(self) -> None:
        try:
            wanted = await self.poll.ask()
        finally:
            self.target.note_registry(self.poll.said)
        if wanted is not None:
            self._failures.on_named(wanted.version)

    def _snapshot(self) -> Snapshot:
        return Snapshot(
            wanted=self.poll.wanted.version if self.poll.wanted else None,
            current=self.target.current,
            previous=self.target.previous,
            loading=self._loading[0] if self._loading else None,
            failure=self._failures.last,
            previous_until=self._previous_until,
            now=self._clock(),
        )

    async def _carry_out(self, action: Action) -> bool:
        """Does one step. Returns whether to look again at once."""
        wanted = self.poll.wanted
        if self._loading is not None:
            version, task = self._loading
            if task.done():
                self._finish_load()
                return True
            if self._loads is not None and (wanted is None or wanted.version != version):
                self._loads.stop()
        match action:
            case Load(version):
                assert wanted is not None
                log.info("%s: loading version %s.", self.target.name, version)
                self._loading = (version, asyncio.create_task(self._prepare_timed(wanted)))
            case Revert():
                self.target.revert()
                self._clear_failures()  # what was refused beside the other version may be taken beside this one
                self._swapped()
                return True
            case RetirePrevious():
                self.target.retire_previous()
                return True
            case Wait():
                pass
        return False

    async def _prepare_timed(self, version: ModelVersion) -> P:
        with self._metrics.loading(self.target.name, error_code):
            return await self._prepare(version)

    def _finish_load(self) -> None:
        """Takes the ended load: swaps to it, drops it if it is no longer wanted, or notes why it failed."""
        assert self._loading is not None
        version, task = self._loading
        self._loading = None
        error = task.exception()
        if self.poll.wanted is None or self.poll.wanted.version != version:
            why = "no longer named" if self.poll.wanted is None else "superseded"
            log.info("%s: version %s was %s while it loaded; it does not answer.", self.target.name, version, why)
            if error is None:
                task.result().drop()
        elif error is not None:
            self._note_failure(version, error)
        else:
            self._clear_failures()
            self.target.swap(task.result())
            self._swapped()

    def _swapped(self) -> None:
        self._metrics.swap_seconds.labels(self.target.name).observe(self._clock() - self.poll.wanted_since)
        self._previous_until = self._clock() + self._keep_previous

    def give_up(self, model: str, version: str, reason: str) -> None:
        """A version has failed while it answered. Where the one before it is still warm, that one answers again, and
        the failed one is not tried until the alias has named another version."""
        previous = self.target.previous
        if model != self.target.name or version != self.target.current or previous is None:
            return
        text = f"The model process {reason}."
        self._failures.give_up(version, text)
        self.target.note_failure(self._failures.shown)
        self.target.revert()
        self.target.retire_previous()  # or the alias, which still names it, would have it back at once
        log.error(
            "%s: version %s failed; back to version %s. %s Penstock tries the version again after "
            "%s has named another version.",
            self.target.name,
            version,
            previous,
            text,
            self.target.alias or "its alias",
        )

    def _clear_failures(self) -> None:
        self._failures.clear()
        self.target.note_failure(None)

    def _note_failure(self, version: str, error: BaseException) -> None:
        is_news = self._failures.note(version, error)
        self.target.note_failure(self._failures.shown)
        if not is_news:
            return
        log.error(
            "%s: version %s cannot be served; %s. %s",
            self.target.name,
            version,
            what_serves(self.target.answering, version),
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
        return f"<Follower of {self.target.alias!r}: {self._snapshot()}>"


def _is_temporary(error: Exception) -> bool:
    """Whether waiting helps: the registry or store exists, and does not answer now."""
    return isinstance(error, RegistryUnavailable) and not isinstance(error, RegistryNotFound)
