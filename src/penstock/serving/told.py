"""A served model that does what it is told: a worker's side of the crew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from penstock.errors import SealBroken
from penstock.metrics import Metrics
from penstock.serving.isolated import Loaded
from penstock.serving.plan import PlannedVersion
from penstock.serving.servable import Servable, ServingOptions
from penstock.serving.served_model import ServedModel


class ToldModel:
    """One model name; versions that are loaded wait here until they are told to answer.

    `load` makes a proven model of a package's directory; it blocks and is run in a thread.
    """

    def __init__(
        self, served: ServedModel, load: Callable[[Path, str], Loaded], metrics: Metrics, serving: ServingOptions
    ) -> None:
        self.served = served
        self._load = load
        self._metrics = metrics
        self._serving = serving
        # The whole mutable state: proven versions that answer nobody.
        self._waiting: dict[str, Loaded] = {}

    async def ask(self, package: PlannedVersion) -> None:
        """Loads and proves a version, unless it is here already. Raises what loading raises, SealBroken where another
        package lies there now."""
        if package.version in self._waiting or package.version in {s.version for s in self.served.versions}:
            return
        loaded = await asyncio.to_thread(self._load, Path(package.path), package.version)
        if loaded.digest != package.digest:
            loaded.close()
            raise SealBroken(
                f"{package.path} is another package now ({loaded.digest[:12]}) than version {package.version} "
                f"({package.digest[:12]})."
            )
        self._waiting[package.version] = loaded

    def tell(self, current: str | None, previous: str | None, candidate: str | None) -> None:
        """Lets `current` answer and keeps `previous` warm, at once; of the waiting versions it keeps `candidate`."""
        if current is not None:
            here = {servable.version: servable for servable in self.served.versions}
            answering = here.get(current) or self._servable(current)
            warm = None if previous is None else here.get(previous) or self._servable(previous)
            self.served.arrange(answering, warm)
        for version in self._waiting.keys() - {candidate}:
            self._waiting.pop(version).close()

    def _servable(self, version: str) -> Servable:
        return Servable(self.served.name, version, self._waiting.pop(version), self._metrics, self._serving)

    def close(self) -> None:
        """Releases what waits; the served model is the gateway's to close."""
        for loaded in self._waiting.values():
            loaded.close()
        self._waiting.clear()

    def __repr__(self) -> str:
        return f"<ToldModel {self.served!r}, waiting {sorted(self._waiting)}>"
