"""A worker's side of the fleet: the models of one worker, which carry out what the supervisor commands, and report with
events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias

from penstock.error_text import kind_of, text_of
from penstock.errors import Closing, PenstockError, SealBroken
from penstock.metrics import Metrics
from penstock.serving.fleet.messages import (
    AddModel,
    AllServe,
    CancelLoad,
    Command,
    Event,
    ModelRemoved,
    NoteFailure,
    NoteRegistry,
    PatternStarted,
    PrepareVersion,
    RemoveModel,
    SetVersions,
    VersionCrashed,
    VersionFailed,
    VersionProven,
    VersionsSet,
)
from penstock.serving.gateway import Gateway
from penstock.serving.runners.isolation import Loaded
from penstock.serving.servable import Servable, ServingOptions
from penstock.serving.served_model import ModelEvents, ServedModel
from penstock.serving.swap.target import StoppableLoads, load_beside, release

log = logging.getLogger("penstock.serving")


class WorkerModel:
    """One model name; proven versions wait here until they are set to answer.

    `load` makes a proven model of a package's directory; it blocks and is run in a thread. `busy` says whether this
    process answers requests already, with whatever model: loads are throttled then.
    """

    def __init__(
        self,
        served: ServedModel,
        load: Callable[[Path, str], Loaded],
        metrics: Metrics,
        serving: ServingOptions,
        busy: Callable[[], bool] = lambda: True,
        *,
        loads: StoppableLoads | None = None,
    ) -> None:
        self.served = served
        served.note_agreed(None)  # until the supervisor has heard from all workers
        self._load = load
        self._metrics = metrics
        self._serving = serving
        self._busy = busy
        self._loads = loads
        # The whole mutable state: proven versions that do not answer, whether it is closed.
        self._waiting: dict[str, Loaded] = {}
        self._closed = False

    async def prepare(self, order: PrepareVersion) -> None:
        """Loads and proves a version, unless it is here already. Raises what loading raises, SealBroken where another
        package lies there now, Closing where this was closed meanwhile."""
        if order.version in self._waiting or order.version in {s.version for s in self.served.versions}:
            return
        closing = Closing(f"{self.served.name} is no longer served.")
        try:
            loaded = await asyncio.to_thread(load_beside, self._busy(), self._load_package, order)
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
        self._waiting[order.version] = loaded

    def _load_package(self, order: PrepareVersion) -> Loaded:
        return self._load(Path(order.path), order.version)

    def cancel_load(self) -> None:
        """Ends the load under way, where that can be done."""
        if self._loads is not None:
            self._loads.stop()

    def set_versions(self, order: SetVersions) -> None:
        """Lets `current` answer and keeps `previous` warm, at once; of the waiting versions it keeps `candidate`."""
        if order.current is not None:
            here = {servable.version: servable for servable in self.served.versions}
            current = here.get(order.current) or self._servable(order.current)
            previous = None
            if order.previous is not None:
                previous = here.get(order.previous) or self._servable(order.previous)
            self.served.arrange(current, previous)
        for version in self._waiting.keys() - {order.candidate}:
            release(self._waiting.pop(version))

    def _servable(self, version: str) -> Servable:
        loaded = self._waiting.pop(version)
        failed = self.served.version_failed
        return Servable(self.served.name, version, loaded, self._metrics, self._serving, on_failed=failed)

    def close(self) -> None:
        """Releases what waits and what is still being loaded; the gateway closes the served model."""
        self._closed = True
        if self._loads is not None:
            self._loads.stop(for_good=True)
        for loaded in self._waiting.values():
            loaded.close()
        self._waiting.clear()

    def __repr__(self) -> str:
        return f"<WorkerModel {self.served!r}, waiting {sorted(self._waiting)}>"


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
        """Serves one more model: one that is known from the start, or that the supervisor has named."""
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
            case AllServe(model, version):
                self._models[model].served.note_agreed(version)
            case AddModel(model, alias):
                self.add(model, alias)
            case RemoveModel(model):
                self._models.pop(model).close()
                self._gateway.remove(model)
                self._send(ModelRemoved(model))
            case PatternStarted(pattern):
                self._gateway.pattern_started(pattern)
                self._settle_once()

    async def _prepare(self, worker_model: WorkerModel, order: PrepareVersion) -> None:
        model, version = order.model, order.version
        try:
            await worker_model.prepare(order)
        except Closing:  # the model was removed
            return
        except PenstockError as error:
            self._send(VersionFailed(model, version, error.code, error.message, error.hint))
        except Exception as error:
            message = f"{kind_of(error)}: {text_of(error)}"
            self._send(VersionFailed(model, version, PenstockError.code, message, ""))
            log.exception("%s: version %s cannot be loaded.", model, version)
        else:
            self._send(VersionProven(model, version))

    def _load_ended(self, order: PrepareVersion, load: asyncio.Task[None]) -> None:
        """A load whose outcome could not be reported has failed: the supervisor waits for a word on it."""
        self._loads.discard(load)
        if not load.cancelled() and (error := load.exception()) is not None:
            said = f"The worker failed to report its load: {kind_of(error)}."
            self._send(VersionFailed(order.model, order.version, PenstockError.code, said, ""))
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
