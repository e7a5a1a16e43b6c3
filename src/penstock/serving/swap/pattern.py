"""A pattern of names: every model of the registry that matches it and has the alias is served, for as long as it does.

The registry is asked one question for all of them. Each is followed like any other, by what that question brought.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from penstock.defaults import POLL_INTERVAL
from penstock.errors import PenstockError, RegistryNotFound, RegistryUnavailable
from penstock.metrics import Metrics
from penstock.payload import some
from penstock.registry.interface import ModelVersion
from penstock.registry.names import usable_name
from penstock.registry.resolutions import AWAY, LastSearch
from penstock.serving.served_model import FORGET_AFTER
from penstock.serving.swap.follower import Follower
from penstock.serving.swap.next_action import poll_delay

log = logging.getLogger("penstock.serving")


@dataclass(frozen=True, slots=True)
class Changes:
    """Registry names to be served from now on, those that are missed since now, that are back, and that are to go."""

    join: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    back: tuple[str, ...] = ()
    leave: tuple[str, ...] = ()


def next_changes(
    names: Mapping[str, str], taken: Callable[[str], bool], members: Mapping[str, tuple[float, float]], now: float
) -> Changes:
    """What to do about the models that the registry named: `names` has the name to serve each under, `taken` says
    whether somebody else has it. `members` has, for each that is served, since when it is missed (inf: it is not), and
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
    """A model that was found: its follower, how it is taken away (requests that hold it are finished), for how long it
    is kept once the registry names it no more."""

    follower: Follower[Any]
    leave: Callable[[], None]
    grace: float
    missed_since: float = float("inf")
    task: asyncio.Task[None] | None = None


# Makes a member of a name in the registry, the name to serve it under, and how to ask for its version; it blocks.
Join = Callable[[str, str, Callable[[], ModelVersion]], Member]


