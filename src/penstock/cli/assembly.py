"""A gateway and a server put together from settings: the only place, with `workers`, where settings become constructor
arguments."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from starlette.types import ASGIApp

from penstock.cli.environments import builds_environments, environments_of, interpreter_for
from penstock.config import Settings, bytes_of
from penstock.errors import ConfigError
from penstock.host.starting import Interpreter
from penstock.loading import LoadOptions, fetch_reference
from penstock.metrics import Metrics
from penstock.package import PackagedModel
from penstock.registry import Registry, open_registry
from penstock.registry.interface import ModelVersion
from penstock.registry.reference import ModelReference, parse_reference
from penstock.server.app import make_app
from penstock.server.run import RunOptions, serve
from penstock.serving.admission import Intake
from penstock.serving.gateway import Gateway
from penstock.serving.guard import SignatureGuard
from penstock.serving.isolated import GRACE, Isolation, Loaded, load_served, own_interpreter
from penstock.serving.servable import ServingOptions, slots_of
from penstock.serving.served_model import ServedModel
from penstock.serving.stage import LoadedVersion, LocalStage, in_a_thread
from penstock.serving.watcher import Follower, FollowOptions, Pinned, Source


async def serve_forever(settings: Settings, bound: socket.socket, announce: Callable[[str], None]) -> None:
    """Serves the settings' models on a bound socket until a signal comes. Raises what loading raises."""
    references = parse_models(settings)
    with registry_of(settings, references) as registry:
        gateway = make_gateway(settings, references, registry)
        app = app_of(settings, gateway)
        await serve(app, gateway, bound, run_options_of(settings), on_ready=announce)


def parse_models(settings: Settings) -> list[ModelReference]:
    """The models to serve. Raises ConfigError where two have one name, or the default is none of them."""
    references = [parse_reference(text) for text in settings.models]
    names = [r.served_as for r in references]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise ConfigError(f"Two models would be served as {twice[0]!r}.", hint="Write NAME=MODEL for one of them.")
    if settings.default_model is not None and settings.default_model not in names:
        raise ConfigError(f"The default model {settings.default_model!r} is none of those served: {', '.join(names)}.")
    return references


@contextmanager
def registry_of(settings: Settings, references: list[ModelReference]) -> Iterator[Registry | None]:
    """The registry, open, if one of the models is in it."""
    if all(r.path is not None for r in references):
        yield None
        return
    registry = open_registry(settings.registry, artifacts=settings.artifacts, read_only=True, cache=settings.cache)
    try:
        yield registry
    finally:
        registry.close()


def app_of(settings: Settings, gateway: Gateway) -> ASGIApp:
    return make_app(
        gateway,
        token=settings.api_token.get_secret_value(),
        max_body_bytes=settings.max_body_bytes,
        timeout=settings.timeout,
        nan_words=settings.nan_words,
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
                f"A model cannot run with --env-manager {settings.env_manager} in the gateway's own process.",
                hint="Leave --isolation none out.",
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
        memory_limit=bytes_of(settings.memory_limit),
        slots=slots_of(serving_options_of(settings)),
        time_limit=settings.timeout + GRACE,
        interpreter=interpreter,
    )


def intake_of(settings: Settings) -> Intake:
    return Intake(settings.max_inflight, settings.max_inflight_bytes)


def follow_options_of(settings: Settings) -> FollowOptions:
    return FollowOptions(settings.poll_interval, settings.keep_previous)


def make_gateway(settings: Settings, references: list[ModelReference], registry: Registry | None) -> Gateway:
    """The gateway for these models, not yet started."""
    metrics = Metrics()
    models = [ServedModel(r.served_as, metrics, alias=r.alias) for r in references]
    sources = [
        _source(settings.of(r.served_as), r, m, registry, metrics) for r, m in zip(references, models, strict=True)
    ]
    return Gateway(
        models, metrics, default=settings.default_model, sources=sources, tidy=True, intake=intake_of(settings)
    )


def _source(
    settings: Settings, reference: ModelReference, served: ServedModel, registry: Registry | None, metrics: Metrics
) -> Source:
    load = load_of(settings, reference.served_as)
    stage = LocalStage(served, metrics, serving_options_of(settings))
    if not reference.follows:
        return Pinned(stage, partial(asyncio.to_thread, _load_pinned, reference, registry, load), metrics)
    assert registry is not None
    fetch = fetch_of(settings, registry, lambda: stage.current)

    def load_version(version: ModelVersion) -> Loaded:
        return load(fetch(version), version.version)

    return Follower(
        stage,
        partial(reference.resolve, registry),
        in_a_thread(load_version),
        metrics,
        follow=follow_options_of(settings),
    )


def load_of(settings: Settings, name: str) -> Callable[[Path, str], Loaded]:
    """How a package in a directory becomes a version of the model of this name, here or in processes of its own."""
    options, isolation = load_options_of(settings), isolation_of(settings)

    def load(path: Path, version: str) -> Loaded:
        return load_served(path, options, isolation, f"{name} version {version}" if version else name)

    return load


def fetch_of(
    settings: Settings, registry: Registry, current: Callable[[], str | None]
) -> Callable[[ModelVersion], Path]:
    """How a follower's versions become packages: guarded, where nobody compared signatures when the alias moved."""
    if registry.guards_aliases or settings.allow_breaking:
        return registry.fetch
    return SignatureGuard(registry.fetch, current).fetch


def _load_pinned(
    reference: ModelReference, registry: Registry | None, load: Callable[[Path, str], Loaded]
) -> LoadedVersion:
    version, path = fetch_reference(reference, registry)
    loaded = load(path, version)
    return LoadedVersion(version or loaded.digest[:12], loaded)
