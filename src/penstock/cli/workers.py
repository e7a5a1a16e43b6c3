"""Supervisor and workers put together from settings: what `penstock serve --workers N` runs."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from penstock.cli.assembly import (
    app_of,
    fetch_of,
    follow_options_of,
    intake_of,
    isolation_of,
    load_of,
    parse_models,
    registry_of,
    run_options_of,
    serving_options_of,
)
from penstock.config import Settings
from penstock.loading import fetch_reference
from penstock.metrics import Metrics
from penstock.package import PackagedModel
from penstock.registry import Registry
from penstock.registry.interface import ModelVersion
from penstock.registry.reference import ModelReference
from penstock.server.accepting import Acceptor, ConnectionCounts
from penstock.server.control import Begin, Channel
from penstock.server.processes import start_process, threads_each, usable_cores, worker_environment
from penstock.server.supervisor import Supervisor
from penstock.server.worker import work
from penstock.serving.crew import Crew, CrewStage, CrewVersion
from penstock.serving.gateway import Gateway
from penstock.serving.plan import PlannedVersion
from penstock.serving.served_model import ServedModel
from penstock.serving.told import ToldModel
from penstock.serving.watcher import Follower, Pinned, Source


async def supervise(settings: Settings, bound: socket.socket, announce: Callable[[str], None]) -> None:
    """Serves the settings' models in several processes until a signal comes. Raises what loading raises."""
    references = parse_models(settings)
    for reference in references:
        isolation_of(settings.of(reference.served_as))  # what does not go together is said before a worker starts
    begin = [Begin(number, _as_plain(settings), sys.path) for number in range(1, settings.workers + 1)]
    metrics = Metrics()
    with _shared_file() as file:
        counts = ConnectionCounts.prepare(file.fileno(), settings.workers)
        launch = partial(
            start_process,
            _worker_command(),
            worker_environment(os.environ, _threads(settings)),
            (bound.fileno(), file.fileno()),
        )
        supervisor = Supervisor(launch, begin, metrics, counts, run_options_of(settings))
        with registry_of(settings, references) as registry:
            sources = [_source(settings.of(r.served_as), r, supervisor.crew, registry, metrics) for r in references]
            await supervisor.run(sources, bound, announce)


def _shared_file() -> BinaryIO:
    """A file for the workers to share, in memory where that can be: a container may have no place to write to."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("penstock-workers"), "w+b")
    return tempfile.TemporaryFile()


def _worker_command() -> list[str]:
    """The same interpreter. Where this one does not look for modules in the working directory, it does not either."""
    here = sys.path[0] in ("", os.getcwd())
    return [sys.executable, *([] if here else ["-P"]), "-m", "penstock.cli.worker"]


def _threads(settings: Settings) -> int:
    """How many threads a model may use in each worker."""
    return settings.threads or threads_each(usable_cores(), settings.workers)


def _as_plain(settings: Settings) -> dict[str, Any]:
    return {**settings.model_dump(mode="json"), "api_token": settings.api_token.get_secret_value()}


def _source(
    settings: Settings, reference: ModelReference, crew: Crew, registry: Registry | None, metrics: Metrics
) -> Source:
    stage = CrewStage(crew, reference.served_as, metrics, alias=reference.alias)
    if not reference.follows:
        return Pinned(stage, partial(_prepare, stage, partial(_plan_pinned, reference, registry)), metrics)
    assert registry is not None
    fetch = fetch_of(settings, registry, lambda: stage.current)

    async def prepare(version: ModelVersion) -> CrewVersion:
        return await _prepare(stage, partial(_plan_version, version, fetch))

    return Follower(stage, partial(reference.resolve, registry), prepare, metrics, follow=follow_options_of(settings))


async def _prepare(stage: CrewStage, find: Callable[[], PlannedVersion]) -> CrewVersion:
    return await stage.prepare(await asyncio.to_thread(find))


def _plan_pinned(reference: ModelReference, registry: Registry | None) -> PlannedVersion:
    """Fetched once, for all workers."""
    version, path = fetch_reference(reference, registry)
    digest = PackagedModel.open(path).digest
    return PlannedVersion(version or digest[:12], str(path), digest)


def _plan_version(version: ModelVersion, fetch: Callable[[ModelVersion], Path]) -> PlannedVersion:
    path = fetch(version)
    return PlannedVersion(version.version, str(path), PackagedModel.open(path).digest)


async def run_worker(channel: Channel, begin: Begin, settings: Settings, listener: socket.socket, file: int) -> None:
    """A worker's life, from the supervisor's first word on."""
    metrics = Metrics()
    models = [ServedModel(r.served_as, metrics, alias=r.alias) for r in parse_models(settings)]
    gateway = Gateway(models, metrics, default=settings.default_model, tidy=True, intake=intake_of(settings))
    told = {m.name: _told(m, settings.of(m.name), metrics) for m in models}
    listener.setblocking(False)
    acceptor = Acceptor(listener, begin.number, ConnectionCounts(file))
    options = run_options_of(settings)
    await work(app_of(settings, gateway), gateway, told, channel=channel, acceptor=acceptor, options=options)


def _told(served: ServedModel, settings: Settings, metrics: Metrics) -> ToldModel:
    share = settings.model_copy(update={"threads": _threads(settings)})
    return ToldModel(served, load_of(share, served.name), metrics, serving_options_of(settings))