class Pattern:
    """A source of models. `search` asks the registry for names and versions, `version` for one version; both block.
    `last` keeps the names, for a start without the registry, as each follower keeps its version.

    `on_started` is called once, when every model that was found first has been loaded, or tried.
    """

    def __init__(
        self,
        text: str,
        search: Callable[[], Mapping[str, str]],
        version: Callable[[str, str], ModelVersion],
        join: Join,
        metrics: Metrics,
        *,
        taken: Callable[[str], bool],
        on_started: Callable[[], None],
        last: LastSearch | None = None,
        poll_interval: float = POLL_INTERVAL,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.text = text
        self._search = search
        self._version = version
        self._join = join
        self._metrics = metrics
        self._taken = taken
        self._on_started = on_started
        self._last = last
        self._poll_interval = poll_interval
        self._clock = clock
        self._chance = chance
        # The whole mutable state: members by their name in the registry; what it said last, and the error where it said
        # nothing; the versions that were asked for; failed polls in a row; whether the beginning is over; names passed
        # over.
        self.members: dict[str, Member] = {}
        self._found: dict[str, str] = {}
        self._error: Exception | None = None
        self._versions: dict[str, ModelVersion] = {}
        self._failed_polls = 0
        self._started = False
        self._passed_over: set[str] = set()

    async def start(self) -> None:
        """Loads what matches now, one after the other; where the registry does not answer, what matched the last time.
        A model that cannot be loaded is not waited for, nor is a registry of which nothing is known. Raises
        RegistryNotFound."""
        await self.step()
        if isinstance(self._error, AWAY) and await self._recall():
            return
        if isinstance(self._error, RegistryNotFound):
            raise self._error

    async def run(self) -> None:
        """Asks until cancelled; then the members' tasks end too."""
        try:
            while True:
                await asyncio.sleep(poll_delay(self._poll_interval, self._failed_polls, self._chance()))
                await self.step()
        finally:
            tasks = [member.task for member in self.members.values() if member.task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def step(self) -> None:
        """One question, and what follows from its answer."""
        try:
            found = dict(await asyncio.to_thread(self._search))
        except Exception as error:  # whatever a backend raises, it is asked again
            self._note_error(error)
        else:
            self._note_answer(found)
            await self._adjust(found)
            await self._remember(found)
        for member in self.members.values():
            member.follower.wake()

    async def _recall(self) -> bool:
        """Serves what the registry last named, where that is known: each in the version that answered then."""
        found = await asyncio.to_thread(self._last.recall) if self._last is not None else None
        if found is None:
            return False
        log.warning(
            "%s: the registry cannot be asked; the models that it named on %s UTC are served (%s).",
            self.text,
            f"{found.seen_at:%Y-%m-%d %H:%M:%S}",
            some(sorted(found.names)) or "none",
        )
        self._found.update(found.names)
        await self._adjust(found.names)
        return True

    async def _remember(self, found: Mapping[str, str]) -> None:
        if self._last is not None:
            names = {name: number for name, number in found.items() if name in self.members}
            await asyncio.to_thread(self._last.remember, names)

    def _note_error(self, error: Exception) -> None:
        if self._error is None:
            log.error(
                "%s: the registry does not say which models there are; what is served goes on. %s",
                self.text,
                error,
                exc_info=None if isinstance(error, PenstockError) else error,
            )
        self._error = error
        self._failed_polls += 1

    def _note_answer(self, found: dict[str, str]) -> None:
        if self._error is not None:
            log.info("%s: the registry answers again.", self.text)
        self._error = None
        self._failed_polls = 0
        self._found.update(found)  # those that are missed keep their last version, for as long as they are served

    async def _adjust(self, found: dict[str, str]) -> None:
        names = {name: usable_name(name) for name in found}
        members = {name: (m.missed_since, m.grace) for name, m in self.members.items()}
        changes = next_changes(names, self._taken, members, self._clock())
        for name in changes.missed:
            member = self.members[name]
            member.missed_since = self._clock()
            log.warning(
                "%s: the registry names it no more for %s; it goes in %g s.", usable_name(name), self.text, member.grace
            )
        for name in changes.back:
            self.members[name].missed_since = float("inf")
            log.info("%s: the registry names it again.", usable_name(name))
        for name in changes.join:
            self.members[name] = self._join(name, names[name], lambda name=name: self._resolve(name))  # type: ignore[misc]
            log.info("%s: found for %s.", names[name], self.text)
        for name in sorted(set(found) - self.members.keys() - self._passed_over):
            self._passed_over.add(name)
            log.info("%s: passed over for %s, that name is served already.", names[name], self.text)
        await self._begin(changes.join)
        for name in changes.leave:
            await self._take_away(name)

    async def _begin(self, names: tuple[str, ...]) -> None:
        """Those that were there at the start are waited for, one after the other; others come when they come."""
        for name in names:
            follower = self.members[name].follower
            if self._error is not None:
                await follower.start()  # which recalls its version
            elif not self._started:
                await follower.try_once()
            self.members[name].task = asyncio.create_task(follower.run(at_once=self._started))
        if not self._started:
            self._started = True
            if not self.members:
                log.info("%s: no model matches yet.", self.text)
            self._on_started()

    def _resolve(self, name: str) -> ModelVersion:
        """The version that a member is to serve, in the last answer. Only a version that is new is asked for."""
        if self._error is not None:
            raise RegistryUnavailable(str(self._error)) from self._error
        number = self._found[name]
        known = self._versions.get(name)
        if known is None or known.version != number:
            known = self._versions[name] = self._version(name, number)
        return known

    async def _take_away(self, name: str) -> None:
        member = self.members.pop(name)
        if member.task is not None:
            member.task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(member.task, return_exceptions=True)
        self._found.pop(name, None)
        self._versions.pop(name, None)
        log.info("%s: is served no more.", usable_name(name))
        member.leave()
        served_as = usable_name(name)
        asyncio.get_running_loop().call_later(FORGET_AFTER, self._forget, served_as)

    def _forget(self, served_as: str) -> None:
        if served_as not in {usable_name(name) for name in self.members} and not self._taken(served_as):
            self._metrics.forget_model(served_as)

    def __repr__(self) -> str:
        return f"<Pattern {self.text!r}: {', '.join(sorted(self.members)) or 'nothing'}>"
