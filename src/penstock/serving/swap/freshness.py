"""Whether what answers is what the registry says, as far as a follower can know: no clock, no registry in here."""

from __future__ import annotations

# How long polls may fail before what answers counts as stale, in seconds, or in poll intervals if those are more.
STALE_SECONDS = 30.0
STALE_INTERVALS = 5


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
