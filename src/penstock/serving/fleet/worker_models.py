"""A worker's side of the fleet: the models of one worker, which carry out what the supervisor commands, and report with
events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from penstock.error_text import kind_of, text_of
from penstock.errors import Closing, PenstockError, SealBroken
from penstock.metrics import Metrics
from penstock.serving.fleet.messages import (
    AddModel,
    AllServe,
    CancelLoad,
    Command,
    Event,
    ExpectModels,
    ModelRemoved,
    NoteFailure,
    NoteRegistry,
    PatternStarted,
    PatternWaits,
    PrepareVersion,
    RemoveModel,
    SetVersions,
    VersionCrashed,
    VersionFailed,
    VersionProven,
    VersionsSet,
    version_of,
)
from penstock.serving.gateway import Gateway
from penstock.serving.runners.isolation import Loaded
from penstock.serving.servable import Servable, ServingOptions
from penstock.serving.served_model import ModelEvents, ServedModel
from penstock.serving.swap.target import StoppableLoads, load_beside, release

log = logging.getLogger("penstock.serving")


@dataclass(frozen=True, slots=True)
class VersionLoading:
    """How versions are loaded and served with some revision of a model's settings. `load` makes a proven model of a
    package's directory; it blocks and is run in a thread."""

    load: Callable[[Path, str], Loaded]
    serving: ServingOptions
    loads: StoppableLoads | None = None


# Of a model's own settings.
MakeLoading: TypeAlias = Callable[[Mapping[str, Any]], VersionLoading]


@dataclass(frozen=True, slots=True)
class ProvenBuild:
    """A version that is loaded and does not answer yet."""

    version: str
    alias: str
    loaded: Loaded
    serving: ServingOptions


class WorkerModel:
    """One model name; proven builds wait here until they are set to answer.

    `busy` says whether this process answers requests already, with whatever model: loads are throttled then.
    """

    def __init__(
        self,
        served: ServedModel,
        loading: MakeLoading,
        metrics: Metrics,
        busy: Callable[[], bool] = lambda: True,
    ) -> None:
        self.served = served
        served.note_agreed(None)  # until the supervisor has heard from all workers
        self._loading_of = loading
        self._metrics = metrics
        self._busy = busy
        # The whole mutable state: how versions are loaded, by the revision of the settings; proven builds that do not
        # answer, those that are set, whether it is closed.
        self._loadings: dict[int, VersionLoading] = {}
        self._waiting: dict[str, ProvenBuild] = {}
        self._set: dict[str, Servable] = {}
        self._closed = False

    async def prepare(self, order: PrepareVersion) -> None:
        """Loads and proves a version, unless it is here already, loaded by the same settings. Raises what loading
        raises, SealBroken where another package lies there now, Closing where this was closed meanwhile."""
        if order.build in self._waiting or order.build in self._set:
            return
        closing = Closing(f"{self.served.name} is no longer served.")
        if order.revision not in self._loadings:
            self._loadings[order.revision] = self._loading_of(order.settings)
        loading = self._loadings[order.revision]
        try:
            loaded = await asyncio.to_thread(load_beside, self._busy(), partial(_load, loading), order)
        except PenstockError:
            if self._closed:
                raise closing from None
            raise
        if self._closed:
            loaded.close()
            raise closing
        if loaded.digest != order.digest:
            loaded.close()
            raise SealBroken(
                f"{order.path} is now another package ({loaded.digest[:12]}) than version {order.version} "
                f"({order.digest[:12]})."
            )
        self._waiting[order.build] = ProvenBuild(order.version, order.alias, loaded, loading.serving)

    def cancel_load(self) -> None:
        """Ends the load under way, where that can be done."""
        self._stop_loads(for_good=False)

    def _stop_loads(self, *, for_good: bool) -> None:
        for loading in self._loadings.values():
            if loading.loads is not None:
                loading.loads.stop(for_good=for_good)

    def set_versions(self, order: SetVersions) -> None:
        """Lets `current` answer and keeps `previous` warm, at once; of the waiting builds it keeps `candidate`."""
        if order.current is not None:
            if order.current not in self._set:
                self.served.note_agreed(None)  # also where it is another build of the same version
            current = self._servable(order.current)
            previous = None if order.previous is None else self._servable(order.previous)
            self._set = {order.current: current}
            if order.previous is not None and previous is not None:
                self._set[order.previous] = previous
            self.served.arrange(current, previous)
        for build in self._waiting.keys() - {order.candidate}:
            release(self._waiting.pop(build).loaded)

    def _servable(self, build: str) -> Servable:
        """The one that is set, or made of the one that waits."""
        if build in self._set:
            return self._set[build]
        waiting, served = self._waiting.pop(build), self.served
        served.alias = waiting.alias
        return Servable(
            served.name,
            waiting.version,
            waiting.loaded,
            self._metrics,
            waiting.serving,
            on_failed=served.version_failed,
        )

    def close(self) -> None:
        """Releases what waits and what is still being loaded; the gateway closes the served model."""
        self._closed = True
        self._stop_loads(for_good=True)
        for waiting in self._waiting.values():
            waiting.loaded.close()
        self._waiting.clear()

    def __repr__(self) -> str:
        return f"<WorkerModel {self.served!r}, waiting {sorted(self._waiting)}>"


