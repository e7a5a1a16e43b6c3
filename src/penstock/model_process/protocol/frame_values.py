"""pandas frames that no `Table` says exactly (odd row labels, names twice, extension types), as values.

Only questions hold them, from the gateway to a model: what a model answers with is never made into a frame.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.errors import AnswerUnserializable
from penstock.model_process.protocol.dtypes import is_plain
from penstock.payload import as_object_array


def frame_parts(frame: Any) -> dict[str, Any]:
    """A frame as plain values and arrays. Raises AnswerUnserializable for labels of several levels."""
    if frame.columns.nlevels > 1 or frame.index.nlevels > 1:
        raise AnswerUnserializable("A frame with multi-level labels cannot be sent to a model process.")
    return {
        "names": _labels(frame.columns),
        "index": _labels(frame.index),
        "columns": [_column(frame.iloc[:, i]) for i in range(frame.shape[1])],
    }


def _labels(labels: Any) -> Any:
    import pandas as pd

    if isinstance(labels, pd.RangeIndex):
        return [labels.start, labels.stop, labels.step]
    return {"name": labels.name, "values": _column(labels.to_series())}


def _column(series: Any) -> dict[str, Any]:
    dtype = series.dtype
    if isinstance(dtype, np.dtype) and (is_plain(dtype) or dtype.kind == "O"):
        return {"dtype": "", "cells": np.asarray(series)}
    if hasattr(dtype, "categories"):
        cells = np.asarray(series.cat.codes)
        return {
            "dtype": "category",
            "ordered": bool(dtype.ordered),
            "cells": cells,
            "categories": _column(dtype.categories.to_series()),
        }
    cells = series.astype(object).to_numpy(dtype=object)
    gone = series.isna().to_numpy(dtype=bool)
    cells = as_object_array([None if missing else cell for cell, missing in zip(cells, gone, strict=True)])
    return {"dtype": str(dtype), "cells": cells}


def frame_of(parts: Any) -> Any:
    """The frame again. Raises ValueError, TypeError or KeyError for what `frame_parts` never gives."""
    import pandas as pd

    index = _index(parts["index"])
    columns = [_series(part).set_axis(index) for part in parts["columns"]]
    frame = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=index)
    frame.columns = _index(parts["names"])
    return frame


def _index(part: Any) -> Any:
    import pandas as pd

    if isinstance(part, list):
        return pd.RangeIndex(*part)
    values = part["values"]
    series = _series(values)
    return pd.Index(series.array if values["dtype"] else series.to_numpy(), dtype=series.dtype, name=part["name"])


def _series(part: Any) -> Any:
    import pandas as pd

    cells, dtype = part["cells"], part["dtype"]
    if dtype == "category":
        categories = _index({"name": None, "values": part["categories"]})
        return pd.Series(pd.Categorical.from_codes(cells, categories, ordered=part["ordered"]))
    series = pd.Series(cells, dtype=cells.dtype)
    return series.astype(dtype) if dtype else series
