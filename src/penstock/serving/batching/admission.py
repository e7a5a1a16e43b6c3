"""Admission: which requests are let in, and when refused ones should retry. Pure: no clock, no event loop, no model.

A queue holds what its server works off in some time, so its bound is a time: requests inside ÷ requests a second, which
is how long the next one will stay (Little's law). A burst may take `max_wait`. A queue that does not go away any more
only makes everybody late, hence it is held to a twentieth of that (controlled delay: Maurer, "Fail at Scale", ACM Queue
13(8), 2015). Up to MIN_CONCURRENCY requests are never refused for the time they take: so many callers may share a slow
model.
"""

from __future__ import annotations

from math import ceil, inf
from typing import Literal, Protocol, TypeAlias

from penstock.defaults import MAX_WAIT
from penstock.errors import Overloaded

Limit: TypeAlias = Literal["rows", "wait", "deadline", "requests", "bytes"]

MIN_CONCURRENCY = 256
STANDING = 0.05
MAX_RETRY_AFTER = 60

# A refusal because of the caller's deadline leaves this much of it to the estimate's error.
_TRUSTED = 0.8

# Seconds of work that a rate remembers, and between two looks at it; looks in a row that make a standing queue.
_MEMORY = 2.0
_WINDOW = 0.1
_STANDS_AFTER = 5


def retry_after(waiting: float, rate: float) -> int:
    """Whole seconds until what waits has gone at this rate: at least 1, at most MAX_RETRY_AFTER, 1 while no rate is
    known."""
    if rate <= 0 or waiting <= 0:
        return 1
    return ceil(max(1.0, min(waiting / rate, MAX_RETRY_AFTER)))


def misses_deadline(expected: float, time_left: float) -> bool:
    """Whether a caller with `time_left` seconds left would be gone before an answer that takes `expected` seconds."""
    return expected > time_left * _TRUSTED


class DrainRate:
    """The measured throughput of a model per second of work; old measurements count less. `value` is 0 at first."""

    __slots__ = ("_amount", "_seconds", "value")

    def __init__(self) -> None:
        # The whole state: faded amounts over faded seconds, and their ratio.
        self._amount = self._seconds = 0.0
        self.value = 0.0

    def observe(self, amount: float, seconds: float) -> None:
        """Records that `amount` was answered in `seconds` of work."""
        keep = max(0.0, 1.0 - seconds / _MEMORY)
        self._amount = self._amount * keep + amount
        self._seconds = self._seconds * keep + seconds
        if self._seconds > 0:
            self.value = self._amount / self._seconds

    def __repr__(self) -> str:
        return f"<DrainRate {self.value:.1f}/s>"


class ConcurrencyLimit:
    """The requests inside one version, from the lease to the answer, and how many may be: `inside` < `limit`.

    `max_wait` is the seconds that a burst may take. Times are of any one clock that does not go back.
    """

    __slots__ = ("_emptied", "_left", "_max_wait", "_most", "_since", "_standing", "inside", "limit", "rate")

    def __init__(self, max_wait: float = MAX_WAIT) -> None:
        self._max_wait = max_wait
        # The whole state: who is inside and may be; how fast they leave; since the last look at that: when it was
        # (moved on by idle time), who left, the most inside at once; when the last one left; looks in a row that saw
        # more inside than a standing queue may hold.
        self.inside = 0
        self.limit: float = inf
        self.rate = DrainRate()
        self._since = 0.0
        self._left = 0
        self._most = 0
        self._emptied = 0.0
        self._standing = 0

    def enter(self, now: float) -> None:
        if not self.inside:
            idle = now - self._emptied
            self._since += idle  # which is not the time of a window
            if idle > _WINDOW and self._standing:
                self._standing = 0
                self.limit = self.bound(self._max_wait)
        self.inside += 1
        if self.inside > self._most:
            self._most = self.inside

    def leave(self, now: float, served: bool = True) -> None:
        """One is out; where it was not `served` but turned away, that says nothing of how fast the others leave."""
        self.inside -= 1
        self._left += served
        if now - self._since >= _WINDOW:
            self._look(now)
        if not self.inside:
            self._emptied = now

    def _look(self, now: float) -> None:
        self.rate.observe(self._left, now - self._since)
        standing = self.bound(self._max_wait * STANDING)
        self._standing = self._standing + 1 if self._most >= standing else 0
        self.limit = standing if self._standing >= _STANDS_AFTER else self.bound(self._max_wait)
        self._since = now
        self._left = 0
        self._most = self.inside

    def bound(self, seconds: float) -> float:
        """How many requests may be inside so that the last one stays this long, and MIN_CONCURRENCY at least."""
        return max(float(MIN_CONCURRENCY), self.rate.value * seconds)

    @property
    def retry_after(self) -> int:
        return retry_after(self.inside, self.rate.value)

    def __repr__(self) -> str:
        return f"<ConcurrencyLimit {self.inside} of {self.limit:.0f}, {self.rate!r}>"


class InflightLimits:
    """What the whole gateway holds at once, of all models together: requests, from their headers to their answer, and
    the bytes of their bodies. A lone body may be larger than all that is allowed together."""

    __slots__ = ("bytes", "max_bytes", "max_requests", "requests")

    def __init__(self, max_requests: float = inf, max_bytes: float = inf) -> None:
        self.max_requests = max_requests
        self.max_bytes = max_bytes
        # The whole state.
        self.requests = 0
        self.bytes = 0

    def refuses(self, declared: int = 0) -> Limit | None:
        """The limit that another request meets, before any of its body is read; it declares this many bytes."""
        if self.requests >= self.max_requests:
            return "requests"
        if self.bytes and self.bytes + max(declared, 1) > self.max_bytes:
            return "bytes"
        return None

    def fits(self, more: int, own: int = 0) -> bool:
        """Whether a request that holds `own` bytes already may hold so many more."""
        return self.bytes + more <= self.max_bytes or self.bytes == own

    def __repr__(self) -> str:
        return f"<InflightLimits {self.requests} requests, {self.bytes} bytes>"


class Admission(Protocol):
    """What admits requests for all models together: a gateway."""

    inflight_limits: InflightLimits

    def overloaded(self, limit: Limit, /) -> Overloaded:
        """The refusal of one more request, or of more bytes."""


class InflightHold:
    """One request's place among those that a gateway holds, and the bytes of its body, until `release`."""

    __slots__ = ("_gateway", "_inflight_limits", "bytes")

    def __init__(self, gateway: Admission) -> None:
        self._gateway = gateway
        self._inflight_limits = gateway.inflight_limits
        self._inflight_limits.requests += 1
        self.bytes = 0

    def release(self) -> None:
        self._inflight_limits.requests -= 1
        self._inflight_limits.bytes -= self.bytes

    def take(self, more: int) -> None:
        """Holds so many bytes more. Raises Overloaded where there is no room for them."""
        if not self._inflight_limits.fits(more, self.bytes):
            raise self._gateway.overloaded("bytes")
        self._inflight_limits.bytes += more
        self.bytes += more

    def __repr__(self) -> str:
        return f"<InflightHold {self.bytes} bytes, of {self._inflight_limits!r}>"
