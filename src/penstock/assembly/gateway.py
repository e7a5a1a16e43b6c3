"""A gateway and a server put together from settings: the only place, with `workers`, where settings become constructor
arguments."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from penstock.artifacts import CachedPackage, PackageCache, default_cache
from penstock.artifacts.remote_package import RemotePackage
from penstock.assembly.observers import observers_of
from penstock.cli.environment_options import builds_environments, environments_of, interpreter_for
from penstock.config import Settings
from penstock.errors import ConfigError, remedy
from penstock.http.events.request_event import OnRequest
from penstock.http.run import RunOptions, port_of, serve
from penstock.loading import LoadOptions, Timed, fetch_reference
from penstock.machine.cores import threads_each, usable_cores
from penstock.machine.interpreters import Interpreter
from penstock.machine.throttle import background
from penstock.metrics import Metrics
from penstock.package import PackagedModel
from penstock.registry import Registry, open_registry
from penstock.registry.interface import ModelVersion
from penstock.registry.references import ModelReference, parse_reference
from penstock.registry.resolutions import LastResolution, LastSearch, resolve_or_recall
from penstock.server.app import make_app
from penstock.server.entry_point import EntryPoint
from penstock.serving.batching.admission import InflightLimits
from penstock.serving.gateway import Gateway
from penstock.serving.runners.isolation import GRACE, Isolation, Loaded, own_interpreter
from penstock.serving.servable import ServingOptions, slots_of
from penstock.serving.served_model import ServedModel
from penstock.serving.swap.fixed_version import FixedVersion
from penstock.serving.swap.follower import Follower, FollowOptions
from penstock.serving.swap.pattern import Join, Member, Pattern
from penstock.serving.swap.pattern_search import PatternSearch
from penstock.serving.swap.registry_poll import RegistryPoll
from penstock.serving.swap.signature_guard import SignatureGuard
from penstock.serving.swap.sources import VersionSource
from penstock.serving.swap.target import LoadedVersion, LocalTarget, in_a_thread
from penstock.serving.swap.version_loader import VersionLoader


async def serve_forever(
    settings: Settings, bound: socket.socket, announce: Callable[[str], None], admin: socket.socket | None = None
) -> None:
    """Serves the settings' models on a bound socket, and what `admin_port` moves on a second one, until a signal comes.
    Raises what loading raises."""
    references = parse_models(settings)
    with registry_of(settings, references) as registry:
        gateway = make_gateway(settings, references, registry)
        with observers_of(settings, gateway.metrics) as observe:
            app = app_of(settings, gateway, admin, observe)
            await serve(app, gateway, bound, run_options_of(settings), on_ready=announce, admin=admin)


def parse_models(settings: Settings) -> list[ModelReference]:
    """The models to serve. Raises ConfigError where two have one name, or the default is none of them."""
    references = [parse_reference(text, patterns=True) for text in settings.models]
    names = [r.served_as for r in references]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise ConfigError(f"Two models would be served as {twice[0]!r}.", hint="Write NAME=MODEL for one of them.")
    default = settings.default_model
    if default is not None and not any(
        fnmatchcase(default, r.name) if r.is_pattern else default == r.served_as for r in references
    ):
        raise ConfigError(f"The default model {settings.default_model!r} is none of those served: {', '.join(names)}.")
    return references


@contextmanager
def registry_of(settings: Settings, references: list[ModelReference]) -> Iterator[Registry | None]:
    """The registry, open, if one of the models is in it."""
    if not any(r.needs_registry for r in references):
        yield None
        return
    registry = open_registry(
        settings.registry,
        artifacts=settings.artifacts,
        read_only=True,
        cache=settings.cache,
        cache_size=settings.cache_size,
    )
    try:
        yield registry
    finally:
        registry.close()


def app_of(
    settings: Settings, gateway: Gateway, admin: socket.socket | None, observe: OnRequest | None = None
) -> EntryPoint:
    return make_app(
        gateway,
        token=settings.api_token.get_secret_value(),
        max_body_bytes=settings.max_body_bytes,
        timeout=settings.timeout,
        nan_words=settings.nan_words,
        observe=observe,
        admin_port=None if admin is None else port_of(admin),
        predict_route=settings.predict_route,
        health_route=settings.health_route,
    )


def run_options_of(settings: Settings) -> RunOptions:
    return RunOptions(settings.keep_alive, settings.drain_delay, settings.drain_timeout)


def load_options_of(settings: Settings) -> LoadOptions:
    return LoadOptions(settings.trust_code, settings.strict_env, settings.flavor, settings.threads)


def serving_options_of(settings: Settings) -> ServingOptions:
    return ServingOptions(
        settings.max_rows, settings.max_queue_rows, settings.concurrency, settings.max_wait, settings.timeout
    )


def isolation_of(settings: Settings) -> Isolation:
    """Raises ConfigError where what is wanted does not go together."""
    mode = settings.isolation
    interpreter: Callable[[PackagedModel], Interpreter] = own_interpreter
    if builds_environments(settings.env_manager):
        if mode == "none":
            raise ConfigError(
                f"A model cannot run with env_manager {settings.env_manager} in the gateway's own process.",
                hint="Leave isolation at auto, or set it to process.",
                remedy=remedy("isolate"),
            )
        environments = environments_of(settings.cache, settings.wheels)
        options = load_options_of(settings)
        interpreter = interpreter_for(
            environments, trust_code=options.trust_code, strict_env=options.strict_env, flavor=options.flavor
        )
        mode = "process"
    return Isolation(
        mode=mode,
        instances=settings.instances,
        memory_limit=settings.memory_limit,
        threads=settings.threads or (0 if settings.instances == 1 else threads_of(settings) // settings.instances or 1),
        slots=slots_of(serving_options_of(settings)),
        time_limit=settings.timeout + GRACE,
        interpreter=interpreter,
    )


def intake_of(settings: Settings) -> InflightLimits:
    return InflightLimits(settings.max_inflight, settings.max_inflight_bytes)


def follow_options_of(settings: Settings) -> FollowOptions:
    return FollowOptions(settings.poll_interval, settings.keep_previous)


def make_gateway(settings: Settings, references: list[ModelReference], registry: Registry | None) -> Gateway:
    """The gateway for these models, not yet started."""
    metrics = Metrics()
    unreachable: set[str] = set()
    named = [r for r in references if not r.is_pattern]
    gateway = Gateway(
        [],
        metrics,
        names=[r.served_as for r in named],
        default=settings.default_model,
        patterns=patterns_of(references),
        tidy=True,
        intake=intake_of(settings),
    )
    for r in named:
        gateway.add(served := ServedModel(r.served_as, metrics, alias=r.alias, events=gateway))
        own = settings.of(r.served_as)
        gateway.add_source(_source(own, r, served, registry, metrics, unreachable, lambda: gateway.ready))
    for reference in references:
        if reference.is_pattern:
            assert registry is not None
            gateway.add_source(_pattern(settings, reference, registry, gateway, unreachable))
    return gateway


def patterns_of(references: list[ModelReference]) -> list[str]:
    return [str(r) for r in references if r.is_pattern]


def _pattern(
    settings: Settings, reference: ModelReference, registry: Registry, gateway: Gateway, unreachable: set[str]
) -> Pattern:
    def join(name: str, served_as: str, resolve: Callable[[], ModelVersion]) -> Member:
        own = settings.of(served_as)
        served = ServedModel(served_as, gateway.metrics, alias=reference.alias, events=gateway)
        gateway.add(served)
        last = last_of(ModelReference(served_as, name=name, alias=reference.alias), registry)
        follower = _follower(own, served, resolve, registry, gateway.metrics, unreachable, lambda: gateway.ready, last)
        return Member(follower, partial(gateway.remove, served_as), own.keep_previous)

    return pattern_of(reference, registry, join, gateway.metrics, settings, gateway.serves, gateway.pattern_started)


def pattern_of(
    reference: ModelReference,
    registry: Registry,
    join: Join,
    metrics: Metrics,
    settings: Settings,
    serves: Callable[[str], bool],
    started: Callable[[str], None],
) -> Pattern:
    """The source of the models that a pattern names, in one process or in several."""
    search = PatternSearch(
        str(reference),
        partial(registry.search, reference.name, reference.alias),
        registry.version,
        last=LastSearch(registry.cache.root, registry.place, str(reference)),
    )
    return Pattern(
        search,
        join,
        metrics,
        taken=serves,
        on_started=partial(started, str(reference)),
        poll_interval=settings.poll_interval,
    )


def _source(
    settings: Settings,
    reference: ModelReference,
    served: ServedModel,
    registry: Registry | None,
    metrics: Metrics,
    unreachable: set[str],
    busy: Callable[[], bool],
) -> VersionSource:
    if not reference.follows:
        timed = metrics.load_stages(served.name)
        loader = loader_of(settings, reference.served_as, timed)
        target = LocalTarget(served, metrics, serving_options_of(settings))
        prepare = partial(asyncio.to_thread, _load_pinned, settings, reference, registry, loader, timed)
        return FixedVersion(target, prepare, metrics, loads=loader)
    assert registry is not None
    return _follower(
        settings,
        served,
        partial(reference.resolve, registry),
        registry,
        metrics,
        unreachable,
        busy,
        last_of(reference, registry),
    )


def _follower(
    settings: Settings,
    served: ServedModel,
    resolve: Callable[[], ModelVersion],
    registry: Registry,
    metrics: Metrics,
    unreachable: set[str],
    busy: Callable[[], bool],
    last: LastResolution | None = None,
) -> Follower[LoadedVersion]:
    target = LocalTarget(served, metrics, serving_options_of(settings))
    fetch = fetch_of(settings, registry, lambda: target.current)
    timed = metrics.load_stages(served.name)
    loader = loader_of(settings, served.name, timed)

    def load_version(version: ModelVersion) -> Loaded:
        with timed("fetch"), background():
            package = fetch(version)
        with package:
            return loader.load(package.path, version.version)

    follow = follow_options_of(settings)
    poll = RegistryPoll(
        served.name, resolve, metrics, interval=follow.poll_interval, last=last, unreachable=unreachable
    )
    prepare = in_a_thread(load_version, busy)
    return Follower(target, poll, prepare, metrics, loads=loader, keep_previous=follow.keep_previous)


def last_of(reference: ModelReference, registry: Registry) -> LastResolution:
    """Where a follower keeps what its registry last said."""
    return LastResolution(registry.cache.root, registry.place, str(reference))


def loader_of(settings: Settings, name: str, timed: Timed, *, threads: int = 0) -> VersionLoader:
    """How packages become versions of the model of this name, here or in processes of their own. `threads` are a
    model's where the settings say nothing."""
    options = load_options_of(settings)
    return VersionLoader(replace(options, threads=options.threads or threads), isolation_of(settings), name, timed)


