"""How long to wait before something is tried again: pure; chance is an argument, so that many do not try in step."""

from __future__ import annotations

# Enough for any limit; a thousand would be more than a float holds.
_MAX_DOUBLINGS = 30


def poll_delay(interval: float, failures: int, chance: float, *, most: float = 30.0) -> float:
    """Seconds until the next poll: the interval, doubled for each failure in a row up to `most`, a tenth more or less
    by `chance` in [0, 1)."""
    doublings = min(failures, _MAX_DOUBLINGS)
    return min(max(most, interval), interval * 2.0**doublings) * (0.9 + 0.2 * chance)


def retry_delay(attempts: int, chance: float, *, first: float = 1.0, most: float = 60.0) -> float:
    """Seconds until the next try after `attempts` failures: doubling, at most `most`, spread by `chance` in [0, 1)."""
    doublings = min(attempts - 1, _MAX_DOUBLINGS)
    return float(min(most, first * 2**doublings) * (0.5 + chance / 2))
