"""Supervisor and workers put together from settings: what `penstock serve --workers N` runs."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

from penstock.assembly.gateway import app_of, version_loader_of
from penstock.assembly.observers import observers_of
from penstock.assembly.options import (
    inflight_limits_of,
    isolation_of,
    run_options_of,
    serving_options_of,
    threads_of,
)
from penstock.assembly.references import parse_models, patterns_of, registry_of
from penstock.assembly.sources import SourceContext, make_sources
from penstock.assembly.trials import announced, trials_of
from penstock.config import Settings
from penstock.http.workers.accepting import Acceptor, ConnectionCounts
from penstock.http.workers.channel import Channel
from penstock.http.workers.messages import StartWorker
from penstock.http.workers.start_process import start_process
from penstock.loading import Timed
from penstock.machine.cores import environment_with_threads
from penstock.machine.exit_limit import ExitLimit
from penstock.metrics import Metrics
from penstock.registry.references import ModelReference
from penstock.server.workers.all_metrics import AllWorkersMetrics
from penstock.server.workers.supervisor import Supervisor
from penstock.server.workers.worker import VOCABULARY, work
from penstock.serving.fleet.fleet_target import FleetInstaller, FleetTarget
from penstock.serving.fleet.worker_fleet import WorkerFleet
from penstock.serving.fleet.worker_models import WorkerModel, WorkerModels
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
) -> None:
    """Serves the settings' models in several processes until a signal comes. Raises what loading raises."""
    references = parse_models(settings)
    for reference in references:
        isolation_of(settings.of(reference.served_as))  # raises for settings that exclude each other
    starts = [StartWorker(number, _as_plain(settings), sys.path) for number in range(1, settings.workers + 1)]
    metrics = Metrics()
    with _shared_file() as file:
        counts = ConnectionCounts.prepare(file.fileno(), settings.workers)
        listeners = [bound] if admin is None else [bound, admin]
        files = (file.fileno(), *(listener.fileno() for listener in listeners))
        environment = environment_with_threads(os.environ, threads_of(settings))
        launch = partial(start_process, _worker_command(), environment, files, VOCABULARY)
        supervisor = Supervisor(
            launch,
            starts,
            metrics,
            counts,
            run_options_of(settings),
            worker_timeout=settings.worker_timeout,
            limit=limit,
        )
        with registry_of(settings, references) as registry, trials_of(settings, metrics) as trials:
            fleet = supervisor.fleet
            for pattern in patterns_of(references):
                fleet.expect_pattern(pattern)
            host = FleetHost(fleet, metrics, trials)
            sources = make_sources(SourceContext(settings, registry, metrics), references, host)
            await supervisor.run(sources, listeners, announced(announce, trials, references))


def _shared_file() -> BinaryIO:
    """A file for the workers to share, in memory where that can be: a container may have no place to write to."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("penstock-workers"), "w+b")
    return tempfile.TemporaryFile()


def _worker_command() -> list[str]:
    """The same interpreter. Where this one does not look for modules in the working directory, it does not either."""
    here = sys.path[0] in ("", os.getcwd())
    return [sys.executable, *([] if here else ["-P"]), "-m", "penstock.cli.worker"]


def _as_plain(settings: Settings) -> dict[str, Any]:
    return {**settings.model_dump(mode="json"), "api_token": settings.api_token.get_secret_value()}


@dataclass(frozen=True, slots=True)
class FleetHost:
    """The workers together, as sources see them."""

    fleet: WorkerFleet
    metrics: Metrics
    trials: Trials

    def installer(self, reference: ModelReference, settings: Settings, timed: Timed, *, added: bool) -> FleetInstaller:
        name = reference.served_as
        target = FleetTarget(self.fleet, name, self.metrics, alias=reference.alias, added=added)
        return FleetInstaller(target, version_loader_of(settings, name, timed, trials=self.trials))

    def serves(self, name: str) -> bool:
        return self.fleet.serves(name)

    def pattern_started(self, pattern: str) -> None:
        self.fleet.pattern_started(pattern)

    def remove(self, name: str) -> None:
        self.fleet.remove_model(name)


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
    references = parse_models(settings)
    all_metrics = AllWorkersMetrics(channel.send)
    named = [r for r in references if not r.is_pattern]
    gateway = Gateway(
        [],
        metrics,
        names=[r.served_as for r in named],
        default=settings.default_model,
        patterns=patterns_of(references),
        tidy=True,
        inflight_limits=inflight_limits_of(settings),
        exposition=all_metrics,
    )

    def make(name: str, alias: str, events: ModelEvents) -> WorkerModel:
        served = ServedModel(name, metrics, alias=alias, events=events)
        return worker_model_of(served, settings.of(name), metrics, lambda: gateway.ready)

    models = WorkerModels(gateway, make, channel.send)
    for reference in named:
        models.add(reference.served_as, reference.alias)
    listeners = [listener] if admin is None else [listener, admin]
    for each in listeners:
        each.setblocking(False)
    acceptor = Acceptor(listeners, start.number, ConnectionCounts(file))
    options = run_options_of(settings)
    with observers_of(settings, metrics, start.number) as observe:
        app = app_of(settings, gateway, admin, observe)
        await work(app, gateway, models, all_metrics, channel=channel, acceptor=acceptor, options=options, limit=limit)


def worker_model_of(served: ServedModel, settings: Settings, metrics: Metrics, busy: Callable[[], bool]) -> WorkerModel:
    """A model of a worker, which loads what the supervisor asks for. `busy` says whether requests are answered
    meanwhile."""
    loader = version_loader_of(settings, served.name, metrics.load_stages(served.name), threads=threads_of(settings))
    return WorkerModel(served, loader.load, metrics, serving_options_of(settings), busy, loads=loader)
