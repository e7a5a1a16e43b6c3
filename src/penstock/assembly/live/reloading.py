"""Reads the settings file again when it has changed, or SIGHUP asks for it, and hands its models to their owner. A file
that cannot be used changes nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from penstock.assembly.live.changes import ModelChanges, waiting_for_restart
from penstock.assembly.live.watching import FileWatch, read
from penstock.config import ServerSettings
from penstock.errors import ConfigError
from penstock.metrics import Metrics

log = logging.getLogger("penstock.server")

# Between two looks at the file.
INTERVAL = 1.0


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """The file, the settings that it gave at the start, and how they are read again as they were then, with the same
    flags and variables. `read` blocks. Raises ConfigError."""

    path: Path
    started: ServerSettings
    read: Callable[[], ServerSettings]


class ModelsOwner(Protocol):
    """Whom settings are handed to."""

    def changes(self, settings: ServerSettings) -> ModelChanges:
        """What they change. Raises ConfigError where they cannot be used."""

    async def apply(self, settings: ServerSettings, changes: ModelChanges) -> None:
        """Makes it so."""

    @property
    def default(self) -> str | None:
        """The model that answers where a request names none."""


class Reloader:
    """Applies what changes in a settings file. `is_ending` says that the server takes nothing new any more;
    `on_applied` is called after each change."""

    def __init__(
        self,
        owner: ModelsOwner,
        file: SettingsFile,
        metrics: Metrics,
        is_ending: Callable[[], bool],
        *,
        on_applied: Callable[[], None] = lambda: None,
        interval: float = INTERVAL,
    ) -> None:
        self._owner = owner
        self._file = file
        self._metrics = metrics
        self._is_ending = is_ending
        self._on_applied = on_applied
        self._interval = interval
        for outcome in ("applied", "refused"):
            metrics.config_reloads.labels(outcome)
        # The whole mutable state: what the file had, whether that could not be used, the event that somebody asks, and
        # the task that looks.
        self._watch = FileWatch(file.path)
        self._was_refused = False
        self._asked = asyncio.Event()
        self._looking: asyncio.Task[None] | None = None

    def ask(self) -> None:
        """The file is to be read now, changed or not."""
        self._asked.set()

    def begin(self) -> None:
        """From now on changes apply; what came before, and was asked for, is not lost."""
        self._looking = asyncio.create_task(self._run(watches=self._file.started.watch_config))

    async def _run(self, *, watches: bool) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), self._interval if watches else None)
            try:
                await self.look()
            except Exception:  # a mistake of ours: the next change must still come in
                log.exception("%s could not be applied; the models stay as they are.", self._file.path)

    async def look(self) -> None:
        """One look at the file, and what follows from it."""
        asked = self._asked.is_set()
        self._asked.clear()
        content = await asyncio.to_thread(read, self._file.path)
        if asked:
            self._watch.use(content)
        elif not self._watch.look(content):
            return
        if not self._is_ending():
            await self._reload(asked)

    async def _reload(self, asked: bool) -> None:
        path = self._file.path
        try:
            settings = await asyncio.to_thread(self._file.read)
            changes = self._owner.changes(settings)
        except ConfigError as error:
            self._count("refused")
            log.error("%s cannot be used and changes nothing; it is read again when it changes. %s", path, error)
            self._was_refused = True
            return
        self._count("applied")
        again = "can be used again: " if self._was_refused else ""
        if changes.any or asked or again:
            log.info("%s: %s%s.", path, again, changes)
        self._was_refused = False
        if changes.any:
            await self._owner.apply(settings, changes)
        for line in self._what_a_restart_would_change(settings):
            log.warning("%s: %s", path, line)
        self._on_applied()

    def _count(self, outcome: str) -> None:
        self._metrics.config_reloads.labels(outcome).inc()
        self._metrics.config_refused.set(outcome == "refused")

    def _what_a_restart_would_change(self, settings: ServerSettings) -> list[str]:
        found = []
        if waiting := waiting_for_restart(self._file.started, settings):
            found.append(f"{', '.join(waiting)} cannot change while the server runs; restart it to apply that.")
        default = self._owner.default
        if default is not None and settings.default_model is None and len(settings.models) > 1:
            found.append(
                f"/invocations is still answered by {default}, but by no model after a restart. To keep it so, write "
                f'this line above the first table: default_model = "{default}"'
            )
        return found

    async def close(self) -> None:
        """Reads no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    def __repr__(self) -> str:
        return f"<Reloader of {self._file.path}>"
