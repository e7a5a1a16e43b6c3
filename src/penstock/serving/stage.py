"""Where versions appear: what a source acts on, be it one process or a crew of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

from penstock.metrics import Metrics
from penstock.registry.interface import ModelVersion
from penstock.serving.isolated import Loaded
from penstock.serving.servable import Servable, ServingOptions
from penstock.serving.served_model import ServedModel


class Prepared(Protocol):
    """A version that is loaded and proven, and answers nobody yet."""

    @property
    def version(self) -> str: ...

    def drop(self) -> None:
        """Releases it: it is wanted no more."""


P = TypeVar("P", bound=Prepared)
P_in = TypeVar("P_in", bound=Prepared, contravariant=True)

# Fetches, loads and proves a version. Raises what loading raises.
Prepare: TypeAlias = Callable[[ModelVersion], Awaitable[P]]


class Stage(Protocol[P_in]):
    """One model name and its versions, by their numbers. Every change is made at once, with no await in it."""

    name: str
    alias: str
    # Told the version and why, when one that answers has shown that it cannot.
    on_failed: Callable[[str, str], None]

    @property
    def current(self) -> str | None: ...

    @property
    def previous(self) -> str | None: ...

    def swap(self, prepared: P_in) -> None:
        """Makes it the answering version; the one before it is kept warm."""

    def revert(self) -> None:
        """Makes the version that was kept warm answer again."""

    def retire_previous(self) -> None:
        """Lets the version that was kept warm go."""


@dataclass(frozen=True, slots=True)
class LoadedVersion:
    """A version loaded here, or into processes of its own."""

    version: str
    loaded: Loaded

    def drop(self) -> None:
        self.loaded.close()


class LocalStage:
    """A served model of this process."""

    def __init__(self, served: ServedModel, metrics: Metrics, serving: ServingOptions | None = None) -> None:
        self.name = served.name
        self.alias = served.alias
        self.on_failed: Callable[[str, str], None] = lambda version, why: None
        self._served = served
        served.on_failed = lambda version, why: self.on_failed(version, why)
        self._metrics = metrics
        self._serving = serving or ServingOptions()

    @property
    def current(self) -> str | None:
        return self._served.current.version if self._served.current else None

    @property
    def previous(self) -> str | None:
        return self._served.previous.version if self._served.previous else None

    def swap(self, prepared: LoadedVersion) -> None:
        self._served.swap(Servable(self.name, prepared.version, prepared.loaded, self._metrics, self._serving))

    def revert(self) -> None:
        self._served.revert()

    def retire_previous(self) -> None:
        self._served.retire_previous()

    def __repr__(self) -> str:
        return f"<LocalStage {self._served!r}>"


def in_a_thread(load: Callable[[ModelVersion], Loaded]) -> Prepare[LoadedVersion]:
    """Loads off the event loop."""

    async def prepare(version: ModelVersion) -> LoadedVersion:
        return LoadedVersion(version.version, await asyncio.to_thread(load, version))

    return prepare