def _load(loading: VersionLoading, order: PrepareVersion) -> Loaded:
    return loading.load(Path(order.path), order.version)


# Makes a model of its name and alias, with whom its events go to.
MakeModel: TypeAlias = Callable[[str, str, ModelEvents], WorkerModel]


class WorkerModels:
    """The models of one worker. They are served by `gateway`; `send` takes events to the supervisor."""

    def __init__(self, gateway: Gateway, make: MakeModel, send: Callable[[Event], None]) -> None:
        self._gateway = gateway
        self._make = make
        self._send = send
        # The whole mutable state: models by name, loads under way, whether the first versions are here to stay.
        self._models: dict[str, WorkerModel] = {}
        self._loads: set[asyncio.Task[None]] = set()
        self._settled = False

    def add(self, name: str, alias: str) -> None:
        """Serves one more model."""
        self._models[name] = made = self._make(name, alias, self)
        self._gateway.add(made.served)

    def carry_out(self, command: Command) -> None:
        """At once, but for loads, which go on meanwhile."""
        match command:
            case PrepareVersion():
                load = asyncio.get_running_loop().create_task(self._prepare(self._models[command.model], command))
                self._loads.add(load)
                load.add_done_callback(partial(self._load_ended, command))
            case SetVersions(model, current):
                self._models[model].set_versions(command)
                self._send(VersionsSet(model, current))
                self._settle_once()
            case CancelLoad(model):
                self._models[model].cancel_load()
            case NoteRegistry(model, said):
                self._models[model].served.note_registry(said)
            case NoteFailure(model, failure):
                self._models[model].served.note_failure(failure)
            case AllServe(model, build):
                self._models[model].served.note_agreed(version_of(build))
            case AddModel(model, alias):
                self.add(model, alias)
            case RemoveModel(model):
                self._models.pop(model).close()
                self._gateway.remove(model)
                self._send(ModelRemoved(model))
            case ExpectModels(names, patterns, default):
                self._gateway.expect(names, patterns, default)
                self._settle_once()
            case PatternWaits(pattern, because):
                self._gateway.pattern_waits(pattern, because)
            case PatternStarted(pattern):
                self._gateway.pattern_started(pattern)
                self._settle_once()

    async def _prepare(self, worker_model: WorkerModel, order: PrepareVersion) -> None:
        model, build = order.model, order.build
        try:
            await worker_model.prepare(order)
        except Closing:  # the model was removed
            return
        except PenstockError as error:
            self._send(VersionFailed(model, build, error.code, error.message, error.hint))
        except Exception as error:
            message = f"{kind_of(error)}: {text_of(error)}"
            self._send(VersionFailed(model, build, PenstockError.code, message, ""))
            log.exception("%s: version %s cannot be loaded.", model, order.version)
        else:
            self._send(VersionProven(model, build))

    def _load_ended(self, order: PrepareVersion, load: asyncio.Task[None]) -> None:
        """A load whose outcome could not be reported has failed: the supervisor waits for a word on it."""
        self._loads.discard(load)
        if not load.cancelled() and (error := load.exception()) is not None:
            said = f"The worker failed to report its load: {kind_of(error)}."
            self._send(VersionFailed(order.model, order.build, PenstockError.code, said, ""))
            log.error("%s: the load of version %s cannot be reported.", order.model, order.version, exc_info=error)

    def _settle_once(self) -> None:
        if self._gateway.ready and not self._settled:
            self._settled = True
            self._gateway.settle()

    # -- events of its models (ModelEvents) ----------------------------------------------------------------------------

    def on_ready(self, model: str) -> None:
        self._gateway.on_ready(model)

    def on_failed(self, model: str, version: str, reason: str) -> None:
        """The supervisor decides what becomes of the version, for all workers."""
        self._send(VersionCrashed(model, version, reason))

    def on_closed(self, model: str, cyclic: bool) -> None:
        self._gateway.on_closed(model, cyclic)

    async def close(self) -> None:
        """Releases what does not answer yet, and waits for the loads under way to end."""
        for model in self._models.values():
            model.close()
        await asyncio.gather(*self._loads, return_exceptions=True)

    def __repr__(self) -> str:
        return f"<WorkerModels {sorted(self._models)}, {len(self._loads)} loads>"
