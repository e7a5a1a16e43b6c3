"""Payloads to and from what Python models use: pandas frames and series, numpy arrays, plain objects.

The only place where a payload becomes a frame. pandas is imported when a frame is really needed.
"""

from __future__ import annotations

import math
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.errors import AnswerUnserializable
from penstock.payload import TEXT, Array, Name, Payload, Table, Tensors, Value, as_object_array, shortened

if TYPE_CHECKING:
    from pandas import DataFrame, Index, Series


def to_frame(table: Table) -> DataFrame:
    """A pandas.DataFrame of the table; one block of numbers stays one block, without a copy. Objects stay objects:
    pandas gets the dtype, or it would guess text columns of them."""
    import pandas as pd

    names = None if table.names is None else _labels(table.names).view()
    if table.block is not None and table.block.dtype.kind != TEXT.kind:
        dtype = object if table.block.dtype == object else None
        return pd.DataFrame(table.block, columns=names, index=table.index, dtype=dtype, copy=False)
    index = table.index if table.index is not None else pd.RangeIndex(table.rows)
    data = {i: _series(column, index) for i, column in enumerate(table.iter_columns())}
    frame = pd.DataFrame(data, index=index, copy=False)
    if names is not None:
        frame.columns = names
    return frame


@lru_cache(maxsize=256)
def _labels(names: tuple[Name, ...]) -> Index:
    """The pandas.Index of column names, and with it what pandas learns of it; a view of it may be given a name."""
    import pandas as pd

    return pd.Index(list(names))


def _series(column: Array, index: Any) -> Series:
    import pandas as pd

    if column.dtype.kind == TEXT.kind:
        return pd.Series(pd.array(column.astype(object), dtype="str"), index=index, copy=False)
    return pd.Series(column, index=index, dtype=object if column.dtype == object else None, copy=False)


def to_python(payload: Payload) -> Any:
    """What MLflow hands to a python_function: a frame, an array, a dict of arrays, or the value itself."""
    if isinstance(payload, Table):
        return to_frame(payload)
    if isinstance(payload, Tensors):
        return payload.arrays[0] if payload.names is None else payload.mapping()
    return payload.value


def from_python(result: Any, *, rows_of_lists: bool = False) -> Payload:
    """The payload for what a model returned.

    With `rows_of_lists` a list counts as rows, one item each, which is how a batchable function answers.
    """
    if isinstance(result, np.ma.MaskedArray):
        return Value(result.tolist())  # what is masked is null
    if isinstance(result, np.ndarray):
        fields = result.dtype.names is not None and result.dtype.hasobject and result.ndim == 1
        return Tensors.single(as_object_array(result.tolist()) if fields else result)
    pandas = sys.modules.get("pandas")  # nothing is a frame unless somebody imported pandas
    if pandas is not None:
        if isinstance(result, pandas.DataFrame):
            return from_frame(result)
        if isinstance(result, pandas.Series):
            return from_frame(result.to_frame(name="0" if result.name is None else result.name))
    if isinstance(result, dict) and result and all(isinstance(v, np.ndarray) and v.ndim for v in result.values()):
        return Tensors.named({str(name): array for name, array in result.items()})
    if rows_of_lists and isinstance(result, list):
        return Tensors.single(as_object_array(result))
    return Value(result)


def from_frame(frame: DataFrame) -> Table:
    """A table of a pandas.DataFrame. Extension types become plain numpy ones, missing values None or NaN.

    Raises AnswerUnserializable for names of several levels.
    """
    names = [_name(name) for name in frame.columns.tolist()]
    if not names:
        return Table((), columns=(), index=np.arange(len(frame)))
    return Table.of(names, [_column(frame.iloc[:, i]) for i in range(len(names))])


def from_caller(data: Any) -> Payload:
    """The payload for rows that somebody has at hand."""
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(data, pandas.Series):
        data = data.to_frame(name="0" if data.name is None else data.name)
    return rows_of_frame(data) if pandas is not None and isinstance(data, pandas.DataFrame) else from_python(data)


def rows_of_frame(frame: DataFrame) -> Table:
    """A table of the rows in a pandas.DataFrame, as the same rows sent in JSON would reach a model, whatever dtypes
    hold them: extension types and Arrow's are numpy's, categories their values, times with a zone UTC, and gaps NaN or
    NaT.

    Raises AnswerUnserializable for names of several levels.
    """
    names = [_name(name) for name in frame.columns.tolist()]
    if not names:
        return from_frame(frame)
    return Table.of(names, [_cells(frame.iloc[:, i]) for i in range(len(names))])


def _cells(series: Series) -> Array:
    import pandas as pd

    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        return np.asarray(series if dtype.kind != "O" else series.where([cell is not pd.NA for cell in series]))
    if isinstance(dtype, pd.CategoricalDtype):
        return _cells(_of_categories(series))
    gone = series.isna().to_numpy(dtype=bool)
    if isinstance(dtype, pd.DatetimeTZDtype) or str(dtype).startswith("timestamp["):
        plain = series.dt.tz_convert(None) if getattr(series.dt, "tz", None) is not None else series
        return np.asarray(plain.to_numpy(dtype=f"datetime64[{plain.dt.unit}]"))
    numbers = getattr(dtype, "numpy_dtype", None)
    if numbers is not None and numbers.kind in "iuf":
        wanted = np.dtype(np.float64) if gone.any() and numbers.kind in "iu" else numbers
        return np.asarray(series.to_numpy(dtype=wanted, na_value=np.nan) if gone.any() else series.to_numpy(wanted))
    if numbers is not None and numbers.kind == "b" and not gone.any():
        return np.asarray(series.to_numpy(numbers))
    if getattr(dtype, "subtype", None) is not None:  # sparse, or intervals
        return _column(series)
    cells = [math.nan if missing else cell for cell, missing in zip(series.astype(object), gone, strict=True)]
    texts = all(type(cell) is str for cell, missing in zip(cells, gone, strict=True) if not missing)
    if texts and (isinstance(dtype, pd.StringDtype) or not gone.all()):
        return np.array(cells, dtype=TEXT)
    return as_object_array(cells)


def _of_categories(series: Series) -> Series:
    """The values that categories stand for, in a dtype of values like these."""
    import pandas as pd

    values, codes = series.cat.categories, series.cat.codes.to_numpy()
    taken = pd.Series(values.take(codes.clip(min=0)) if len(values) else values.reindex(range(len(codes)))[0])
    return taken.where(codes >= 0)


def _name(name: object) -> str | int:
    if isinstance(name, tuple):
        raise AnswerUnserializable(
            f"The model's answer has a column {shortened(name)}, whose name JSON has no form for."
        )
    return name if isinstance(name, (str, int)) else str(name)


def _column(series: Series) -> Array:
    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        return np.asarray(series)
    plain = getattr(dtype, "numpy_dtype", None)  # pandas' own nullable numbers, and Arrow's
    if plain is not None and plain.kind in "biuf" and not series.hasnans:
        return np.asarray(series.to_numpy(plain))
    if getattr(dtype, "subtype", None) is not None and dtype.kind in "biuf":
        return np.asarray(series)  # sparse
    # What is missing is None, so that whole numbers stay whole, or what the type itself calls it: NaN, or NaT.
    gap = math.nan if getattr(dtype, "na_value", None) is np.nan else None
    cells = series.astype(object).to_numpy(dtype=object)
    gone = series.isna().to_numpy(dtype=bool)
    return as_object_array(
        [gap if missing and dtype.kind != "M" else cell for cell, missing in zip(cells, gone, strict=True)]
    )
