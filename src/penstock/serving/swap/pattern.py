"""A pattern of names: every model of the registry that matches it and has the alias is served, for as long as it does.

Each is followed like any other, by what one question for all of them brought.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from penstock.defaults import POLL_INTERVAL
from penstock.errors import RegistryNotFound, error_code
from penstock.machine.backoff import poll_delay
from penstock.metrics import Metrics
from penstock.registry.interface import ModelVersion
from penstock.registry.names import usable_name
from penstock.registry.resolutions import UNREACHABLE
from penstock.serving.served_model import FORGET_AFTER
from penstock.serving.swap.follower import Follower
from penstock.serving.swap.pattern_search import PatternSearch

log = logging.getLogger("penstock.serving")

NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Changes:
    """Registry names of the models to join, those that are missed from now on, that are back, and that are to leave."""

    join: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    back: tuple[str, ...] = ()
    leave: tuple[str, ...] = ()


def next_changes(
    names: Mapping[str, str], taken: Callable[[str], bool], members: Mapping[str, tuple[float, float]], now: float
) -> Changes:
    """What to do about the models that the registry named: `names` has the name to serve each under, `taken` says
    whether another model has it. `members` has, for each that is served, since when it is missed (inf: it is not), and
    for how many seconds it is served all the same."""
    found = names.keys()
    joining: dict[str, str] = {}
    for name, served_as in sorted(names.items()):
        if name not in members and not taken(served_as) and served_as not in joining.values():
            joining[name] = served_as
    missed = tuple(n for n, (since, _) in members.items() if n not in found and since == float("inf"))
    back = tuple(n for n, (since, _) in members.items() if n in found and since != float("inf"))
    leave = tuple(n for n, (since, grace) in members.items() if n not in found and since + grace <= now)
    return Changes(tuple(joining), missed, back, leave)


@dataclass(slots=True)
class Member:
    """A model that was found: its follower, how it is removed (requests that hold it are finished), for how long it is
    kept once the registry no longer names it."""

    follower: Follower[Any]
    leave: Callable[[], None]
    grace: float
    missed_since: float = NEVER
    task: asyncio.Task[None] | None = None


# Makes a member of a name in the registry, the name to serve it under, and how to ask for its version; it blocks.
Join = Callable[[str, str, Callable[[], ModelVersion | None]], Member]


class Pattern:
    """A source of models. `taken` says whether another model is served under a name already.

    `on_started` is called once, when every model that was found first has been loaded, or tried; `on_waiting` before
    that, with the code of what keeps it from starting.
    """

    def __init__(
        self,
        search: PatternSearch,
        join: Join,
        metrics: Metrics,
        *,
        taken: Callable[[str], bool],
        on_started: Callable[[], None],
        on_waiting: Callable[[str], None] = lambda because: None,
        poll_interval: float = POLL_INTERVAL,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.text = search.pattern
        self._search = search
        self._join = join
        self._metrics = metrics
        self._taken = taken
        self._on_started = on_started
        self._on_waiting = on_waiting
        self._poll_interval = poll_interval
        self._clock = clock
        self._chance = chance
        # The whole mutable state: members by their name in the registry, whether the first ones have been loaded, names
        # that were ignored, whose turn it is to take a step, and the event that one is due.
        self.members: dict[str, Member] = {}
        self._stepping = asyncio.Lock()
        self._due = asyncio.Event()
        self._started = False
        self._ignored: set[str] = set()

    async def start(self) -> None:
        """Loads what matches now, one after the other; where the registry does not answer, what matched the last time.
        A model that cannot be loaded is not waited for, nor is a registry of which nothing is known. Raises
        RegistryNotFound."""
        await self.step()
        if isinstance(self._search.error, UNREACHABLE) and (recalled := await self._search.recall()) is not None:
            await self._adjust(recalled)
            return
        if isinstance(self._search.error, RegistryNotFound):
            raise self._search.error

    async def try_once(self) -> None:
        """One question, and a first try of each model that was found; where the registry does not answer, `run` asks
        again."""
        try:
            await self.step()
        except asyncio.CancelledError:
            await self._stop_following(list(self.members.values()))
            raise

    async def run(self) -> None:
        """Asks until cancelled; then the members' tasks end too."""
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(poll_delay(self._poll_interval, self._search.failures, self._chance())):
                        await self._due.wait()
                self._due.clear()
                await self.step()
        finally:
            await self._stop_following(list(self.members.values()))

    def wake(self) -> None:
        """The next question is due now."""
        self._due.set()

    async def release(self, served_as: str) -> None:
        """Leaves a member to another source: it is served as it is, and nothing of it is followed here."""
        for name in [name for name in self.members if usable_name(name) == served_as]:
            await self._stop_following([self.members.pop(name)])
            self._search.forget(name)

    @property
    def served(self) -> list[str]:
        """The names that its members are served under."""
        return sorted(map(usable_name, self.members))

    @staticmethod
    async def _stop_following(members: list[Member]) -> None:
        tasks = [member.task for member in members if member.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def ask(self) -> bool:
        """One step; returns whether the registry has answered."""
        await self.step()
        return self._search.error is None

    async def step(self) -> None:
        """One question, and what follows from its answer."""
        async with self._stepping:
            if (found := await self._search.ask()) is not None:
                if not self._started:
                    self._on_waiting("loading")
                await self._adjust(found)
                await self._search.remember(found, self.members.keys())
            elif not self._started and self._search.error is not None:
                self._on_waiting(error_code(self._search.error))
            for member in self.members.values():
                member.follower.wake()

    def give_up(self, model: str, version: str, reason: str) -> None:
        """A version of a model has failed while it answered."""
        for member in self.members.values():
            member.follower.give_up(model, version, reason)

    async def _adjust(self, found: Mapping[str, str]) -> None:
        names = {name: usable_name(name) for name in found}
        members = {name: (m.missed_since, m.grace) for name, m in self.members.items()}
        changes = next_changes(names, self._taken, members, self._clock())
        for name in changes.missed:
            member = self.members[name]
            member.missed_since = self._clock()
            log.warning("%s: no longer matches %s; removing in %g s.", usable_name(name), self.text, member.grace)
        for name in changes.back:
            self.members[name].missed_since = NEVER
            log.info("%s: matches %s again.", usable_name(name), self.text)
        for name in changes.join:
            self.members[name] = self._join(name, names[name], partial(self._search.resolve, name))
            log.info("%s: matches %s; adding it.", names[name], self.text)
        for name in sorted(set(found) - self.members.keys() - self._ignored):
            self._ignored.add(name)
            log.info("%s: ignored for %s; a model is served under that name already.", names[name], self.text)
        await self._begin(changes.join)
        for name in changes.leave:
            await self._remove(name)

    async def _begin(self, names: tuple[str, ...]) -> None:
        """Those that were there at the start are waited for, one after the other; others come when they come."""
        for name in names:
            follower = self.members[name].follower
            if self._search.error is not None:
                await follower.start()  # which recalls its version
            elif not self._started:
                await follower.try_once()
            self.members[name].task = asyncio.create_task(follower.run(at_once=self._started))
        if not self._started:
            self._started = True
            if not self.members:
                log.info("%s: no model matches yet.", self.text)
            self._on_started()

    async def _remove(self, name: str) -> None:
        member = self.members.pop(name)
        await self._stop_following([member])
        self._search.forget(name)
        served_as = usable_name(name)
        log.info("%s: removed.", served_as)
        member.leave()
        asyncio.get_running_loop().call_later(FORGET_AFTER, self._forget, served_as)

    def _forget(self, served_as: str) -> None:
        if served_as not in {usable_name(name) for name in self.members} and not self._taken(served_as):
            self._metrics.forget_model(served_as)

    def __repr__(self) -> str:
        return f"<Pattern {self.text!r}: {', '.join(sorted(self.members)) or 'nothing'}>"
