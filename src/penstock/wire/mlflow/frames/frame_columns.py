"""One column of a frame against a type of single values, as the second stage sees it: strict, only widening."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np

from penstock.payload import shortened
from penstock.signature import Misfit, Scalar, check_moments
from penstock.wire.mlflow.frames.dtypes import numpy_type


def enforce_column(values: Any, type_: Scalar) -> Any:
    """A pandas.Series as `type_`, if that loses nothing. Raises Misfit, and what pandas raises."""
    import pandas as pd

    if values.dtype == object and type_ not in (Scalar.BINARY, Scalar.STRING):
        values = values.infer_objects()
    text = isinstance(values.dtype, pd.StringDtype)
    if (type_ is Scalar.STRING and (values.dtype == object or text)) or (type_ is Scalar.BINARY and text):
        return values
    wanted = numpy_type(type_)
    if type_.dtype == values.dtype or wanted == values.dtype:
        return values
    if type_ is Scalar.BINARY and values.dtype.kind == wanted.kind:
        return values
    if (special := _SPECIAL.get(type_)) and (found := special(values)) is not None:
        return found
    return _widened(values, type_, wanted)


def _moments(values: Any) -> Any:
    if values.dtype.kind == "M" or values.dtype == object:
        if values.dtype == object:
            check_moments(values)
        return values.astype(np.dtype("datetime64[ns]"))
    return None


def _truths(values: Any) -> Any:
    return values if values.dtype == object else None  # missing ones stay missing


def _decimals(values: Any) -> Any:
    import pandas as pd

    return pd.to_numeric(values) if values.dtype == Decimal else None


_SPECIAL: dict[Scalar, Callable[[Any], Any]] = {
    Scalar.DATETIME: _moments,
    Scalar.BOOLEAN: _truths,
    Scalar.DOUBLE: _decimals,
}


def _widened(values: Any, type_: Scalar, wanted: np.dtype[Any]) -> Any:
    kind, size = values.dtype.kind, getattr(values.dtype, "itemsize", 0)
    if kind == wanted.kind:
        wider = size <= wanted.itemsize
    elif kind == "u" and wanted.kind == "i":
        wider = size < wanted.itemsize
    else:
        wider = kind in "iu" and wanted == np.float64 and size <= 6
    if wider or _lost_its_points(values, wanted):
        return values.astype(wanted)
    example = shortened(values.iloc[0]) if len(values) else "no rows"
    raise Misfit(f"{values.dtype} cannot be converted to {type_} without possible loss of data ({example})")


def _lost_its_points(values: Any, wanted: np.dtype[Any]) -> bool:
    """A column of zeros and ones may have been written without decimal points."""
    whole = values.dtype == np.int64 and wanted in (np.float32, np.float64)
    return whole and bool(values.isin([0, 1]).all())
