"""The owner of which models a server has: their sources come and go with the settings, and what serves is handed from
one to the next without a gap."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Generic

from penstock.assembly.live.changes import ModelChanges, applied, changes_of, default_of
from penstock.assembly.options import check_mlflow_exact, isolation_of
from penstock.assembly.references import parse_models, patterns_of
from penstock.assembly.sources import Host, SourceContext, SourceMaker
from penstock.config import ServerSettings, Settings
from penstock.loading import Timed
from penstock.registry import Registry
from penstock.registry.references import ModelReference
from penstock.serving.served_model import FORGET_AFTER
from penstock.serving.swap.alias_waiter import AliasWaiter
from penstock.serving.swap.pattern import Pattern
from penstock.serving.swap.preparing import Installer
from penstock.serving.swap.sources import Sources, VersionSource
from penstock.serving.swap.target import P

log = logging.getLogger("penstock.serving")


@dataclass(frozen=True, slots=True)
class _Entry:
    reference: ModelReference
    source: VersionSource


class LiveModels(Generic[P]):
    """The models of a host, each with its source. It stands before the host for all sources, so that a model whose
    source has gone counts as free for another one to take over, and answers meanwhile.

    `open_registry` opens the server's registry when the first model needs one. Used on the event loop only.
    """

    def __init__(
        self, context: SourceContext, host: Host[P], sources: Sources, open_registry: Callable[[], Registry]
    ) -> None:
        self._context = context
        self._host = host
        self._sources = sources
        self._open_registry = open_registry
        self._maker = SourceMaker(context, self)
        # The whole mutable state: the models and patterns of the settings, those that are served and have no source,
        # and the task that ends what nobody takes over.
        self._entries: dict[str, _Entry] = {}
        self._orphans: set[str] = set()
        self._ending: asyncio.Task[None] | None = None

    def add(self, references: Iterable[ModelReference]) -> None:
        """Before the start."""
        for reference in references:
            self._entries[reference.served_as] = entry = _Entry(reference, self._maker.source(reference))
            self._sources.add(entry.source)

    async def wait_for_aliases(self) -> None:
        """Until cancelled: where the registry tells when an alias moves, whatever follows it asks at once then."""
        interval = self._context.settings.poll_interval
        await AliasWaiter(lambda: self._context.registry, self._sources.wake, interval=interval).run()

    # -- a change of the settings --------------------------------------------------------------------------------------

    def changes(self, settings: ServerSettings) -> ModelChanges:
        """What these settings would change. Raises ConfigError for those that no server could start with."""
        members = {name: pattern.served for name, pattern in self._patterns()}
        changes = changes_of(self._running, settings, members)
        for reference in (*changes.added, *changes.changed):
            isolation_of(settings.of(reference.served_as))
        check_mlflow_exact(settings)
        if self._context.registry is None and any(r.needs_registry for r in (*changes.added, *changes.changed)):
            self._context.registry = self._open_registry()
        return changes

    async def apply(self, settings: ServerSettings, changes: ModelChanges) -> None:
        """Serves the models of these settings from now on, which are these `changes`: what is new or different is
        loaded while all else answers."""
        await self._let_go(changes)
        self._context.settings = applied(self._running, settings)
        references = parse_models(self._context.settings)
        default = default_of(self._context.settings, references, self._host.default)
        self._host.expect([r.served_as for r in references if not r.is_pattern], patterns_of(references), default)
        for reference in references:
            if reference in (*changes.added, *changes.changed):
                self._begin(reference)
        self._end_orphans()

    @property
    def follows(self) -> bool:
        """Whether a version may come without a change of the settings."""
        return any(e.reference.follows or e.reference.is_pattern for e in self._entries.values())

    @property
    def default(self) -> str | None:
        return self._host.default

    @property
    def _running(self) -> ServerSettings:
        settings = self._context.settings
        assert isinstance(settings, ServerSettings), "a server's settings, read from its file"
        return settings

    async def _let_go(self, changes: ModelChanges) -> None:
        """Ends the sources of what changes. What they serve goes on answering."""
        for reference in (*changes.removed, *changes.changed):
            entry = self._entries.pop(reference.served_as)
            served = entry.source.served if isinstance(entry.source, Pattern) else [reference.served_as]
            await self._sources.end(entry.source)
            self._orphans.update(name for name in served if self._host.serves(name))
        for reference in changes.added:
            for _, pattern in self._patterns():
                if reference.served_as in pattern.served:
                    await pattern.release(reference.served_as)
                    self._orphans.add(reference.served_as)

    def _begin(self, reference: ModelReference) -> None:
        entry = self._entries[reference.served_as] = _Entry(reference, self._maker.source(reference))
        self._sources.begin(entry.source)

    def _patterns(self) -> list[tuple[str, Pattern]]:
        return [(name, e.source) for name, e in self._entries.items() if isinstance(e.source, Pattern)]

    # -- what nobody serves any more -----------------------------------------------------------------------------------

    def _end_orphans(self) -> None:
        """What no pattern may take over goes at once, the rest when the registry has said so."""
        patterns = [pattern for _, pattern in self._patterns()]
        for name in sorted(self._orphans):
            if not any(fnmatchcase(name, e.reference.name) for e in self._entries.values() if e.reference.is_pattern):
                self._remove(name)
        if self._ending is not None:
            self._ending.cancel()
        if self._orphans:
            self._ending = asyncio.create_task(self._end_unclaimed(patterns))

    async def _end_unclaimed(self, patterns: Sequence[Pattern]) -> None:
        for pattern in patterns:
            while True:  # a registry that does not answer removes no model
                if await pattern.ask():
                    break
                await asyncio.sleep(self._context.settings.poll_interval)
        for name in sorted(self._orphans):
            self._remove(name)

    def _remove(self, name: str) -> None:
        self._orphans.discard(name)
        log.info("%s: removed; what is in flight is finished.", name)
        self._host.remove(name)
        asyncio.get_running_loop().call_later(FORGET_AFTER, self._forget, name)

    def _forget(self, name: str) -> None:
        if not self._host.serves(name):
            self._context.metrics.forget_model(name)

    def close(self) -> None:
        if self._ending is not None:
            self._ending.cancel()

    # -- the host, as sources see it -----------------------------------------------------------------------------------

    def installer(self, reference: ModelReference, settings: Settings, timed: Timed) -> Installer[P]:
        self._orphans.discard(reference.served_as)
        return self._host.installer(reference, settings, timed)

    def serves(self, name: str) -> bool:
        return name not in self._orphans and self._host.serves(name)

    def pattern_started(self, pattern: str) -> None:
        self._host.pattern_started(pattern)

    def pattern_waits(self, pattern: str, because: str) -> None:
        self._host.pattern_waits(pattern, because)

    def expect(self, models: Sequence[str], patterns: Sequence[str], default: str | None) -> None:
        self._host.expect(models, patterns, default)

    def remove(self, name: str) -> None:
        self._host.remove(name)

    def __repr__(self) -> str:
        return f"<LiveModels {', '.join(self._entries)}; {len(self._orphans)} without a source>"
