"""What a registry says about one alias: asked again and again, remembered, and recalled while it does not answer,
with how fresh that is."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import replace

from penstock.defaults import POLL_INTERVAL
from penstock.error_text import text_of
from penstock.errors import (
    AliasNotFound,
    ModelNotFound,
    PenstockError,
    RegistryUnavailable,
    VersionNotFound,
    error_code,
)
from penstock.machine.backoff import poll_delay
from penstock.metrics import Metrics
from penstock.registry.interface import ModelVersion
from penstock.registry.resolutions import LastResolution
from penstock.serving.served_model import RegistryState

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
        """The registry has answered: it names a version, or none."""
        self._recalled, self._failing_since = False, None

    def failed(self, now: float) -> None:
        """It has not answered."""
        if self._failing_since is None:
            self._failing_since = now

    def recalled(self) -> None:
        """What it last said is served in its place."""
        self._recalled = True

    def stale(self, now: float) -> bool:
        return self._recalled or (self._failing_since is not None and now - self._failing_since >= self._bound)

    def until_stale(self, now: float) -> float | None:
        """Seconds until an answer becomes stale for want of another; None where none is about to."""
        if self._failing_since is None or self.stale(now):
            return None
        return self._failing_since + self._bound - now

    def __repr__(self) -> str:
        return f"<Freshness recalled={self._recalled} failing_since={self._failing_since}>"


class RegistryPoll:
    """Asks for the version that a model is to serve. `model` is the name it is served under.

    `resolve` asks the registry; it blocks and is run in a thread. It gives None where the registry is known to name
    nothing any more and somebody else says so. `last` keeps what was served, for a start without the
    registry. `unreachable` has the models whose registry does not answer: those that follow one registry share it, so
    that the log has one line for all. `now` gives seconds since 1970.
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
        now: Callable[[], float] = time.time,
    ) -> None:
        self.model = model
        self.interval = interval
        self._resolve = resolve
        self._metrics = metrics
        self._last = last
        self._unreachable = unreachable if unreachable is not None else set()
        self._clock = clock
        self._chance = chance
        self._now = now
        # The whole mutable state: what the registry last said and since when, how fresh that is, polls in a row that it
        # did not answer, what is wrong with it, and which of that is in the log.
        self.wanted: ModelVersion | None = None
        self.wanted_since = 0.0
        self._freshness = Freshness(interval)
        self._failed_polls = 0
        self._trouble = RegistryState()
        self._logged = "ok"

    @property
    def stale(self) -> bool:
        """Whether the registry may name another version by now."""
        return self._freshness.stale(self._clock())

    @property
    def said(self) -> RegistryState:
        """What the registry said when it was asked last, to be shown."""
        return replace(self._trouble, stale=self.stale)

    def first_delay(self) -> float:
        """Seconds before the first poll after the start, so that pollers that started together part."""
        return self.interval * self._chance()

    def next_delay(self) -> float:
        """Seconds before the next poll. There is one when what answers becomes stale, which is shown from then on,
        though polls that fail come later and later."""
        delay = poll_delay(self.interval, self._failed_polls, self._chance())
        until_stale = self._freshness.until_stale(self._clock())
        return delay if until_stale is None else min(delay, until_stale)

    async def ask(self) -> ModelVersion | None:
        """The version that the registry names now. Raises what it raises: after AliasNotFound, ModelNotFound and
        VersionNotFound no version is wanted, after anything else the one before still is."""
        try:
            found = await asyncio.to_thread(self._resolve)
        except Exception as error:
            self._note_trouble(error)
            raise
        if found is not None and (self.wanted is None or self.wanted.version != found.version):
            self.wanted_since = self._clock()
        self.wanted = found
        self._trouble = RegistryState()
        self._on_answer()
        self._log_end(found)
        return found

    def _note_trouble(self, error: Exception) -> None:
        """That there is no alias is an answer, as good as any: the registry is asked as often as before, and nothing is
        stale. No answer is none."""
        state: RegistryState
        if isinstance(error, _NOTHING_NAMED):
            self.wanted = None
            state = RegistryState("names_no_version")
            self._on_answer()
        else:
            state = RegistryState("unreachable")
            self._freshness.failed(self._clock())
        before = self._trouble
        since = before.since if before.state == state.state else self._now()
        self._trouble = replace(state, code=error_code(error), message=text_of(error), since=since)
        self._show()

    def _on_answer(self) -> None:
        self._freshness.succeeded()
        self._failed_polls = 0
        self._metrics.registry_success.labels(self.model).set_to_current_time()
        self._show()

    async def recall(self, error: PenstockError) -> bool:
        """Takes what the registry last said for what it says, where that is known."""
        found = await asyncio.to_thread(self._last.recall) if self._last is not None else None
        if found is None:
            return False
        self._logged = "unreachable"
        self._unreachable.add(self.model)
        self.wanted = found.version
        self._freshness.recalled()
        self._show()
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

    def note_failure(self, error: Exception, current: str | None) -> None:
        """Counts a poll that was not answered: the next one comes later. What the log has not said yet goes there."""
        if self._trouble.state == "unreachable":
            self._metrics.registry_errors.labels(self.model).inc()
            self._failed_polls += 1
        self.log_failure(error, current)

    def log_failure(self, error: Exception, current: str | None) -> None:
        """Once, not at every poll; for a registry that several models cannot reach, once for all of them."""
        state = self._trouble.state
        if self._logged == state:
            return
        self._logged = state
        known = bool(self._unreachable) and isinstance(error, RegistryUnavailable)
        if isinstance(error, RegistryUnavailable):
            self._unreachable.add(self.model)
        else:
            self._unreachable.discard(self.model)
        log.log(
            logging.DEBUG if known else logging.ERROR,
            "%s: the registry %s; %s. %s",
            self.model,
            "names no version" if state == "names_no_version" else "cannot be queried",
            f"still serving version {current}" if current else "nothing is served yet",
            error,
            exc_info=None if isinstance(error, PenstockError) else error,
        )

    def _log_end(self, found: ModelVersion | None) -> None:
        """What the log said is over; once for all models of a registry that was away."""
        logged, self._logged = self._logged, "ok"
        self._unreachable.discard(self.model)
        if logged == "ok" or self._unreachable or found is None:
            return
        what = "names a version again" if logged == "names_no_version" else "answers again"
        log.info("%s: the registry %s.", self.model, what)

    def _show(self) -> None:
        self._metrics.registry_stale.labels(self.model).set(self.stale)
        self._metrics.alias_missing.labels(self.model).set(self._trouble.state == "names_no_version")

    def __repr__(self) -> str:
        wanted = self.wanted.version if self.wanted else None
        return f"<RegistryPoll of {self.model}: wanted {wanted}, {self._failed_polls} failed>"
