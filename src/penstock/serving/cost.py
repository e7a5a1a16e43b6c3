"""What a batch will cost: seconds as a straight line over rows, learnt from the batches that ran."""

from __future__ import annotations

# How much of the past a new batch leaves: about the last fifty count.
_KEEP = 0.98


class CostModel:
    """Least squares over (rows, seconds), older batches fading. Knows nothing before `observe` was called."""

    def __init__(self) -> None:
        # The whole state: faded sums of 1, rows, seconds, rows², rows × seconds.
        self._n = self._x = self._y = self._xx = self._xy = 0.0

    def observe(self, rows: int, seconds: float) -> None:
        self._n = self._n * _KEEP + 1
        self._x = self._x * _KEEP + rows
        self._y = self._y * _KEEP + seconds
        self._xx = self._xx * _KEEP + rows * rows
        self._xy = self._xy * _KEEP + rows * seconds

    def predict(self, rows: int) -> float:
        """Seconds for so many rows; infinite while nothing is known. Never less than the mean says for fewer rows."""
        if not self._n:
            return float("inf")
        mean_x, mean_y = self._x / self._n, self._y / self._n
        spread = self._xx / self._n - mean_x * mean_x
        if spread < 1e-9:
            return mean_y * max(1.0, rows / mean_x) if mean_x else mean_y
        slope = max(0.0, (self._xy / self._n - mean_x * mean_y) / spread)
        return max(mean_y - slope * mean_x, 0.0) + slope * rows if slope else mean_y

    def __repr__(self) -> str:
        return f"<CostModel 1 row {self.predict(1) * 1e3:.3f} ms, 100 rows {self.predict(100) * 1e3:.3f} ms>"
