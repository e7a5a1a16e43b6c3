"""What a registry says about one alias: asked again and again, remembered, and recalled while it does not answer,
with how fresh that is."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable

from penstock.defaults import POLL_INTERVAL
from penstock.errors import AliasNotFound, ModelNotFound, PenstockError, RegistryUnavailable, VersionNotFound
from penstock.machine.backoff import poll_delay
from penstock.metrics import Metrics
from penstock.registry.interface import ModelVersion
from penstock.registry.resolutions import LastResolution

log = logging.getLogger("penstock.serving")


# How long polls may fail before what answers counts as stale, in seconds, or in poll intervals if those are more.
STALE_SECONDS = 30.0
STALE_INTERVALS = 5

# The registry has answered, and names nothing: the alias was removed, the version or the model deleted. A registry that
# does not answer has said no such thing.
_NOTHING_NAMED = (AliasNotFound, ModelNotFound, VersionNotFound)


class Freshness:
    """Stale is an answer that was recalled, until the registry speaks, and any, when polls have failed for too long."""

    def __init__(self, poll_interval: float) -> None:
        self._bound = max(STALE_SECONDS, STALE_INTERVALS * poll_interval)
        # The whole mutable state.
        self._recalled = False
        self._failing_since: float | None = None

    def succeeded(self) -> None:
        """The registry has named a version."""
        self._recalled, self._failing_since = False, None

    def failed(self, now: float) -> None:
        """It has not."""
        if self._failing_since is None:
            self._failing_since = now

    def recalled(self) -> None:
        """What it last said is served in its place."""
        self._recalled = True

    def stale(self, now: float) -> bool:
        return self._recalled or (self._failing_since is not None and now - self._failing_since >= self._bound)

    def __repr__(self) -> str:
        return f"<Freshness recalled={self._recalled} failing_since={self._failing_since}>"


class RegistryPoll:
    """Asks for the version that a model is to serve. `model` is the name it is served under.

    `resolve` asks the registry; it blocks and is run in a thread. It gives None where the registry is known to name
    nothing any more and somebody else says so. `last` keeps what was served, for a start without the
    registry. `unreachable` has the models whose registry does not answer: those that follow one registry share it, so
    that the log has one line for all.
    """

    def __init__(
        self,
        model: str,
        resolve: Callable[[], ModelVersion | None],
        metrics: Metrics,
        *,
        interval: float = POLL_INTERVAL,
        last: LastResolution | None = None,
        unreachable: set[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.model = model
        self.interval = interval
        self._resolve = resolve
        self._metrics = metrics
        self._last = last
        self._unreachable = unreachable if unreachable is not None else set()
        self._clock = clock
        self._chance = chance
        # The whole mutable state: what the registry last said and since when, how fresh that is, failed polls in a row,
        # whether the log says that it does not answer.
        self.wanted: ModelVersion | None = None
        self.wanted_since = 0.0
        self._freshness = Freshness(interval)
        self._failed_polls = 0
        self._silent = False

    @property
    def stale(self) -> bool:
        """Whether the registry may name another version by now."""
        return self._freshness.stale(self._clock())

    def first_delay(self) -> float:
        """Seconds before the first poll after the start, so that pollers that started together part."""
        return self.interval * self._chance()

    def next_delay(self) -> float:
        """Seconds before the next poll."""
        return poll_delay(self.interval, self._failed_polls, self._chance())

    async def ask(self) -> ModelVersion | None:
        """The version that the registry names now. Raises what it raises: after AliasNotFound, ModelNotFound and
        VersionNotFound no version is wanted, after anything else the one before still is."""
        try:
            found = await asyncio.to_thread(self._resolve)
        except Exception as error:
            if isinstance(error, _NOTHING_NAMED):
                self.wanted = None
            self._freshness.failed(self._clock())
            self._show_freshness()
            raise
        if found is not None and (self.wanted is None or self.wanted.version != found.version):
            self.wanted_since = self._clock()
        self.wanted = found
        self._freshness.succeeded()
        self._show_freshness()
        self._metrics.registry_success.labels(self.model).set_to_current_time()
        self._failed_polls = 0
        if self._silent:
            self._silent = False
            self._unreachable.discard(self.model)
            if not self._unreachable and found is not None:
                log.info("%s: the registry names a version again.", self.model)
        return found

    async def recall(self, error: PenstockError) -> bool:
        """Takes what the registry last said for what it says, where that is known."""
        found = await asyncio.to_thread(self._last.recall) if self._last is not None else None
        if found is None:
            return False
        self._silent = True
        self._unreachable.add(self.model)
        self.wanted = found.version
        self._freshness.recalled()
        self._show_freshness()
        log.warning(
            "%s: the registry cannot be queried; serving version %s, which it named on %s UTC and which may be stale. "
            "%s",
            self.model,
            found.version.version,
            f"{found.seen_at:%Y-%m-%d %H:%M:%S}",
            error,
        )
        return True

    async def remember(self, current: str | None) -> None:
        """Keeps what the registry says, once that version answers."""
        wanted = self.wanted
        if self._last is not None and wanted is not None and wanted.version == current:
            await asyncio.to_thread(self._last.remember, wanted)

    def count_failure(self) -> None:
        """Another poll has failed: the next one comes later."""
        self._metrics.registry_errors.labels(self.model).inc()
        self._failed_polls += 1

    def log_failure(self, error: Exception, current: str | None) -> None:
        """Once, not at every poll; for a registry that several models cannot reach, once for all of them."""
        if self._silent:
            return
        self._silent = True
        known = bool(self._unreachable) and isinstance(error, RegistryUnavailable)
        if isinstance(error, RegistryUnavailable):
            self._unreachable.add(self.model)
        log.log(
            logging.DEBUG if known else logging.ERROR,
            "%s: the registry names no version; %s. %s",
            self.model,
            f"still serving version {current}" if current else "nothing is served yet",
            error,
            exc_info=None if isinstance(error, PenstockError) else error,
        )

    def _show_freshness(self) -> None:
        self._metrics.registry_stale.labels(self.model).set(self.stale)

    def __repr__(self) -> str:
        wanted = self.wanted.version if self.wanted else None
        return f"<RegistryPoll of {self.model}: wanted {wanted}, {self._failed_polls} failed>"
