"""Where the versions of the served models come from. One piece of code for one process and for many: what differs is
the place that versions are installed in (`Host`, `Installer`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, Protocol

from penstock.assembly.options import follow_options_of
from penstock.assembly.packages import fetch_fixed, fetch_of, last_of
from penstock.config import Settings
from penstock.loading import Timed
from penstock.metrics import Metrics
from penstock.registry import Registry
from penstock.registry.interface import ModelVersion
from penstock.registry.references import ModelReference
from penstock.registry.resolutions import LastSearch
from penstock.serving.swap.fixed_version import FixedVersion
from penstock.serving.swap.follower import Follower
from penstock.serving.swap.pattern import Member, Pattern
from penstock.serving.swap.pattern_search import PatternSearch
from penstock.serving.swap.preparing import FetchedPackage, Installer, VersionPreparation
from penstock.serving.swap.registry_poll import RegistryPoll
from penstock.serving.swap.sources import VersionSource
from penstock.serving.swap.target import P


@dataclass(slots=True)
class SourceContext:
    """What the sources of one server share. `settings` are the whole server's; they and the registry are replaced when
    the settings file changes, and are asked anew for each source."""

    settings: Settings
    registry: Registry | None
    metrics: Metrics
    # Names of the models whose registry does not answer. The followers write it, so that the log has one line for all.
    unreachable: set[str] = field(default_factory=set)


class Host(Protocol[P]):
    """What serves the models: the gateway of this process, or a fleet of workers."""

    def installer(self, reference: ModelReference, settings: Settings, timed: Timed) -> Installer[P]:
        """For one model, with that model's settings. Where it is served already, its versions answer until the
        installer has one of its own."""

    def serves(self, name: str) -> bool: ...

    def pattern_started(self, pattern: str) -> None:
        """What the pattern found first is loaded, or was tried."""

    def pattern_waits(self, pattern: str, because: str) -> None:
        """The code of what keeps the pattern from finding its first models."""

    def remove(self, name: str) -> None:
        """Serves a model no more. What it works on is finished."""

    def expect(self, models: Sequence[str], patterns: Sequence[str], default: str | None) -> None:
        """What is to be loaded before the server is ready for the first time; the model that answers where a request
        names none."""

    @property
    def default(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class SourceMaker(Generic[P]):
    """Makes the source of each reference for one host."""

    context: SourceContext
    host: Host[P]

    def source(self, reference: ModelReference) -> VersionSource:
        if reference.is_pattern:
            return self._pattern(reference, self._registry)
        if reference.follows:
            return self._follower(reference, partial(reference.resolve, self._registry), self._registry)
        return self._fixed(reference)

    @property
    def _registry(self) -> Registry:
        assert self.context.registry is not None, "a reference into the registry was parsed, so one was opened"
        return self.context.registry

    def _fixed(self, reference: ModelReference) -> FixedVersion[P]:
        context = self.context
        own, timed = context.settings.of(reference.served_as), context.metrics.load_stages(reference.served_as)
        installer = self.host.installer(reference, own, timed)
        registry = context.registry

        def fetch() -> FetchedPackage:
            with timed("fetch"):
                return fetch_fixed(own, reference, registry)

        prepare = partial(installer.install, fetch, beside_requests=False)
        return FixedVersion(
            installer.target, prepare, context.metrics, version=reference.version, loads=installer.loads
        )

    def _follower(
        self,
        reference: ModelReference,
        resolve: Callable[[], ModelVersion | None],
        registry: Registry,
    ) -> Follower[P]:
        context = self.context
        own, timed = context.settings.of(reference.served_as), context.metrics.load_stages(reference.served_as)
        installer = self.host.installer(reference, own, timed)
        fetch = fetch_of(own, registry, lambda: installer.target.current)

        prepare = VersionPreparation(fetch, timed, installer)
        follow = follow_options_of(own)
        poll = RegistryPoll(
            reference.served_as,
            resolve,
            context.metrics,
            interval=follow.poll_interval,
            last=last_of(reference, registry),
            unreachable=context.unreachable,
        )
        return Follower(
            installer.target,
            poll,
            prepare,
            context.metrics,
            loads=installer.loads,
            keep_previous=follow.keep_previous,
        )

    def _pattern(self, reference: ModelReference, registry: Registry) -> Pattern:
        """The source of every model whose name matches."""
        context, host = self.context, self.host

        def join(name: str, served_as: str, resolve: Callable[[], ModelVersion | None]) -> Member:
            found = ModelReference(served_as, name=name, alias=reference.alias)
            follower = self._follower(found, resolve, registry)
            return Member(follower, partial(host.remove, served_as), context.settings.of(served_as).keep_previous)

        search = PatternSearch(
            str(reference),
            partial(registry.search, reference.name, reference.alias),
            registry.version,
            last=LastSearch(registry.cache.root, registry.place, str(reference)),
        )
        return Pattern(
            search,
            join,
            context.metrics,
            taken=host.serves,
            on_started=partial(host.pattern_started, str(reference)),
            on_waiting=partial(host.pattern_waits, str(reference)),
            poll_interval=context.settings.poll_interval,
        )


def make_sources(context: SourceContext, references: Sequence[ModelReference], host: Host[P]) -> list[VersionSource]:
    """A source for each reference, in their order; not yet started."""
    maker = SourceMaker(context, host)
    return [maker.source(reference) for reference in references]
