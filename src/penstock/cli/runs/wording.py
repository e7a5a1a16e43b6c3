"""How the `penstock runs` commands word numbers, times and identifiers: short, and the same everywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

_UNITS = ((86_400.0, "day"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))
_BARS = "▁▂▃▄▅▆▇█"

# A run's id as tables have it, which names the run again where no other one begins like it.
SHORT_ID = 8


def number(value: float) -> str:
    """Six digits, which tell two metrics from each other."""
    return "NaN" if math.isnan(value) else f"{value:.6g}"


def signed(value: float) -> str:
    """A difference."""
    return "NaN" if math.isnan(value) else "=" if value == 0 else f"{value:+.4g}"


def ago(milliseconds: int, now: datetime) -> str:
    """When something was, seen from `now`; a month later its date says more."""
    if not milliseconds:
        return "-"
    seconds = now.timestamp() - milliseconds / 1000
    if seconds < 1:
        return "just now"
    if seconds >= 30 * 86_400:
        return f"{_at(milliseconds):%Y-%m-%d}"
    return f"{_rounded(seconds)} ago"


def lasted(milliseconds: int) -> str:
    """How long something took."""
    seconds = milliseconds / 1000
    if seconds < 10:
        return f"{seconds:.1f} s" if seconds >= 0.1 else f"{milliseconds} ms"
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    if seconds < 2 * 86_400:
        return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60)} min"
    return f"{int(seconds // 86_400)} days {int(seconds % 86_400 // 3600)} h"


def moment(milliseconds: int) -> str:
    return f"{_at(milliseconds):%Y-%m-%d %H:%M:%S} UTC" if milliseconds else "-"


def iso(milliseconds: int | None) -> str | None:
    """For programs."""
    return _at(milliseconds).isoformat(timespec="milliseconds").replace("+00:00", "Z") if milliseconds else None


def sparkline(values: Sequence[float], width: int = 20) -> str:
    """The course of a series in one line; a gap where there is no number. Empty for a single point."""
    if len(values) < 2:
        return ""
    shown = _thinned(values, width)
    numbers = [value for value in shown if not math.isnan(value)]
    if not numbers:
        return " " * len(shown)
    least, most = min(numbers), max(numbers)
    return "".join(" " if math.isnan(value) else _bar(value, least, most) for value in shown)


def _bar(value: float, least: float, most: float) -> str:
    # Halves, so that the two largest numbers, which stand for infinities, have a difference.
    spread = most / 2 - least / 2
    return _BARS[round((value / 2 - least / 2) / spread * (len(_BARS) - 1))] if spread else _BARS[3]


def _thinned(values: Sequence[float], width: int) -> Sequence[float]:
    """The means of as many stretches as there is room for."""
    if len(values) <= width:
        return values
    edges = [i * len(values) // width for i in range(width + 1)]
    return [_mean(values[first:end]) for first, end in pairwise(edges)]


def _mean(values: Sequence[float]) -> float:
    numbers = [value for value in values if not math.isnan(value)]
    return sum(value / len(numbers) for value in numbers) if numbers else math.nan


def _rounded(seconds: float) -> str:
    for length, unit in _UNITS:
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' if unit == 'day' and count > 1 else ''}"
    return "1 s"


def _at(milliseconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):  # a time that no calendar has
        return datetime.max.replace(tzinfo=UTC)
