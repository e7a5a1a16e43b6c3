"""A gateway in this process and its server, put together from settings: what `penstock serve` runs."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from penstock.assembly.live.following import following
from penstock.assembly.live.models import LiveModels
from penstock.assembly.live.reloading import SettingsFile
from penstock.assembly.live.token_file import following_tokens, open_token_file, tokens_of
from penstock.assembly.observers import observers_of
from penstock.assembly.options import (
    check_mlflow_exact,
    inflight_limits_of,
    isolation_of,
    load_options_of,
    readers_of,
    run_options_of,
    serving_options_of,
)
from penstock.assembly.references import opened_registry, parse_models, patterns_of
from penstock.assembly.sources import SourceContext, make_sources
from penstock.assembly.trials import announced, trials_of
from penstock.config import Settings
from penstock.http.authorizer import Authorizer
from penstock.http.events.request_event import OnRequest
from penstock.http.run import port_of, serve
from penstock.loading import LoadOptions, Timed
from penstock.machine.exit_limit import ExitLimit
from penstock.metrics import Metrics
from penstock.registry import Registry
from penstock.registry.references import ModelReference, directories_told
from penstock.server.app import make_app
from penstock.server.entry_point import EntryPoint
from penstock.serving.gateway import Gateway
from penstock.serving.runners.trial import Trials
from penstock.serving.served_model import ServedModel
from penstock.serving.swap.target import LocalTarget
from penstock.serving.swap.version_loader import LocalInstaller, VersionLoader


async def serve_forever(
    settings: Settings,
    bound: socket.socket,
    announce: Callable[[str], None],
    admin: socket.socket | None = None,
    *,
    limit: ExitLimit | None = None,
    file: SettingsFile | None = None,
) -> None:
    """Serves the settings' models on a bound socket, and what `admin_port` moves on a second one, until a signal comes.
    Which models these are follows the `file`. Raises what loading raises."""
    references = parse_models(settings)
    metrics = Metrics()
    with (
        directories_told(references),
        opened_registry(settings) as registry,
        trials_of(settings, metrics) as trials,
        observers_of(settings, metrics) as observe,
    ):
        gateway = new_gateway(settings, references, metrics)
        context = SourceContext(settings, registry.needed_by(references), metrics)
        live = LiveModels(context, LocalHost(gateway, trials), gateway.sources, registry.get)
        live.add(references)
        tokens = open_token_file(settings, metrics)
        access = Authorizer(tokens_of(settings, b"" if tokens is None else tokens.content))
        app = app_of(settings, gateway, admin, observe, access)
        options = run_options_of(settings)
        async with (
            following_tokens(tokens, lambda content: access.admit(tokens_of(settings, content))),
            following(file, live, metrics, trials, lambda: gateway.draining) as started,
        ):
            ready = announced(announce, trials, live)
            start = partial(_start, gateway, started)
            await serve(app, gateway, bound, options, on_ready=ready, start=start, admin=admin, limit=limit)


async def _start(gateway: Gateway, started: Callable[[], None]) -> None:
    await gateway.start()
    started()


def app_of(
    settings: Settings,
    gateway: Gateway,
    admin: socket.socket | None = None,
    observe: OnRequest | None = None,
    access: Authorizer | None = None,
) -> EntryPoint:
    """The application; without `access`, tokens are those that the settings name now."""
    if access is None:
        tokens = open_token_file(settings, gateway.metrics)
        access = Authorizer(tokens_of(settings, b"" if tokens is None else tokens.content))
    return make_app(
        gateway,
        access=access,
        max_body_bytes=settings.max_body_bytes,
        timeout=settings.timeout,
        nan_words=settings.nan_words,
        mlflow_exact=partial(_is_exact, gateway),
        observe=observe,
        admin_port=None if admin is None else port_of(admin),
        predict_route=settings.predict_route,
        health_route=settings.health_route,
        readers=readers_of(settings, gateway.metrics),
        cors_origins=settings.cors_origin,
    )


def _is_exact(gateway: Gateway, model: str) -> bool:
    """Whether answers of a model are MLflow's bit for bit, by the settings that it is loaded with now."""
    servable = gateway.peek(model, None)
    return servable is not None and servable.mlflow_exact


def new_gateway(
    settings: Settings,
    references: Sequence[ModelReference],
    metrics: Metrics,
    *,
    more: Sequence[ServedModel] = (),
    tidy: bool = True,
) -> Gateway:
    """A gateway that waits for these models, and has only those that have their versions already (`more`)."""
    check_mlflow_exact(settings)  # raises where the settings ask for what is not installed
    return Gateway(
        more,
        metrics,
        names=[*(r.served_as for r in references if not r.is_pattern), *(model.name for model in more)],
        default=settings.default_model,
        patterns=patterns_of(references),
        tidy=tidy,
        inflight_limits=inflight_limits_of(settings),
    )


def make_gateway(
    settings: Settings,
    references: list[ModelReference],
    registry: Registry | None,
    *,
    metrics: Metrics | None = None,
    more: Sequence[ServedModel] = (),
    tidy: bool = True,
    trials: Trials | None = None,
) -> Gateway:
    """The gateway for these models, not yet started. `more` are models that have their versions already, with the same
    `metrics`; `tidy` is for a process that does nothing but serve. With `trials`, what is to be loaded here is tried in
    a process of its own first."""
    metrics = metrics or Metrics()
    gateway = new_gateway(settings, references, metrics, more=more, tidy=tidy)
    for source in make_sources(SourceContext(settings, registry, metrics), references, LocalHost(gateway, trials)):
        gateway.sources.add(source)
    return gateway


@dataclass(frozen=True, slots=True)
class LocalHost:
    """The gateway of this process, as sources see it."""

    gateway: Gateway
    trials: Trials | None = None

    def installer(self, reference: ModelReference, settings: Settings, timed: Timed) -> LocalInstaller:
        gateway = self.gateway
        known = gateway.served(reference.served_as)
        served = known or ServedModel(reference.served_as, gateway.metrics, alias=reference.alias, events=gateway)
        if known is None:
            gateway.add(served)
        options, alias = serving_options_of(settings), reference.alias
        target = LocalTarget(served, gateway.metrics, options, alias=alias, takes_over=known is not None)
        loader = version_loader_of(settings, served.name, timed, trials=self.trials)
        return LocalInstaller(target, loader, lambda: gateway.ready)

    def serves(self, name: str) -> bool:
        return self.gateway.serves(name)

    def pattern_started(self, pattern: str) -> None:
        self.gateway.pattern_started(pattern)

    def pattern_waits(self, pattern: str, because: str) -> None:
        self.gateway.pattern_waits(pattern, because)

    def remove(self, name: str) -> None:
        self.gateway.remove(name)

    def expect(self, models: Sequence[str], patterns: Sequence[str], default: str | None) -> None:
        self.gateway.expect(models, patterns, default)

    @property
    def default(self) -> str | None:
        return self.gateway.default


def version_loader_of(
    settings: Settings, name: str, timed: Timed, *, threads: int = 0, trials: Trials | None = None
) -> VersionLoader:
    """How packages become versions of the model of this name, here or in processes of their own, and with `trials` not
    before one in a process of its own. `threads` are a model's where the settings say nothing."""
    given = load_options_of(settings)
    options = LoadOptions(given.trust_code, given.strict_env, given.flavor, given.threads or threads)
    isolation = isolation_of(settings)
    trial = None if trials is None else trials.of(name, options, isolation)
    return VersionLoader(options, isolation, name, timed, trial=trial)
