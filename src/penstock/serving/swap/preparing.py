"""From a version's number to a version that could answer: its package is fetched, refused where it would break callers,
then handed to what loads and proves it, in this process or in all workers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, Protocol, TypeAlias

from penstock.artifacts import CachedPackage
from penstock.errors import SignatureIncompatible
from penstock.loading import Timed
from penstock.machine.throttle import background
from penstock.package import PackagedModel
from penstock.registry.interface import ModelVersion
from penstock.serving.swap.target import P, StoppableLoads, SwapTarget
from penstock.signature import Signature, breaking_changes


@dataclass(frozen=True, slots=True)
class FetchedPackage:
    """A package in a directory of this machine, where it stays until it is closed. `version` is its number, empty where
    it has none."""

    version: str
    package: CachedPackage

    @property
    def path(self) -> Path:
        return self.package.path


# Brings a package to this machine; it blocks. Raises what fetching raises.
Fetch: TypeAlias = Callable[[], FetchedPackage]


def fetch_version(
    fetch: Callable[[ModelVersion], CachedPackage], timed: Timed, version: ModelVersion
) -> FetchedPackage:
    """A registered version's package, fetched with low priority and counted as a load's first step."""
    with timed("fetch"), background():
        return FetchedPackage(version.version, fetch(version))


class SignatureGuard:
    """Fetches versions of one model, and refuses those that would break the callers of the one that answers, for
    registries that do not compare signatures, such as MLflow's.

    `fetch` is the registry's; `current` tells which version answers now, `needed` whether it is such a registry. A
    version that has answered here is never refused: going back must always be possible. One call at a time.
    """

    def __init__(
        self,
        fetch: Callable[[ModelVersion], CachedPackage],
        current: Callable[[], str | None],
        *,
        needed: Callable[[], bool] = lambda: True,
    ) -> None:
        self._fetch = fetch
        self._current = current
        self._needed = needed
        # The whole mutable state: what each version takes and gives, and which have answered.
        self._signatures: dict[str, Signature | None] = {}
        self._answered: set[str] = set()

    def fetch(self, version: ModelVersion) -> CachedPackage:
        """The version's package. Raises SignatureIncompatible, and what the registry's own raises."""
        package = self._fetch(version)
        if not self._needed():
            return package
        try:
            self._check(version, PackagedModel.open(package.path).manifest.signature)
        except BaseException:
            package.close()
            raise
        return package

    def _check(self, version: ModelVersion, signature: Signature | None) -> None:
        current = self._current()
        if current is not None:
            self._answered.add(current)
            if version.version not in self._answered:
                self._compare(current, signature)
        self._signatures[version.version] = signature

    def _compare(self, current: str, signature: Signature | None) -> None:
        breaks = breaking_changes(self._signatures.get(current), signature)
        if breaks:
            raise SignatureIncompatible(
                f"The version would break callers of version {current}: {'; '.join(breaks)}.",
                hint="Move the alias back, or allow breaking changes (the setting allow_breaking).",
            )

    def __repr__(self) -> str:
        return f"<SignatureGuard: {', '.join(sorted(self._answered)) or 'nothing'} has answered>"


class Installer(Protocol[P]):
    """Makes the versions of one model ready to answer, in one process or in all workers."""

    @property
    def target(self) -> SwapTarget[P]: ...

    @property
    def loads(self) -> StoppableLoads: ...

    async def install(self, fetch: Fetch, *, beside_requests: bool) -> P:
        """What `fetch` brings, loaded and proven; throttled where requests are answered meanwhile. Raises what fetching
        and loading raise."""

    @property
    def serving(self) -> bool:
        """Whether a load that begins now has requests beside it."""


@dataclass(frozen=True, slots=True)
class VersionPreparation(Generic[P]):
    """What a follower does with a version that the registry names: `fetch` brings the package, `installer` loads it."""

    fetch: Callable[[ModelVersion], CachedPackage]
    timed: Timed
    installer: Installer[P]

    async def __call__(self, version: ModelVersion) -> P:
        fetch = partial(fetch_version, self.fetch, self.timed, version)
        return await self.installer.install(fetch, beside_requests=self.installer.serving)
