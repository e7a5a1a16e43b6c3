"""What a batch will cost, learnt from the batches that ran; how many rows a part of a large request may have by that;
and whether a batch costs so little that it runs on the event loop itself: where it holds that up for less than the two
hops between threads cost.

Pure: no clock, no loop, no model. What a batch costs on the loop is learnt there, since in a thread it waits for the
interpreter and looks dearer than it is.
"""

from __future__ import annotations

from math import ceil, inf

# How much of the past a new batch leaves: about the last fifty count.
_KEEP = 0.98

# Batches are of one size whose rows vary by less than so much of their mean, squared.
_ALIKE = 0.01

# The longest that a batch may hold up the loop, by what is known.
INLINE_SECONDS = 0.001

# One that looks up to so many times dearer in a thread is tried on the loop: at first, and then now and then.
_WORTH_A_TRY = 8
_TRY_EVERY = 64

# The longest that a part of a large request may hold the model, by what is known: so long waits a small request.
PART_SECONDS = 0.005

# The rows of a first part, from which its cost is learnt; no later one has more than twice the most that ran at once.
FIRST_ROWS = 16

# What a batch costs is believed up to so many times the rows of the largest that ran on the loop.
_FARTHER = 2


class CostModel:
    """Seconds as a straight line over rows: least squares, older batches fading. Knows nothing before `observe` was
    called."""

    def __init__(self) -> None:
        # The whole state: faded sums of 1, rows, seconds, rows², rows × seconds; the line through them, once asked for.
        self._n = self._x = self._y = self._xx = self._xy = 0.0
        self._fitted: tuple[float, float] | None = None
        self.mean = 0.0  # seconds of a batch, whatever its size; 0 while nothing is known

    def observe(self, rows: int, seconds: float) -> None:
        self._n = self._n * _KEEP + 1
        self._x = self._x * _KEEP + rows
        self._y = self._y * _KEEP + seconds
        self._xx = self._xx * _KEEP + rows * rows
        self._xy = self._xy * _KEEP + rows * seconds
        self._fitted = None
        self.mean = self._y / self._n

    def predict(self, rows: int) -> float:
        """Seconds for so many rows; infinite while nothing is known. Never less than the mean says for fewer rows."""
        if not self._n:
            return inf
        mean_x, mean_y = self._x / self._n, self._y / self._n
        line = self._line(mean_x, mean_y)
        if line is None:
            return mean_y * max(1.0, rows / mean_x) if mean_x else mean_y
        return line[0] + line[1] * rows

    @property
    def line(self) -> tuple[float, float]:
        """The seconds of a batch and of each of its rows, 0 while nothing is known. As long as all batches were of one
        size, their rows are taken to be the whole cost."""
        if not self._n or not self._x:
            return 0.0, 0.0
        mean_x, mean_y = self._x / self._n, self._y / self._n
        return self._line(mean_x, mean_y) or (0.0, mean_y / mean_x)

    @property
    def usual(self) -> int:
        """The rows of a batch, as long as nearly all had as many, so that nobody knows what a row adds; else 0."""
        mean_x = self._x / self._n if self._n else 0.0
        alike = self._n and self._xx / self._n - mean_x * mean_x < _ALIKE * mean_x * mean_x
        return round(mean_x) if alike else 0

    def at_least(self, rows: int, most: int) -> float:
        """Seconds that so many rows surely take, in batches of at most `most`; 0 while nothing is known. As long as all
        batches were of one size, a row is taken to add nothing, for nobody has seen it add something."""
        if not self._n or rows <= 0:
            return 0.0
        if self._fitted is None:
            mean_x, mean_y = self._x / self._n, self._y / self._n
            self._fitted = self._line(mean_x, mean_y) or (mean_y, 0.0)
        fixed, slope = self._fitted
        return ceil(rows / most) * fixed + rows * slope

    def _line(self, mean_x: float, mean_y: float) -> tuple[float, float] | None:
        """The seconds of a batch and of each of its rows; None while all batches had one size."""
        spread = self._xx / self._n - mean_x * mean_x
        if spread < 1e-9:
            return None
        slope = max(0.0, (self._xy / self._n - mean_x * mean_y) / spread)
        return (max(mean_y - slope * mean_x, 0.0), slope) if slope else (mean_y, 0.0)

    def __repr__(self) -> str:
        return f"<CostModel 1 row {self.predict(1) * 1e3:.3f} ms, 100 rows {self.predict(100) * 1e3:.3f} ms>"


class Inline:
    """Which batches of one predictor run on the event loop, and what it has learnt of them."""

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


class PartSize:
    """How many rows a part may have. A model that takes long for even one row gets as many as double that time, since
    smaller parts would cost much and spare the others little."""

    __slots__ = ("_cost", "_seen", "max_rows")

    def __init__(self, cost: CostModel, max_rows: int) -> None:
        self._cost = cost
        self.max_rows = max_rows
        self._seen = FIRST_ROWS // 2  # the mutable state: the most rows that ran at once

    def fits(self, rows: int) -> bool:
        """Whether a request of so many rows is predicted at once."""
        return rows <= 1 or rows <= self.rows()

    def rows(self) -> int:
        """The rows of the next part: from 1 to `max_rows`."""
        most = min(self._seen * 2, self.max_rows)
        fixed, each = self._cost.line
        budget = max(PART_SECONDS, 2 * fixed)
        if fixed + each * most <= budget:
            return most
        rows = max(1, int((budget - fixed) / each))
        # Where all batches had as many, only another size tells what a row adds.
        return rows if rows != self._cost.usual else min(2 * rows, most)

    def ran(self, rows: int) -> None:
        """So many rows were predicted at once."""
        self._seen = max(self._seen, min(rows, self.max_rows))

    def __repr__(self) -> str:
        return f"<PartSize {self.rows()} of {self.max_rows} rows>"
