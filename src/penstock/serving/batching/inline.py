"""Which batches run on the event loop itself: those that hold it up for less than the two hops between threads cost.

Pure: no clock, no loop, no model. What a batch costs there is learnt there, since in a thread it waits for the
interpreter and looks dearer than it is.
"""

from __future__ import annotations

from penstock.serving.batching.cost_model import CostModel

# The longest that a batch may hold up the loop, by what is known.
INLINE_SECONDS = 0.001

# One that looks up to so many times dearer in a thread is tried on the loop: at first, and then now and then.
_WORTH_A_TRY = 8
_TRY_EVERY = 64

# What a batch costs is believed up to so many times the rows of the largest that ran on the loop.
_FARTHER = 2


class Inline:
    """The choice for one predictor, and what it has learnt."""

    def __init__(self, seconds: float = INLINE_SECONDS) -> None:
        self._seconds = seconds
        # The whole mutable state: what batches cost on the loop, and the most rows that one had there; how many were
        # sent to a thread since one was not.
        self._cost = CostModel()
        self._seen = 0
        self._elsewhere = _TRY_EVERY

    def choose(self, rows: int, in_thread: float) -> bool:
        """Whether a batch of so many rows runs on the loop. `in_thread` is the seconds that it is expected to take in a
        thread; infinite while nobody knows."""
        if rows <= self._seen * _FARTHER and self._cost.predict(rows) <= self._seconds:
            return True
        if self._elsewhere >= _TRY_EVERY and in_thread <= self._seconds * _WORTH_A_TRY:
            self._elsewhere = 0
            return True
        self._elsewhere += 1
        return False

    def observe(self, rows: int, seconds: float) -> None:
        """A batch that ran on the loop took so long."""
        self._cost.observe(rows, seconds)
        if rows > self._seen:
            self._seen = rows

    def __repr__(self) -> str:
        return f"<Inline {self._cost!r}>"
