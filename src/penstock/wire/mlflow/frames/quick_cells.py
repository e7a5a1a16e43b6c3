"""Single values and lists that pandas certainly takes, or certainly does not: a Series for each would cost 0.1 ms.

What is not settled here is asked of pandas (`frame_cells`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from penstock.signature import Misfit, Scalar

UNSETTLED = object()

_NUMBERS = (Scalar.DOUBLE, Scalar.FLOAT, Scalar.LONG, Scalar.INTEGER)


def _same(value: Any) -> Any:
    return value


def _misfit(value: Any) -> Any:
    raise Misfit("")


def _as_float(dtype: type[np.floating[Any]]) -> Callable[[int], Any]:
    def widen(value: int) -> Any:
        """Zero and one may have been written without a decimal point."""
        return dtype(value) if value in (0, 1) else _misfit(value)

    return widen


def _long(value: int) -> Any:
    return np.int64(value) if -(2**63) <= value < 2**63 else UNSETTLED


_CELLS: dict[tuple[type, Scalar], Callable[[Any], Any]] = {
    (float, Scalar.DOUBLE): np.float64,
    (np.float64, Scalar.DOUBLE): _same,
    (int, Scalar.DOUBLE): _as_float(np.float64),
    (int, Scalar.FLOAT): _as_float(np.float32),
    (int, Scalar.LONG): _long,
    (np.int64, Scalar.LONG): _same,
    (bool, Scalar.BOOLEAN): np.bool_,
    (np.bool_, Scalar.BOOLEAN): _same,
    (str, Scalar.STRING): _same,
    (np.datetime64, Scalar.DATETIME): _same,
    **{(kind, type_): _misfit for kind in (str, bool) for type_ in _NUMBERS},
    **{(float, type_): _misfit for type_ in (Scalar.FLOAT, Scalar.LONG, Scalar.INTEGER)},
}


def quick_cell(value: Any, type_: Scalar) -> Any:
    """The value as pandas gives it back, UNSETTLED where pandas has to be asked. Raises Misfit, without words."""
    read = _CELLS.get((type(value), type_))
    return UNSETTLED if read is None else read(value)


def quick_list(values: list[Any], items: Scalar) -> Any:
    """The same for a list of single values."""
    kinds = set(map(type, values))
    if kinds == {str} and items in _NUMBERS:  # beside numbers, text may count as one
        raise Misfit("")
    if items is Scalar.DOUBLE:
        if kinds == {float}:
            return list(values)
        if kinds == {float, type(None)}:
            return [math.nan if value is None else value for value in values]
        if kinds == {int} and all(value in (0, 1) for value in values):
            return list(map(float, values))
    plain = kinds == {int} and items is Scalar.LONG and all(-(2**63) <= value < 2**63 for value in values)
    if kinds == {np.datetime64} and items is Scalar.DATETIME:
        return list(values)
    if plain or (kinds == {bool} and items is Scalar.BOOLEAN):
        return list(values)
    if kinds == {str} and items is Scalar.STRING:
        return [value.rstrip("\0") for value in values]  # which numpy leaves out at the end of text
    return UNSETTLED
