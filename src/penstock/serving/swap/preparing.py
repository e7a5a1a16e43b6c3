"""From a version's number to a version that could answer: its package is fetched, then loaded and proven."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from penstock.artifacts import CachedPackage
from penstock.loading import Timed
from penstock.machine.throttle import background, throttled
from penstock.registry.interface import ModelVersion
from penstock.serving.swap.target import LoadedVersion, run_load
from penstock.serving.swap.version_loader import VersionLoader


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


async def load_here(fetch: Fetch, loader: VersionLoader, *, beside_requests: bool) -> LoadedVersion:
    """The fetched package, loaded by this process off its event loop; throttled while requests are answered
    `beside` it. A package without a number is known by the beginning of its digest. Raises what loading raises."""

    def load() -> LoadedVersion:
        with throttled(yielding=True) if beside_requests else nullcontext():
            fetched = fetch()
            with fetched.package:
                loaded = loader.load(fetched.path, fetched.version)
            return LoadedVersion(fetched.version or loaded.digest[:12], loaded)

    return await asyncio.to_thread(run_load, load)
