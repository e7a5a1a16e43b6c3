"""Whether two estimators, or two forms of one, answer alike."""

from __future__ import annotations

from typing import Any

import numpy as np


def same_answers(one: Any, other: Any) -> bool:
    """Whether two raw predictions are equal: exactly for labels, to rounding for floats."""
    if isinstance(one, list) and isinstance(other, list):  # one array for each of several outputs
        return len(one) == len(other) and all(same_answers(a, b) for a, b in zip(one, other, strict=True))
    a, b = np.asarray(one), np.asarray(other)
    if a.shape != b.shape:
        return False
    if a.dtype.kind == "f" and b.dtype.kind == "f":
        return bool(np.allclose(a, b, rtol=1e-6, atol=1e-12, equal_nan=True))
    return bool(np.array_equal(a, b))
