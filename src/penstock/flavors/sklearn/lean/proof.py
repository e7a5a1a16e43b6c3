"""The proof that a lean form answers as its estimator does: the same bits, on the example and on rows that are made.

Rows are made about the values that the estimator itself names (means and scales, thresholds of trees), and of extremes:
zeros of both signs, the smallest and the largest numbers, those at the end of float32, and the thresholds and their
neighbours. They come in several numbers, since libraries multiply few rows in another way than many, and in both orders
of memory.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np

from penstock.flavors.sklearn.lean.lean_predictor import LeanPredictor, Own
from penstock.flavors.sklearn.lean.step import NotLean

_ROW_COUNTS = (1, 2, 3, 16, 64, 1024)
_BOTH_ORDERS = (2, 64)
_MOST_CELLS = 1_000_000
_EXTREMES = (0.0, -0.0, 5e-324, 1e-300, -1e-38, 1.0, -1.0, 2.0**53, 3.4e38, 3.5e38, -1e300, np.inf, -np.inf, np.nan)


def prove_lean(lean: LeanPredictor, own: Own, known: Any | None, example: Any | None = None) -> None:
    """Raises NotLean where an answer differs by a bit. `known` (k, width) are values that the columns have, of which
    rows are made; `example` are rows (n, width) as they are."""
    batches = [] if example is None else [(example, True)]
    for rows, usual in chain(batches, () if known is None else _batches(lean.width, known)):
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            wanted = _outcome(own, rows)
            # An estimator that fails on these is not what it says: nothing of it is asked that might read elsewhere.
            if usual and not isinstance(wanted, np.ndarray):
                raise NotLean(f"it fails itself on {len(rows)} rows that are made for it")
            found = _outcome(lambda block: lean.predict(block, own), rows)
        if (difference := _difference(wanted, found)) is not None:
            raise NotLean(f"its answers to {len(rows)} rows differ in {difference}")


def _batches(width: int, known: Any) -> Iterator[tuple[Any, bool]]:
    """Rows, and whether any estimator answers them: those with extremes it may refuse."""
    random = np.random.default_rng(0)
    for count in _ROW_COUNTS:
        if count * width > _MOST_CELLS:
            break
        rows = _made(random, count, width, known)
        yield rows, True
        if count in _BOTH_ORDERS:
            yield np.asfortranarray(rows), True
    for extreme in _EXTREMES:
        rows = _made(random, 3, width, known)
        rows[1, random.integers(width)] = extreme
        yield rows, False


def _made(random: Any, count: int, width: int, known: Any) -> Any:
    """Rows (count, width) about the known values, some of them these values themselves."""
    drawn = known[random.integers(len(known), size=(count, width)), np.arange(width)]
    spread = known.std(axis=0) + 1.0
    spread[~np.isfinite(spread)] = 1.0
    moved = drawn + random.normal(size=(count, width)) * spread * random.choice([0.0, 0.1, 1.0, 10.0], (count, width))
    return np.ascontiguousarray(moved)


def _outcome(predict: Any, rows: Any) -> Any:
    """The answers, or the class of what was raised."""
    given = rows.copy(order="K")
    try:
        answers = predict(given)
    except Exception as error:
        return type(error)
    return answers if np.array_equal(given, rows, equal_nan=True) else "changed rows"


def _difference(wanted: Any, found: Any) -> str | None:
    if isinstance(wanted, np.ndarray) and isinstance(found, np.ndarray):
        if wanted.shape != found.shape or wanted.dtype != found.dtype:
            return "their form"
        same = wanted.tolist() == found.tolist() if wanted.dtype.hasobject else wanted.tobytes() == found.tobytes()
        return None if same else "a value"
    return None if isinstance(wanted, type) and wanted is found else "what they are"
