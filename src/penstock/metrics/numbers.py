"""What changes with every request, as plain Python objects of the event loop: a tenth of the cost of
prometheus_client's locked ones. It is handed to that when somebody scrapes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable


class Number:
    """A counter or gauge of the event loop."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1) -> None:
        self.value += amount

    def dec(self) -> None:
        self.value -= 1

    def set(self, value: float) -> None:
        self.value = value


class Distribution:
    """A histogram of the event loop: how many values fell at or below each bound and above the one before."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulative(self) -> list[tuple[str, float]]:
        """(bound, values at or below it), as Prometheus has it."""
        seen = 0
        buckets = []
        for bound, count in zip((*map(str, map(float, self.bounds)), "+Inf"), self.counts, strict=True):
            seen += count
            buckets.append((bound, float(seen)))
        return buckets


class Reading(Number):
    """A gauge that is read when somebody scrapes."""

    __slots__ = ("_read",)

    def __init__(self, read: Callable[[], float]) -> None:
        self._read = read

    @property
    def value(self) -> float:
        return self._read()

    @value.setter
    def value(self, _: float) -> None:
        raise TypeError("it is read, not written")
