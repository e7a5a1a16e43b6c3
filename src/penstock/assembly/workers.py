"""Supervisor and workers put together from settings: what `penstock serve --workers N` runs."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from penstock.assembly.gateway import app_of, version_loader_of
from penstock.assembly.live.changes import default_of, own
from penstock.assembly.live.following import following
from penstock.assembly.live.models import LiveModels
from penstock.assembly.live.reloading import SettingsFile
from penstock.assembly.live.token_file import following_tokens, open_token_file, tokens_of
from penstock.assembly.observers import observers_of
from penstock.assembly.options import (
    check_mlflow_exact,
    inflight_limits_of,
    isolation_of,
    run_options_of,
    serving_options_of,
    threads_of,
)
from penstock.assembly.references import opened_registry, parse_models, patterns_of
from penstock.assembly.sources import SourceContext
from penstock.assembly.trials import announced, trials_of
from penstock.config import Settings
from penstock.http.authorizer import Authorizer
from penstock.http.workers.accepting import Acceptor, ConnectionCounts
from penstock.http.workers.all_metrics import AllWorkersMetrics
from penstock.http.workers.channel import Channel
from penstock.http.workers.messages import StartWorker
from penstock.http.workers.start_process import shared_file, start_process, worker_command
from penstock.http.workers.worker_loop import work
from penstock.http.workers.worker_server import WorkerServer
from penstock.loading import Timed
from penstock.machine.cores import environment_with_threads
from penstock.machine.exit_limit import ExitLimit
from penstock.metrics import Metrics
from penstock.registry.references import ModelReference, directories_told
from penstock.server.workers.supervisor import Supervisor
from penstock.server.workers.worker import VOCABULARY, Worker
from penstock.serving.fleet.fleet_target import FleetInstaller, FleetTarget
from penstock.serving.fleet.worker_fleet import WorkerFleet
from penstock.serving.fleet.worker_models import VersionLoading, WorkerModel, WorkerModels
from penstock.serving.gateway import Gateway
from penstock.serving.runners.trial import Trials
from penstock.serving.served_model import ModelEvents, ServedModel


async def supervise(
    settings: Settings,
    bound: socket.socket,
    announce: Callable[[str], None],
    admin: socket.socket | None = None,
    *,
    limit: ExitLimit | None = None,
    file: SettingsFile | None = None,
) -> None:
    """Serves the settings' models in several processes until a signal comes; which models these are follows the
    `file`. Raises what loading raises."""
    references = parse_models(settings)
    for reference in references:
        isolation_of(settings.of(reference.served_as))  # raises for settings that exclude each other
    check_mlflow_exact(settings)
    starts = [StartWorker(number, _as_plain(settings), sys.path) for number in range(1, settings.workers + 1)]
    metrics = Metrics()
    with directories_told(references), shared_file() as shared:
        counts = ConnectionCounts.prepare(shared.fileno(), settings.workers)
        listeners = [bound] if admin is None else [bound, admin]
        files = (shared.fileno(), *(listener.fileno() for listener in listeners))
        environment = environment_with_threads(os.environ, threads_of(settings))
        launch = partial(start_process, worker_command("penstock.cli.worker"), environment, files, VOCABULARY)
        supervisor = Supervisor(
            launch,
            starts,
            metrics,
            counts,
            run_options_of(settings),
            worker_timeout=settings.worker_timeout,
            limit=limit,
        )
        with opened_registry(settings) as registry, trials_of(settings, metrics) as trials:
            host = FleetHost(supervisor.fleet, metrics, trials)
            names = [r.served_as for r in references if not r.is_pattern]
            default = default_of(settings, references, None)
            host.expect(names, patterns_of(references), default)
            context = SourceContext(settings, registry.needed_by(references), metrics)
            live = LiveModels(context, host, supervisor.sources, registry.get)
            live.add(references)
            tokens = open_token_file(settings, metrics)
            if tokens is not None:
                supervisor.admit_tokens(tokens.content)
            async with (
                following_tokens(tokens, supervisor.admit_tokens),
                following(file, live, metrics, trials, lambda: supervisor.draining) as started,
            ):
                ready = announced(announce, trials, live)
                await supervisor.run(listeners, ready, on_started=started)


def _as_plain(settings: Settings) -> dict[str, Any]:
    return {**settings.model_dump(mode="json"), "api_token": settings.api_token.get_secret_value()}


@dataclass(frozen=True, slots=True)
class FleetHost:
    """The workers together, as sources see them."""

    fleet: WorkerFleet
    metrics: Metrics
    trials: Trials

    def installer(self, reference: ModelReference, settings: Settings, timed: Timed) -> FleetInstaller:
        name = reference.served_as
        target = FleetTarget(self.fleet, name, self.metrics, alias=reference.alias)
        loader = version_loader_of(settings, name, timed, trials=self.trials)
        return FleetInstaller(target, loader, own(settings, name))

    def serves(self, name: str) -> bool:
        return self.fleet.serves(name)

    def pattern_started(self, pattern: str) -> None:
        self.fleet.pattern_started(pattern)

    def pattern_waits(self, pattern: str, because: str) -> None:
        self.fleet.pattern_waits(pattern, because)

    def remove(self, name: str) -> None:
        self.fleet.remove_model(name)

    def expect(self, models: Sequence[str], patterns: Sequence[str], default: str | None) -> None:
        self.fleet.expect(models, patterns, default)

    @property
    def default(self) -> str | None:
        return self.fleet.default


async def run_worker(
    channel: Channel,
    start: StartWorker,
    settings: Settings,
    file: int,
    listener: socket.socket,
    admin: socket.socket | None,
    limit: ExitLimit | None = None,
) -> None:
    """A worker's life, from the supervisor's first message on."""
    metrics = Metrics()
    all_metrics = AllWorkersMetrics(channel.send)
    gateway = Gateway(
        [], metrics, tidy=True, inflight_limits=inflight_limits_of(settings), exposition=all_metrics
    )  # the supervisor says what it serves

    def make(name: str, alias: str, events: ModelEvents) -> WorkerModel:
        served = ServedModel(name, metrics, alias=alias, events=events)
        return worker_model_of(served, settings, metrics, lambda: gateway.ready)

    models = WorkerModels(gateway, make, channel.send)
    listeners = [listener] if admin is None else [listener, admin]
    for each in listeners:
        each.setblocking(False)
    acceptor = Acceptor(listeners, start.number, ConnectionCounts(file))
    options = run_options_of(settings)
    access = Authorizer(tokens_of(settings, b""))  # before the supervisor has sent the file's, nobody of them

    def admit(text: str) -> None:
        access.admit(tokens_of(settings, text.encode()))

    with observers_of(settings, metrics, start.number) as observe:
        app = app_of(settings, gateway, admin, observe, access)
        server = WorkerServer(app, gateway, options, acceptor, limit)
        await work(app, gateway, server, Worker(channel, gateway, server, models, all_metrics, admit), limit)


def worker_model_of(served: ServedModel, settings: Settings, metrics: Metrics, busy: Callable[[], bool]) -> WorkerModel:
    """A model of a worker, which loads what the supervisor asks for, with the model's settings of then: `settings` are
    the whole server's. `busy` says whether requests are answered meanwhile."""

    def loading(own: Mapping[str, Any]) -> VersionLoading:
        whole = {name: getattr(settings, name) for name in Settings.model_fields}
        of_model = Settings(**{**whole, **own})
        timed = metrics.load_stages(served.name)
        loader = version_loader_of(of_model, served.name, timed, threads=threads_of(of_model))
        return VersionLoading(loader.load, serving_options_of(of_model), loader)

    return WorkerModel(served, loading, metrics, busy)
