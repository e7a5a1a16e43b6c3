"""A gateway and a server put together from settings: the only place where settings become constructor arguments."""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial

from penstock.config import Settings
from penstock.errors import ConfigError
from penstock.loading import LoadOptions, load_reference, load_version
from penstock.metrics import Metrics
from penstock.registry import Registry, open_registry
from penstock.registry.reference import ModelReference, parse_reference
from penstock.server.app import make_app
from penstock.server.run import RunOptions, serve
from penstock.serving.admission import Intake
from penstock.serving.gateway import Gateway
from penstock.serving.guard import SignatureGuard
from penstock.serving.servable import ServingOptions
from penstock.serving.served_model import ServedModel
from penstock.serving.watcher import Follower, FollowOptions, Pinned, Source


async def serve_forever(settings: Settings, bound: socket.socket, announce: Callable[[str], None]) -> None:
    """Serves the settings' models on a bound socket until a signal comes. Raises what loading raises."""
    references = [parse_reference(text) for text in settings.models]
    registry = None
    if any(r.path is None for r in references):
        registry = open_registry(settings.registry, artifacts=settings.artifacts, read_only=True, cache=settings.cache)
    try:
        gateway = make_gateway(settings, references, registry)
        app = make_app(
            gateway,
            token=settings.api_token.get_secret_value(),
            max_body_bytes=settings.max_body_bytes,
            timeout=settings.timeout,
            nan_words=settings.nan_words,
        )
        options = RunOptions(settings.keep_alive, settings.drain_delay, settings.drain_timeout)
        await serve(app, gateway, bound, options, on_ready=announce)
    finally:
        if registry is not None:
            registry.close()


def make_gateway(settings: Settings, references: list[ModelReference], registry: Registry | None) -> Gateway:
    """The gateway for these models, not yet started. Raises ConfigError where two have one name."""
    metrics = Metrics()
    names = [r.served_as for r in references]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise ConfigError(f"Two models would be served as {twice[0]!r}.", hint="Write NAME=MODEL for one of them.")
    if settings.default_model is not None and settings.default_model not in names:
        raise ConfigError(f"The default model {settings.default_model!r} is none of those served: {', '.join(names)}.")
    models = [ServedModel(r.served_as, metrics, alias=r.alias) for r in references]
    sources = [_source(settings, r, m, registry, metrics) for r, m in zip(references, models, strict=True)]
    intake = Intake(settings.max_inflight, settings.max_inflight_bytes)
    return Gateway(models, metrics, default=settings.default_model, sources=sources, tidy=True, intake=intake)


def _source(
    settings: Settings, reference: ModelReference, served: ServedModel, registry: Registry | None, metrics: Metrics
) -> Source:
    load = LoadOptions(trust_code=settings.trust_code, strict_env=settings.strict_env, threads=settings.threads)
    serving = ServingOptions(settings.max_rows, settings.max_queue_rows, settings.concurrency, settings.max_wait)
    if not reference.follows:
        return Pinned(served, partial(load_reference, reference, registry, load), metrics, serving=serving)
    assert registry is not None
    fetch = registry.fetch
    if not (registry.guards_aliases or settings.allow_breaking):
        fetch = SignatureGuard(fetch, lambda: served.current.version if served.current else None).fetch
    return Follower(
        served,
        partial(reference.resolve, registry),
        partial(load_version, options=load, fetch=fetch),
        metrics,
        follow=FollowOptions(settings.poll_interval, settings.keep_previous),
        serving=serving,
    )