def threads_of(settings: Settings) -> int:
    """How many threads the models of one server process may use: all cores, or a worker's share."""
    return settings.threads or threads_each(usable_cores(), max(1, settings.workers))


def fetch_of(
    settings: Settings, registry: Registry, current: Callable[[], str | None]
) -> Callable[[ModelVersion], CachedPackage]:
    """How a follower's versions become packages: guarded, where nobody compared signatures when the alias moved."""
    if registry.guards_aliases or settings.allow_breaking:
        return registry.fetch
    return SignatureGuard(registry.fetch, current).fetch


def _load_pinned(
    settings: Settings, reference: ModelReference, registry: Registry | None, loader: VersionLoader, timed: Timed
) -> LoadedVersion:
    with timed("fetch"):
        version, package = fetch_pinned(settings, reference, registry)
    with package:
        loaded = loader.load(package.path, version)
    return LoadedVersion(version or loaded.digest[:12], loaded)


def fetch_pinned(settings: Settings, reference: ModelReference, registry: Registry | None) -> tuple[str, CachedPackage]:
    """The package of a model that stays as it is, as a directory, and its version's number, where it has one. While the
    registry or the store is away, what was there the last time."""
    cache = cache_of(settings)
    return fetch_reference(
        reference, registry, _resolve_pinned, fetch_url=lambda url: RemotePackage(url, cache).fetch_or_recall()
    )


def _resolve_pinned(reference: ModelReference, registry: Registry) -> ModelVersion:
    return resolve_or_recall(partial(reference.resolve, registry), last_of(reference, registry))


def fetch_now(settings: Settings, reference: ModelReference, registry: Registry | None) -> tuple[str, CachedPackage]:
    """The same for a command that ends: who is away cannot be asked, and that is an error."""
    cache = cache_of(settings)
    return fetch_reference(reference, registry, fetch_url=lambda url: RemotePackage(url, cache).fetch())


def cache_of(settings: Settings) -> PackageCache:
    """Where packages from elsewhere are kept."""
    root = Path(settings.cache).expanduser().absolute() if settings.cache else default_cache()
    return PackageCache(root, settings.cache_size)
