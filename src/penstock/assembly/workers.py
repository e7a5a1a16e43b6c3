"""Supervisor and workers put together from settings: what `penstock serve --workers N` runs."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any, BinaryIO

from penstock.artifacts import CachedPackage
from penstock.assembly.gateway import (
    app_of,
    fetch_of,
    fetch_pinned,
    follow_options_of,
    intake_of,
    isolation_of,
    last_of,
    loader_of,
    parse_models,
    pattern_of,
    patterns_of,
    registry_of,
    run_options_of,
    serving_options_of,
    threads_of,
)
from penstock.assembly.observers import observers_of
from penstock.config import Settings
from penstock.http.workers.accepting import Acceptor, ConnectionCounts
from penstock.http.workers.channel import Channel
from penstock.http.workers.messages import StartWorker
from penstock.http.workers.start_process import start_process
from penstock.loading import Timed
from penstock.machine.cores import environment_with_threads
from penstock.machine.throttle import background, throttled
from penstock.metrics import Metrics
from penstock.package import PackagedModel
from penstock.registry import Registry
from penstock.registry.interface import ModelVersion
from penstock.registry.references import ModelReference
from penstock.registry.resolutions import LastResolution
from penstock.server.workers.all_metrics import AllWorkersMetrics
from penstock.server.workers.supervisor import Supervisor
from penstock.server.workers.vocabulary import VOCABULARY
from penstock.server.workers.worker import work
from penstock.serving.fleet.fleet_plan import PlannedVersion
from penstock.serving.fleet.fleet_target import FleetTarget, FleetVersion
from penstock.serving.fleet.worker_fleet import WorkerFleet
from penstock.serving.fleet.worker_model import WorkerModel
from penstock.serving.fleet.worker_models import WorkerModels
from penstock.serving.gateway import Gateway
from penstock.serving.model_events import ModelEvents
from penstock.serving.served_model import ServedModel
from penstock.serving.swap.fixed_version import FixedVersion
from penstock.serving.swap.follower import Follower
from penstock.serving.swap.pattern import Member, Pattern
from penstock.serving.swap.registry_poll import RegistryPoll
from penstock.serving.swap.sources import VersionSource


async def supervise(
    settings: Settings, bound: socket.socket, announce: Callable[[str], None], admin: socket.socket | None = None
) -> None:
    """Serves the settings' models in several processes until a signal comes. Raises what loading raises."""
    references = parse_models(settings)
    for reference in references:
        isolation_of(settings.of(reference.served_as))  # what does not go together is said before a worker starts
    starts = [StartWorker(number, _as_plain(settings), sys.path) for number in range(1, settings.workers + 1)]
    metrics = Metrics()
    with _shared_file() as file:
        counts = ConnectionCounts.prepare(file.fileno(), settings.workers)
        listeners = [bound] if admin is None else [bound, admin]
        files = (file.fileno(), *(listener.fileno() for listener in listeners))
        environment = environment_with_threads(os.environ, threads_of(settings))
        launch = partial(start_process, _worker_command(), environment, files, VOCABULARY)
        supervisor = Supervisor(
            launch, starts, metrics, counts, run_options_of(settings), worker_timeout=settings.worker_timeout
        )
        with registry_of(settings, references) as registry:
            unreachable: set[str] = set()
            sources = [_source(settings, r, supervisor.fleet, registry, metrics, unreachable) for r in references]
            await supervisor.run(sources, listeners, announce)


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


def _source(
    settings: Settings,
    reference: ModelReference,
    fleet: WorkerFleet,
    registry: Registry | None,
    metrics: Metrics,
    unreachable: set[str],
) -> VersionSource:
    if reference.is_pattern:
        assert registry is not None
        fleet.expect_pattern(str(reference))
        return _pattern(settings, reference, fleet, registry, metrics, unreachable)
    target = FleetTarget(fleet, reference.served_as, metrics, alias=reference.alias)
    if not reference.follows:
        timed = metrics.load_stages(reference.served_as)
        plan = partial(_plan_pinned, settings, reference, registry, timed)
        return FixedVersion(target, partial(_prepare, target, plan), metrics)
    assert registry is not None
    own = settings.of(reference.served_as)
    return _follower(
        own, target, partial(reference.resolve, registry), registry, metrics, unreachable, last_of(reference, registry)
    )


