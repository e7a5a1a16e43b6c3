"""Durations counted in buckets of growing width, as HdrHistogram does: any number of them, in little memory, to 0.1 %.

Source of the idea: Gil Tene's HdrHistogram. A bucket is named by a duration's leading eleven bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

_BITS = 11
_FINE = 1 << _BITS


class Histogram:
    """Counts of durations in seconds, kept in whole nanoseconds; a percentile is at most 0.1 % too high."""

    def __init__(self, seconds: Iterable[float] = ()) -> None:
        # The whole state: how many durations fell into each bucket, and how many there are.
        self._counts: dict[int, int] = {}
        self.total = 0
        for duration in seconds:
            self.add(duration)

    def add(self, seconds: float) -> None:
        bucket = _bucket(int(seconds * 1e9))
        self._counts[bucket] = self._counts.get(bucket, 0) + 1
        self.total += 1

    def merge(self, other: Histogram) -> None:
        for bucket, count in other._counts.items():
            self._counts[bucket] = self._counts.get(bucket, 0) + count
        self.total += other.total

    def percentile(self, share: float) -> float:
        """The duration in seconds that this share (0 to 1) of all did not exceed; NaN where there is none."""
        if not self.total:
            return math.nan
        wanted = max(1, math.ceil(share * self.total - 1e-9))
        seen = 0
        for bucket in sorted(self._counts):
            seen += self._counts[bucket]
            if seen >= wanted:
                break
        return _highest(bucket) / 1e9

    def curve(self, steps: int = 5) -> list[tuple[float, float]]:
        """(share, seconds) up to the longest: `steps` points for each halving of what is left, as plots of tails want."""
        points: list[tuple[float, float]] = []
        left = 1.0
        while self.total and left * self.total >= 1:
            points += [
                (share, self.percentile(share)) for i in range(steps) for share in [1 - left + left * i / (2 * steps)]
            ]
            left /= 2
        return points

    def as_json(self) -> dict[str, int]:
        return {str(bucket): count for bucket, count in sorted(self._counts.items())}

    @classmethod
    def from_json(cls, counts: Mapping[str, int]) -> Histogram:
        read = cls()
        read._counts = {int(bucket): count for bucket, count in counts.items()}
        read.total = sum(counts.values())
        return read

    def __repr__(self) -> str:
        return f"<Histogram of {self.total}>"


def _bucket(value: int) -> int:
    """The bucket of a whole number: itself below 2048, then 1024 buckets for each doubling."""
    if value < _FINE:
        return max(value, 0)
    shift = value.bit_length() - _BITS
    return shift * (_FINE // 2) + (value >> shift)


def _highest(bucket: int) -> int:
    """The largest number in a bucket."""
    if bucket < _FINE:
        return bucket
    shift = bucket // (_FINE // 2) - 1
    leading = bucket - shift * (_FINE // 2)
    return ((leading + 1) << shift) - 1
