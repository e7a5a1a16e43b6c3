"""What a follower should do next: one snapshot in, one action out. Stateless, so that asking twice does no harm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class FailedLoad:
    """A version that could not be loaded: how often in a row, and when to try again (on the follower's clock)."""

    version: str
    attempts: int
    retry_at: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a decision rests on. Versions by number; None where there is none. `now` and times on one clock."""

    wanted: str | None
    current: str | None
    previous: str | None
    loading: str | None
    failure: FailedLoad | None
    previous_until: float
    now: float


@dataclass(frozen=True, slots=True)
class Load:
    """Load and prove this version; swap to it if it is still wanted then."""

    version: str


@dataclass(frozen=True, slots=True)
class Revert:
    """The wanted version is the one kept warm: let it answer now."""


@dataclass(frozen=True, slots=True)
class RetirePrevious:
    """The version kept warm has been kept long enough."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do before `until` (None: before something changes)."""

    until: float | None = None


Action: TypeAlias = Load | Revert | RetirePrevious | Wait


def next_action(s: Snapshot) -> Action:
    """The next step towards serving what is wanted.

    Instant steps come first. One version loads at a time: a move that comes meanwhile is taken up when that load ends,
    and the version it loaded is dropped unseen. Where the registry names nothing (`wanted` None), what answers goes on,
    and nothing else begins to.
    """
    settled = s.wanted is None or s.wanted == s.current
    if not settled and s.wanted == s.previous:
        return Revert()
    if s.previous is not None and s.previous_until <= s.now:
        return RetirePrevious()  # also while another version loads, or fails to, for however long
    until = s.previous_until if s.previous is not None else None
    if settled or s.loading is not None:
        return Wait(until)
    assert s.wanted is not None
    if s.failure is None or s.failure.version != s.wanted or s.failure.retry_at <= s.now:
        return Load(s.wanted)
    return Wait(s.failure.retry_at if until is None else min(until, s.failure.retry_at))