def _follower(
    settings: Settings,
    target: FleetTarget,
    resolve: Callable[[], ModelVersion],
    registry: Registry,
    metrics: Metrics,
    unreachable: set[str],
    last: LastResolution | None = None,
) -> Follower[FleetVersion]:
    fetch = fetch_of(settings, registry, lambda: target.current)
    timed = metrics.load_stages(target.name)

    async def prepare(version: ModelVersion) -> FleetVersion:
        serving = target.current is not None
        return await _prepare(target, partial(_plan_version, version, fetch, timed, serving))

    follow = follow_options_of(settings)
    poll = RegistryPoll(
        target.name, resolve, metrics, interval=follow.poll_interval, last=last, unreachable=unreachable
    )
    return Follower(target, poll, prepare, metrics, loads=target, keep_previous=follow.keep_previous)


def _pattern(
    settings: Settings,
    reference: ModelReference,
    fleet: WorkerFleet,
    registry: Registry,
    metrics: Metrics,
    unreachable: set[str],
) -> Pattern:
    def join(name: str, served_as: str, resolve: Callable[[], ModelVersion]) -> Member:
        own = settings.of(served_as)
        target = FleetTarget(fleet, served_as, metrics, alias=reference.alias, added=True)
        last = last_of(ModelReference(served_as, name=name, alias=reference.alias), registry)
        follower = _follower(own, target, resolve, registry, metrics, unreachable, last)
        return Member(follower, partial(fleet.remove_model, served_as), own.keep_previous)

    return pattern_of(reference, registry, join, metrics, settings, fleet.serves, fleet.pattern_started)


async def _prepare(target: FleetTarget, find: Callable[[], PlannedVersion]) -> FleetVersion:
    return await target.prepare(await asyncio.to_thread(find))


def _plan_pinned(
    settings: Settings, reference: ModelReference, registry: Registry | None, timed: Timed
) -> PlannedVersion:
    """Fetched once, for all workers."""
    with timed("fetch"):
        version, package = fetch_pinned(settings, reference, registry)
    digest = PackagedModel.open(package.path).digest
    return PlannedVersion(version or digest[:12], str(package.path), digest, package.hold)


def _plan_version(
    version: ModelVersion, fetch: Callable[[ModelVersion], CachedPackage], timed: Timed, serving: bool
) -> PlannedVersion:
    """Gently and slowly while workers answer."""
    with throttled() if serving else nullcontext(), background():
        with timed("fetch"):
            package = fetch(version)
        digest = PackagedModel.open(package.path).digest
        return PlannedVersion(version.version, str(package.path), digest, package.hold)


async def run_worker(
    channel: Channel,
    start: StartWorker,
    settings: Settings,
    file: int,
    listener: socket.socket,
    admin: socket.socket | None,
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
        intake=intake_of(settings),
        exposition=all_metrics,
    )

    def make(name: str, alias: str, events: ModelEvents) -> WorkerModel:
        served = ServedModel(name, metrics, alias=alias, events=events)
        return _worker_model(served, settings.of(name), metrics, lambda: gateway.ready)

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
        await work(app, gateway, models, all_metrics, channel=channel, acceptor=acceptor, options=options)


def _worker_model(served: ServedModel, settings: Settings, metrics: Metrics, busy: Callable[[], bool]) -> WorkerModel:
    loader = loader_of(settings, served.name, metrics.load_stages(served.name), threads=threads_of(settings))
    return WorkerModel(served, loader.load, metrics, serving_options_of(settings), busy, loads=loader)
