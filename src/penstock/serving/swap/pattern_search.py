"""The question behind a pattern: which models match, and with which versions; one question for all of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping

from penstock.errors import PenstockError, RegistryUnavailable
from penstock.payload import some
from penstock.registry.interface import ModelVersion
from penstock.registry.resolutions import LastSearch

log = logging.getLogger("penstock.serving")


class PatternSearch:
    """Asks a registry for what matches `pattern`. `search` gives names and versions, `version` one version; both block.
    `last` keeps the names, for a start without the registry."""

    def __init__(
        self,
        pattern: str,
        search: Callable[[], Mapping[str, str]],
        version: Callable[[str, str], ModelVersion],
        *,
        last: LastSearch | None = None,
    ) -> None:
        self.pattern = pattern
        self._search = search
        self._version = version
        self._last = last
        # The whole mutable state: the version of each model that the last answer named, or what was recalled; the error
        # where there was no answer; failed searches in a row; the versions that were asked for.
        self._found: dict[str, str] = {}
        self.error: Exception | None = None
        self.failures = 0
        self._versions: dict[str, ModelVersion] = {}

    async def ask(self) -> dict[str, str] | None:
        """Names and versions of what matches now; None where the registry does not answer, and `error` says why."""
        try:
            found = dict(await asyncio.to_thread(self._search))
        except Exception as error:  # whatever a backend raises, it is asked again
            if self.error is None:
                log.error(
                    "%s: the registry cannot be queried; still serving the loaded models. %s",
                    self.pattern,
                    error,
                    exc_info=None if isinstance(error, PenstockError) else error,
                )
            self.error = error
            self.failures += 1
            return None
        if self.error is not None:
            log.info("%s: the registry answers again.", self.pattern)
        self.error = None
        self.failures = 0
        self._found = dict(found)
        return found

    async def recall(self) -> Mapping[str, str] | None:
        """What the registry last named, where that is known: each in the version that answered then."""
        found = await asyncio.to_thread(self._last.recall) if self._last is not None else None
        if found is None:
            return None
        log.warning(
            "%s: the registry cannot be queried; serving the models that it named on %s UTC (%s).",
            self.pattern,
            f"{found.seen_at:%Y-%m-%d %H:%M:%S}",
            some(sorted(found.names)) or "none",
        )
        self._found.update(found.names)
        return found.names

    async def remember(self, found: Mapping[str, str], served: Collection[str]) -> None:
        """Keeps an answer, for those of its models that are served."""
        if self._last is not None:
            names = {name: number for name, number in found.items() if name in served}
            await asyncio.to_thread(self._last.remember, names)

    def resolve(self, name: str) -> ModelVersion | None:
        """The version that a model is to serve, in the last answer; None where that did not name the model, which then
        goes on as it is until it leaves. Only a version that is new is asked for. Blocks. Raises RegistryUnavailable
        where there was no answer."""
        if self.error is not None:
            raise RegistryUnavailable(str(self.error)) from self.error
        if (number := self._found.get(name)) is None:
            return None
        known = self._versions.get(name)
        if known is None or known.version != number:
            known = self._versions[name] = self._version(name, number)
        return known

    def forget(self, name: str) -> None:
        """A model is served no longer."""
        self._found.pop(name, None)
        self._versions.pop(name, None)

    def __repr__(self) -> str:
        return f"<PatternSearch {self.pattern!r}: {len(self._found)} found, {self.failures} failed>"
