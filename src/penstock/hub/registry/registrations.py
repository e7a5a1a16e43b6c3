"""Registrations under way: the files of a version are read after it is there, and it is READY once they were.

Until then the version is PENDING_REGISTRATION, which MLflow's clients wait for, and its files are read-only. What a
hub was killed in the middle of is gone on with by the next: nothing but that state says what is left to do.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from datetime import datetime, timedelta
from functools import partial

from penstock.artifacts.trees import ArtifactTree
from penstock.errors import Closing, PenstockError, RegistryDenied, RegistryError, RegistryUnavailable
from penstock.hub.files.work import FileWork
from penstock.hub.stores import HubStores
from penstock.hub.version_packages import Patience, read_package
from penstock.hub.version_sources import below
from penstock.manifest import FILE_NAME
from penstock.registry.entries import ModelKey, ModelVersion, PackageFacts

log = logging.getLogger("penstock.hub")

READING = "The hub is reading its files."

# How long a client is kept waiting for its version to be READY; then it asks by itself whether it is.
ANSWER_SECONDS = 10.0

# What files are given at the most: a package of terabytes.
_MOST_SECONDS = 3600.0

# Between two tries to read files whose store does not answer.
_LEAST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0

# A registration of another process that began so long ago is that of one that was killed.
_LOST = timedelta(minutes=15)


class Registrations:
    """Made and used on one event loop."""

    def __init__(self, stores: HubStores, artifacts: ArtifactTree, work: FileWork) -> None:
        self._stores = stores
        self._artifacts = artifacts
        self._work = work
        # The whole mutable state: what is being read, by the model's key and the version's number; the end, for
        # threads that read.
        self._under_way: dict[tuple[ModelKey, str], asyncio.Task[ModelVersion]] = {}
        self._ended = threading.Event()

    async def finish(self, key: ModelKey, version: ModelVersion) -> ModelVersion:
        """Reads the files of a version that is there, and returns it when it is READY; as it was where that takes
        longer than a client should wait. Raises ModelNotFound, VersionNotFound where it was deleted meanwhile."""
        task = self._begin(key, version)
        done, _ = await asyncio.wait([task], timeout=ANSWER_SECONDS)
        return task.result() if done else version

    async def await_changes(self) -> None:
        """Returns when no file changes any more of those that belong to a version that is there now. Raises
        RegistryUnavailable."""
        await self._work.changes_made()
        await self._stores.read(self._stores.registry.await_changes)

    async def resume(self, now: datetime | None = None) -> None:
        """Goes on with what nobody does any more; without a time, with all that is not done. Raises
        RegistryUnavailable."""
        for key, version in await self._stores.read(self._stores.registry.unfinished):
            if now is None or now - version.created_at > _LOST:
                self._begin(key, version)

    async def close(self) -> None:
        """What is not read to its end is read by the next hub."""
        self._ended.set()
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, key: ModelKey, version: ModelVersion) -> asyncio.Task[ModelVersion]:
        of = (key, version.version)
        if (task := self._under_way.get(of)) is None:
            task = self._under_way[of] = asyncio.create_task(self._read(key, version))
            task.add_done_callback(partial(self._on_done, of))
        return task

    def _on_done(self, of: tuple[ModelKey, str], task: asyncio.Task[ModelVersion]) -> None:
        del self._under_way[of]
        if not task.cancelled() and (error := task.exception()) is not None:
            level = logging.DEBUG if isinstance(error, RegistryError) else logging.ERROR
            log.log(level, "The registration of a version ended: %s", error, exc_info=error)

    async def _read(self, key: ModelKey, version: ModelVersion) -> ModelVersion:
        """Again and again where the store does not answer: it is there, and its files are."""
        place, pause = below(self._stores.registry.artifact_root, version.source), _LEAST_PAUSE
        while True:
            try:
                await self.await_changes()
                facts, why = await self._work.run_long(self._facts, place)
                recorded = partial(self._stores.registry.record_package, key, version.version, facts, message=why)
                return await self._stores.read(recorded)
            except (RegistryUnavailable, RegistryDenied) as error:
                log.warning(
                    "The files of version %s of %s cannot be read, and are tried again in %.0f s: %s",
                    version.version,
                    ascii(version.name[:300]),
                    pause,
                    error,
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _facts(self, place: str) -> tuple[PackageFacts | None, str]:
        """In a thread: what the files say, or why they say nothing."""
        try:
            facts = read_package(self._artifacts, place, Patience(_MOST_SECONDS, self._ended))
        except (RegistryUnavailable, RegistryDenied, Closing):
            raise
        except PenstockError as error:
            log.warning("A version was registered without a digest: %s", error)
            return None, f"Registered without a digest: {error.message}"
        if facts is None:
            log.warning("There is no %s at %s to load a version from.", FILE_NAME, ascii(place[:300]))
        return facts, ""

    def __repr__(self) -> str:
        return f"<Registrations, {len(self._under_way)} under way>"
