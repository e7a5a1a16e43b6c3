"""What becomes of a model process that ended: pure, what happened in, what to do out."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.serving.fleet.restarts import crashes_in_a_row, restart_delay

# Crashes in a row after which a version counts as failed. It is tried again all the same, where nothing else answers.
MOST_CRASHES = 3


@dataclass(frozen=True, slots=True)
class Next:
    """Start again after `delay` seconds. `crashes` is how many in a row there were; `failed` says that the version is
    not fit to serve."""

    crashes: int
    delay: float
    failed: bool


def after_end(crashes: int, served: float, chance: float) -> Next:
    """A process has ended that nobody told to, or could not be started again (`served` 0). `crashes` counts those in a
    row before, `served` is how many seconds this one answered, `chance` is in [0, 1)."""
    now = crashes_in_a_row(crashes, served)
    return Next(now, restart_delay(now, chance), now >= MOST_CRASHES)
