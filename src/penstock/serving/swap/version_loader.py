"""How the packages of one served model become versions, and how a load that is no longer wanted is ended."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from penstock.loading import LoadOptions, Timed, untimed
from penstock.model_process.client.package_process import OnLaunched
from penstock.model_process.client.start import ModelProcessHandle
from penstock.package import PackagedModel
from penstock.serving.runners.isolation import IsolatedModel, Isolation, Loaded, load_served
from penstock.serving.runners.trial import Trial
from penstock.serving.swap.preparing import Fetch, FetchedPackage
from penstock.serving.swap.target import LoadedVersion, LocalTarget, load_beside
from penstock.storage.download import while_wanted


class VersionLoader:
    """Loads packages, here or in processes of their own. `name` is the model's, for the log; `trial` is what comes
    first, for what is to be loaded here. Used from any thread."""

    def __init__(
        self,
        options: LoadOptions,
        isolation: Isolation,
        name: str,
        timed: Timed = untimed,
        *,
        trial: Trial | None = None,
    ) -> None:
        self._options = options
        self._isolation = isolation
        self._name = name
        self._timed = timed
        self._trial = trial
        # The whole mutable state: processes that load now, those of them that take the place of what hangs here, how
        # often loads were stopped, and whether no other may begin.
        self._lock = threading.Lock()
        self._loading: set[ModelProcessHandle] = set()
        self._replacing: set[ModelProcessHandle] = set()
        self._stops = 0
        self._stopped = False

    def fetch(self, fetch: Fetch) -> FetchedPackage:
        """What it brings, unless loads are stopped meanwhile. Blocks. Raises what it raises, and RegistryUnavailable
        where it was stopped."""
        stops = self._stops
        with while_wanted(lambda: self._stops == stops and not self._stopped):
            return fetch()

    def load(self, path: Path, version: str) -> Loaded:
        """Loads and proves the package in a directory. Blocks. Raises what load_path raises, and ModelProcessLost, also
        where it was stopped."""
        label = self._label(version)
        with self._stoppable() as launched:
            digest = self._try(path, label, launched, loads_next=True)
            loaded = load_served(path, self._options, self._isolation, label, self._timed, launched, digest)
        if isinstance(loaded, IsolatedModel):
            return loaded
        again = partial(self._load_apart, path, label, loaded.digest)
        return replace(loaded, apart=again, time_limit=self._isolation.time_limit)

    def _load_apart(self, path: Path, label: str, digest: str) -> Loaded:
        """The same package in a process of its own, in place of one that hangs here. Blocks. Raises as `load` does."""
        isolation = replace(self._isolation, mode="process")
        with self._stoppable(self._replacing) as launched:
            return load_served(path, self._options, isolation, label, launched=launched, digest=digest)

    def try_out(self, path: Path, version: str) -> None:
        """The trial alone, for those who load the package after it. Blocks. Raises as `load` does."""
        with self._stoppable() as launched:
            self._try(path, self._label(version), launched, loads_next=False)

    def _try(self, path: Path, label: str, launched: OnLaunched, *, loads_next: bool) -> str:
        """The digest of the package that was tried; empty where none was."""
        if self._trial is None:
            return ""
        package = PackagedModel.open(path)
        self._trial.run(package, label, self._timed, launched, loads_next=loads_next)
        return package.digest

    def _label(self, version: str) -> str:
        return f"{self._name} version {version}" if version else self._name

    @contextmanager
    def _stoppable(self, also: set[ModelProcessHandle] | None = None) -> Iterator[OnLaunched]:
        """What is launched inside can be stopped until it has loaded; it is kept in `also`, too."""
        mine: set[ModelProcessHandle] = set()

        def launched(process: ModelProcessHandle) -> None:
            with self._lock:
                mine.add(process)
                self._loading.add(process)
                if also is not None:
                    also.add(process)
                stopped = self._stopped
            if stopped:
                process.kill()

        try:
            yield launched
        finally:
            with self._lock:
                self._loading -= mine
                self._replacing -= mine

    def stop(self, *, for_good: bool = False) -> None:
        """Ends the downloads and processes of new versions; `for_good`, all that load, and those that would. What takes
        the place of a version that answers is not superseded by a newer one. A load in this process goes on, since a
        thread cannot be stopped."""
        with self._lock:
            self._stopped = self._stopped or for_good
            self._stops += 1
            loading = self._loading - (set() if for_good else self._replacing)
        for process in loading:
            process.kill()

    def __repr__(self) -> str:
        return f"<VersionLoader {self._name}, {len(self._loading)} loading{', stopped' if self._stopped else ''}>"


@dataclass(frozen=True, slots=True)
class LocalInstaller:
    """Loads the versions of one model for this process, into it or into model processes of its own. `answering` says
    whether this process answers requests, with whatever model."""

    target: LocalTarget
    loads: VersionLoader
    answering: Callable[[], bool]

    @property
    def serving(self) -> bool:
        return self.answering()

    async def install(self, fetch: Fetch, *, beside_requests: bool) -> LoadedVersion:
        """The fetched package, loaded off the event loop. A package without a number is known by the beginning of its
        digest. A thread cannot be stopped: what it has loaded when nobody waits for it any more is released."""
        loading = asyncio.ensure_future(asyncio.to_thread(load_beside, beside_requests, self._load, fetch))
        try:
            return await asyncio.shield(loading)
        except asyncio.CancelledError:
            loading.add_done_callback(_drop)
            raise

    def _load(self, fetch: Fetch) -> LoadedVersion:
        fetched = self.loads.fetch(fetch)
        with fetched.package:
            loaded = self.loads.load(fetched.path, fetched.version)
        return LoadedVersion(fetched.version or loaded.digest[:12], loaded)


def _drop(loading: asyncio.Future[LoadedVersion]) -> None:
    if not loading.cancelled() and loading.exception() is None:
        loading.result().drop()
