"""Frames and arrays as payloads. What a `Table` cannot say exactly stays the frame it is, and is predicted alone."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from penstock.payload import TEXT, Array, Payload, Table, Tensors, Value


def is_frame(data: Any) -> bool:
    """Whether it is a pandas.DataFrame; nothing is, unless somebody imported pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(data, pandas.DataFrame)


def payload_of(data: Any) -> Payload:
    """The payload that reaches the model as `data`."""
    if is_frame(data):
        return _table_of(data) or Value(data)
    if isinstance(data, np.ndarray):
        return Tensors.single(data)
    if isinstance(data, dict) and data and all(isinstance(v, np.ndarray) for v in data.values()):
        return Tensors.named(data)
    return Value(data)


def without_row_labels(payload: Payload) -> Payload:
    """The same for a model that knows no rows by their labels."""
    if isinstance(payload, Value) and is_frame(payload.value):
        return payload_of(payload.value.reset_index(drop=True))
    return payload


def _table_of(frame: Any) -> Table | None:
    """None for row labels, names or dtypes that would not come back the same."""
    import pandas as pd

    names = frame.columns.tolist()
    plain_rows = isinstance(frame.index, pd.RangeIndex) and (frame.index.start, frame.index.step) == (0, 1)
    plain_names = bool(names) and len(set(names)) == len(names) and len({type(n) for n in names} & {str, int}) == 1
    if not plain_rows or not plain_names or len({type(n) for n in names}) > 1:
        return None
    columns = [_column(frame.iloc[:, i]) for i in range(len(names))]
    found = [column for column in columns if column is not None]
    return Table.of(names, found) if len(found) == len(columns) else None


def _column(values: Any) -> Array | None:
    import pandas as pd

    dtype = values.dtype
    if isinstance(dtype, np.dtype):
        return np.asarray(values) if dtype.kind in "biufO" or dtype == "datetime64[ns]" else None
    if isinstance(dtype, pd.StringDtype) and dtype.na_value is np.nan:
        return np.array(values.to_numpy(dtype=object, na_value=np.nan), dtype=TEXT)
    return None
