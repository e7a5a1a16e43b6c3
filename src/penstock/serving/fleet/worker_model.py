"""One served model of a worker: versions are prepared and set as the supervisor commands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from penstock.errors import Closing, PenstockError, SealBroken
from penstock.metrics import Metrics
from penstock.serving.fleet.messages import PrepareVersion, SetVersions
from penstock.serving.runners.isolation import Loaded
from penstock.serving.servable import Servable, ServingOptions
from penstock.serving.served_model import ServedModel
from penstock.serving.swap.target import StoppableLoads, load_beside, release


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
