"""When a process that ended is started again: at once, later each time it crashes anew, and always in the end.

The same for worker processes and for model processes. Pure: what happened in, what to do out.
"""

from __future__ import annotations

from dataclasses import dataclass

from penstock.machine.backoff import retry_delay

# A process that served this long has not crashed in a row with what comes next.
FORGIVEN_AFTER = 60.0
MAX_DELAY = 30.0

# Crashes in a row after which what runs in the process counts as unfit. It is started again all the same.
MAX_CRASHES = 3


@dataclass(frozen=True, slots=True)
class Restart:
    """Start again after `delay` seconds; `crashes` is how many in a row there were, this one included."""

    crashes: int
    delay: float

    @property
    def unfit(self) -> bool:
        return self.crashes >= MAX_CRASHES

    @property
    def when(self) -> str:
        """For the log."""
        return f"in {self.delay:.1f} s" if self.delay else "at once"


def next_restart(crashes: int, served: float, chance: float, *, alone: bool = False) -> Restart:
    """A process has ended that nobody asked to end, or could not be started. `crashes` counts those in a row before,
    `served` is how many seconds this one served, 0 if it never did, `chance` is in [0, 1). `alone` says that no other
    one answers or is about to: one that has served is then started again at once, since nobody would be answered
    meanwhile. One that has not would only end again, and waits."""
    now = crashes_in_a_row(crashes, served)
    return Restart(now, 0.0 if alone and served > 0 else restart_delay(now, chance))


def crashes_in_a_row(before: int, served: float) -> int:
    """How often it has crashed now; `served` is how many seconds it answered requests."""
    return 1 if served >= FORGIVEN_AFTER else before + 1


def restart_delay(crashes: int, chance: float) -> float:
    """Seconds before the next start: none after a first crash, then doubling from one, at most 30, spread by `chance`
    in [0, 1) so that processes that crash together do not start together for ever."""
    return 0.0 if crashes <= 1 else retry_delay(crashes - 1, chance, most=MAX_DELAY)
