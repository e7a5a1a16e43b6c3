"""When a worker that ended starts again: soon, later each time it crashes anew, and never not at all."""

from __future__ import annotations

from penstock.serving.swap.next_action import retry_delay

# A worker that served this long has not crashed in a row with what comes next.
FORGIVEN_AFTER = 60.0
MOST_DELAY = 30.0


def crashes_in_a_row(before: int, served: float) -> int:
    """How often it has crashed now; `served` is how many seconds it answered requests."""
    return 1 if served >= FORGIVEN_AFTER else before + 1


def restart_delay(crashes: int, chance: float) -> float:
    """Seconds before the next start: none after a first crash, then doubling from one, at most 30, spread by `chance`
    in [0, 1) so that workers that crash together do not load together for ever."""
    return 0.0 if crashes <= 1 else retry_delay(crashes - 1, chance, most=MOST_DELAY)
