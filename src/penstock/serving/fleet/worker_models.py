"""A worker's side of the fleet: carries out commands about its models, and reports with events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from penstock.error_text import kind_of, text_of
from penstock.errors import Closing, PenstockError
from penstock.serving.fleet.messages import (
    AddModel,
    AllServe,
    CancelLoad,
    Command,
    Event,
    MarkStale,
    ModelRemoved,
    NoteFailure,
    PatternStarted,
    PrepareVersion,
    RemoveModel,
    SetVersions,
    VersionCrashed,
    VersionFailed,
    VersionProven,
    VersionsSet,
)
from penstock.serving.fleet.worker_model import WorkerModel
from penstock.serving.gateway import Gateway
from penstock.serving.model_events import ModelEvents

log = logging.getLogger("penstock.serving")

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
            case MarkStale(model, stale):
                self._models[model].served.mark(stale=stale)
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
