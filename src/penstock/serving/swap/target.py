"""Swap targets: where a source prepares and swaps versions, in one process or in a fleet of workers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

from penstock.errors import ArtifactInvalid
from penstock.machine.throttle import throttled, throttled_if
from penstock.metrics import Metrics
from penstock.payload import kind_and_text
from penstock.registry.interface import ModelVersion
from penstock.serving.runners.isolation import Loaded
from penstock.serving.servable import Servable, ServingOptions
from penstock.serving.served_model import LoadFailure, RegistryState, ServedModel

A = TypeVar("A")
B = TypeVar("B")


def run_load(load: Callable[[], A]) -> A:
    """Loads in the calling thread. Raises what loading raises; what would end the program, or what no future takes
    (StopIteration: whoever awaits it would wait for ever), comes as ArtifactInvalid."""
    try:
        return load()
    except BaseException as error:
        if isinstance(error, Exception) and not isinstance(error, StopIteration):
            raise
        raise ArtifactInvalid(f"Loading the package ended with {kind_and_text(error)}.") from error


def load_beside(serving: bool, load: Callable[[A], B], what: A) -> B:
    """Loads in the calling thread, throttled where requests are answered meanwhile. Raises what run_load raises."""
    with throttled_if(serving, yielding=True):
        return run_load(lambda: load(what))


def release(loaded: Loaded) -> None:
    """Closes a model that answers no requests, throttled and in a thread: a large one takes a while. Called on the
    loop."""

    def close() -> None:
        with throttled():
            loaded.close()

    asyncio.get_running_loop().run_in_executor(None, close)


class PreparedVersion(Protocol):
    """A version that is loaded and proven, and does not answer yet."""

    @property
    def version(self) -> str: ...

    def drop(self) -> None:
        """Releases it: it is no longer wanted."""


P = TypeVar("P", bound=PreparedVersion)
P_in = TypeVar("P_in", bound=PreparedVersion, contravariant=True)

# Fetches, loads and proves a version. Raises what loading raises.
Prepare: TypeAlias = Callable[[ModelVersion], Awaitable[P]]


class StoppableLoads(Protocol):
    """Loads that can be ended before they are complete."""

    def stop(self, *, for_good: bool = False) -> None:
        """Those that are under way; `for_good`, all that come as well."""


class SwapTarget(Protocol[P_in]):
    """One model name and its versions, by their numbers. Every change is made at once, with no await in it."""

    name: str
    alias: str

    @property
    def current(self) -> str | None: ...

    @property
    def previous(self) -> str | None: ...

    @property
    def answering(self) -> str | None:
        """The version that answers, be it one that another source put there, before this one took over."""

    def swap(self, prepared: P_in) -> None:
        """Makes it the answering version; the one before it is kept warm."""

    def revert(self) -> None:
        """Makes the version that was kept warm answer again."""

    def retire_previous(self) -> None:
        """Lets the version that was kept warm go."""

    def note_registry(self, said: RegistryState) -> None:
        """What the registry said last, to be shown."""

    def note_failure(self, failure: LoadFailure | None) -> None:
        """What keeps the wanted version from answering, to be shown; None where nothing does."""


@dataclass(frozen=True, slots=True)
class LoadedVersion:
    """A version loaded here, or into processes of its own."""

    version: str
    loaded: Loaded

    def drop(self) -> None:
        release(self.loaded)


class LocalTarget:
    """A served model of this process. With `takes_over` it has versions that another source put there: they answer
    until this one has one of its own, and are none of its business. `alias` is what the model follows then."""

    def __init__(
        self,
        served: ServedModel,
        metrics: Metrics,
        serving: ServingOptions | None = None,
        *,
        alias: str | None = None,
        takes_over: bool = False,
    ) -> None:
        self.name = served.name
        self.alias = served.alias if alias is None else alias
        self._served = served
        self._metrics = metrics
        self._serving = serving or ServingOptions()
        # The whole mutable state: whether what answers is still another's.
        self._foreign = takes_over

    @property
    def current(self) -> str | None:
        return None if self._foreign else self.answering

    @property
    def previous(self) -> str | None:
        return self._served.previous.version if self._served.previous and not self._foreign else None

    @property
    def answering(self) -> str | None:
        return self._served.current.version if self._served.current else None

    def swap(self, prepared: LoadedVersion) -> None:
        failed = self._served.version_failed
        servable = Servable(
            self.name, prepared.version, prepared.loaded, self._metrics, self._serving, on_failed=failed
        )
        if self._foreign:
            self._foreign = False
            self._served.replace(servable, self.alias)
        else:
            self._served.swap(servable)

    def revert(self) -> None:
        self._served.revert()

    def retire_previous(self) -> None:
        self._served.retire_previous()

    def note_registry(self, said: RegistryState) -> None:
        self._served.note_registry(said)

    def note_failure(self, failure: LoadFailure | None) -> None:
        self._served.note_failure(failure)

    def __repr__(self) -> str:
        return f"<LocalTarget {self._served!r}>"
