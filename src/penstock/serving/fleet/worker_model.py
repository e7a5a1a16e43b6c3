"""A served model that does what it is told: a worker's side of the crew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from penstock.errors import Closing, PenstockError, SealBroken
from penstock.metrics import Metrics
from penstock.serving.fleet.fleet_plan import PlannedVersion
from penstock.serving.runners.isolation import Loaded
from penstock.serving.servable import Servable, ServingOptions
from penstock.serving.served_model import ServedModel
from penstock.serving.swap.target import StoppableLoads, load_beside, release


class WorkerModel:
    """One model name; versions that are loaded wait here until they are told to answer.

    `load` makes a proven model of a package's directory; it blocks and is run in a thread. `busy` says whether this
    process answers requests already, with whatever model: loads are gentle then.
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
        served.agreed = None  # before the supervisor has heard from all
        self._load = load
        self._metrics = metrics
        self._serving = serving
        self._busy = busy
        self._loads = loads
        # The whole mutable state: proven versions that answer nobody, whether this is over.
        self._waiting: dict[str, Loaded] = {}
        self._closed = False

    async def ask(self, package: PlannedVersion) -> None:
        """Loads and proves a version, unless it is here already. Raises what loading raises, SealBroken where another
        package lies there now, Closing where this was closed meanwhile."""
        if package.version in self._waiting or package.version in {s.version for s in self.served.versions}:
            return
        closing = Closing(f"{self.served.name} is served no more.")
        try:
            loaded = await asyncio.to_thread(load_beside, self._busy(), self._load_planned, package)
        except PenstockError:
            if self._closed:
                raise closing from None
            raise
        if self._closed:
            loaded.close()
            raise closing
        if loaded.digest != package.digest:
            loaded.close()
            raise SealBroken(
                f"{package.path} is another package now ({loaded.digest[:12]}) than version {package.version} "
                f"({package.digest[:12]})."
            )
        self._waiting[package.version] = loaded

    def _load_planned(self, package: PlannedVersion) -> Loaded:
        return self._load(Path(package.path), package.version)

    def stop(self) -> None:
        """Ends what is being loaded, where that can be done."""
        if self._loads is not None:
            self._loads.stop()

    def tell(self, current: str | None, previous: str | None, candidate: str | None) -> None:
        """Lets `current` answer and keeps `previous` warm, at once; of the waiting versions it keeps `candidate`."""
        if current is not None:
            here = {servable.version: servable for servable in self.served.versions}
            answering = here.get(current) or self._servable(current)
            warm = None if previous is None else here.get(previous) or self._servable(previous)
            self.served.arrange(answering, warm)
        for version in self._waiting.keys() - {candidate}:
            release(self._waiting.pop(version))

    def _servable(self, version: str) -> Servable:
        return Servable(self.served.name, version, self._waiting.pop(version), self._metrics, self._serving)

    def close(self) -> None:
        """Releases what waits and what is still being loaded; the served model is the gateway's to close."""
        self._closed = True
        if self._loads is not None:
            self._loads.stop(for_good=True)
        for loaded in self._waiting.values():
            loaded.close()
        self._waiting.clear()

    def __repr__(self) -> str:
        return f"<WorkerModel {self.served!r}, waiting {sorted(self._waiting)}>"
