"""How long to wait before a server that could not be reached is asked again."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Pauses:
    """In seconds. `jitter` gives a number from 0 to 1: clients that lost a server together should not all come back in
    the same moment."""

    first: float = 0.25
    longest: float = 15.0
    jitter: Callable[[], float] = random.random

    def after(self, failures: int, retry_after: float | None = None) -> float:
        """After so many failures in a row, the first of which is number 1; at least what the server asked for."""
        grown = min(self.first * 2.0 ** min(failures - 1, 30), self.longest)
        return max(grown * (0.5 + 0.5 * self.jitter()), retry_after or 0.0)
