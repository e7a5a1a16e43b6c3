"""One model name and the versions behind it: the one that answers, and the one before it, kept warm for a while; what
keeps a newer one from answering; and what its owner, a gateway or a worker of a fleet, hears of it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Literal, Protocol

from penstock.errors import ModelLoading, ModelNotServed
from penstock.metrics import Metrics
from penstock.serving.servable import Servable

log = logging.getLogger("penstock.serving")

# A closed version's series stay this long, so that the last scrape sees its end.
FORGET_AFTER = 600.0

# In place of a version where there is no other process: no version has an empty name.
ALONE = ""


@dataclass(frozen=True, slots=True)
class LoadFailure:
    """Why the version that is wanted does not answer. `code` is that of the error's class; `since` is when it failed
    first, in seconds since 1970; `attempts` counts the tries; `final` says that there will be no other."""

    version: str
    code: str
    message: str
    since: float
    attempts: int
    final: bool = False


@dataclass(frozen=True, slots=True)
class RegistryState:
    """What a model's registry said when it was asked last. `names_no_version` is an answer: the alias, the version or
    the model is gone; `unreachable` says that there was none. `code` is that of the error's class, `since` when that
    began, in seconds since 1970. `stale`: what answers may be another version than the registry names by now."""

    state: Literal["ok", "names_no_version", "unreachable"] = "ok"
    stale: bool = False
    code: str = ""
    message: str = ""
    since: float = 0.0


class ModelEvents(Protocol):
    """Given to each served model when it is made. Called on the event loop; `model` is the name it is served under."""

    def on_ready(self, model: str) -> None:
        """The first version answers."""

    def on_failed(self, model: str, version: str, reason: str) -> None:
        """A version has shown that it cannot serve any more."""

    def on_closed(self, model: str, cyclic: bool) -> None:
        """A version has been closed; `cyclic` says that it may have left circles of objects behind."""


class IgnoredEvents:
    """For a model without an owner."""

    def on_ready(self, model: str) -> None: ...

    def on_failed(self, model: str, version: str, reason: str) -> None: ...

    def on_closed(self, model: str, cyclic: bool) -> None: ...


class ServedModel:
    """`current` answers; `previous` waits warm. Versions leave through `_retire`, which closes them when free.

    `alias` is what the model follows, empty for a fixed version. Used on the event loop only.
    """

    def __init__(
        self,
        name: str,
        metrics: Metrics,
        *,
        alias: str = "",
        events: ModelEvents | None = None,
        forget_after: float = FORGET_AFTER,
    ) -> None:
        self.name = name
        self.alias = alias
        self._events = events or IgnoredEvents()
        self._metrics = metrics
        self._forget_after = forget_after
        # The whole mutable state: two versions, what the registry said last, those on their way out, timers that forget
        # their series; what keeps the wanted version from answering; the version that all processes serve, where there
        # are several.
        self.current: Servable | None = None
        self.previous: Servable | None = None
        self.registry = RegistryState()
        self._closing: set[asyncio.Task[None]] = set()
        self._forgetting: dict[str, asyncio.TimerHandle] = {}
        self.failure: LoadFailure | None = None
        self.agreed: str | None = ALONE

    @property
    def ready(self) -> bool:
        return self.current is not None

    @property
    def settled(self) -> bool:
        """Whether the version that answers here answers in every process of this server."""
        return self.current is not None and self.agreed in (ALONE, self.current.version)

    @property
    def stale(self) -> bool:
        """Whether the registry may name another version by now."""
        return self.registry.stale

    @property
    def waits_because(self) -> str:
        """While it is not ready: the code of what keeps it from being so, `loading` where nothing is wrong."""
        return self.failure.code if self.failure is not None else self.registry.code or "loading"

    def note_registry(self, said: RegistryState) -> None:
        """What the registry said, to be shown."""
        self.registry = said

    def note_failure(self, failure: LoadFailure | None) -> None:
        """What keeps the wanted version from answering, to be shown; None where nothing does."""
        self.failure = failure

    def note_agreed(self, version: str | None) -> None:
        """The version that all processes of this server serve; None while they differ, or it is not known."""
        self.agreed = version

    def version_failed(self, version: str, reason: str) -> None:
        """Called by a servable that cannot serve any more."""
        self._events.on_failed(self.name, version, reason)

    @property
    def versions(self) -> list[Servable]:
        """The loaded versions, the answering one first."""
        return [s for s in (self.current, self.previous) if s is not None]

    def find(self, version: str | None = None) -> Servable:
        """The servable for a request. Raises ModelNotServed, which names the versions that are loaded."""
        if version is None:
            if self.current is None:
                raise ModelLoading(f"Model {self.name!r} is not loaded yet.")
            return self.current
        for servable in self.versions:
            if servable.version == version:
                return servable
        loaded = ", ".join(s.version for s in self.versions) or "none"
        raise ModelNotServed(f"Version {version!r} of model {self.name!r} is not loaded (loaded: {loaded}).")

    def swap(self, new: Servable) -> None:
        """Makes `new` the answering version; the one before it is kept warm, and the one before that goes."""
        self.arrange(new, self.current)

    def replace(self, new: Servable, alias: str) -> None:
        """Makes `new` the answering version, loaded by other settings than the ones before: those go, be they of the
        same number, when what they are working on is done. `alias` is followed from now on."""
        self.alias = alias
        self.arrange(new, None)

    def revert(self) -> None:
        """Makes the version that was kept warm answer again, at once."""
        assert self.previous is not None
        self.arrange(self.previous, self.current)

    def retire_previous(self) -> None:
        """Lets the version that was kept warm go."""
        assert self.current is not None
        self.arrange(self.current, None)

    def arrange(self, current: Servable, previous: Servable | None) -> None:
        """Makes these the versions that answer and stay warm; others go."""
        old, before = self.current, self.previous
        for servable in (current, previous):
            if servable is not None and (timer := self._forgetting.pop(servable.version, None)) is not None:
                timer.cancel()
        self.current, self.previous = current, previous
        for servable in (old, before):
            if servable is not None and servable is not current and servable is not previous:
                self._retire(servable)
        if current is not old:
            self._announce("load" if old is None else "revert" if current is before else "swap")
        if old is None:
            self._events.on_ready(self.name)

    def _announce(self, kind: Literal["load", "swap", "revert"]) -> None:
        assert self.current is not None
        self._metrics.swaps.labels(self.name, kind).inc()
        for servable, state in ((self.current, "current"), (self.previous, "previous")):
            if servable is not None:
                self._describe(servable, state)
        digest = self.current.loaded.digest[:12]
        log.info("%s: now serving version %s (%s).", self.name, self.current.version, digest)

    def _describe(self, servable: Servable, state: str) -> None:
        self._metrics.describe_version(
            self.name,
            servable.version,
            digest=servable.loaded.digest[:12],
            flavor=servable.loaded.flavor,
            alias=self.alias if state == "current" else "",
            state=state,
            lean=servable.loaded.proof.lean,
        )

    def _retire(self, servable: Servable) -> None:
        self._describe(servable, "")
        task = asyncio.get_running_loop().create_task(self._close(servable))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close(self, servable: Servable) -> None:
        await servable.close()
        log.info("%s: closed version %s.", self.name, servable.version)
        self._events.on_closed(self.name, servable.loaded.cyclic)
        loop = asyncio.get_running_loop()
        version = servable.version
        self._forgetting[version] = loop.call_later(self._forget_after, self._forget, version)

    def _forget(self, version: str) -> None:
        self._forgetting.pop(version, None)
        if version not in {s.version for s in self.versions}:
            self._metrics.forget_version(self.name, version)

    async def leave(self) -> None:
        """Closes every version; what is being worked on is finished first. Their series go in their time."""
        leaving = self.versions
        self.current = self.previous = None
        for servable in leaving:
            self._retire(servable)
        while self._closing:
            await asyncio.wait(self._closing)

    async def close(self) -> None:
        """The same, and their series stay as they are."""
        await self.leave()
        for timer in self._forgetting.values():
            timer.cancel()
        self._forgetting.clear()

    def __repr__(self) -> str:
        return f"<ServedModel {self.name}: current {self.current!r}, previous {self.previous!r}>"
