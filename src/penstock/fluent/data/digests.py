"""Digests of data: eight characters that tell one state of a dataset from another, the same that MLflow's client
computes, so that datasets logged by both are one.

Source of what is hashed and in which order: MLflow 3.18, `mlflow/data/digest_utils.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

# So many rows of a frame, or cells of an array, are looked at.
_SHOWN = 10_000


def digest_of_frame(frame: Any) -> str:
    """Of a DataFrame: its columns of texts and numbers, its length, and the names of all columns."""
    numpy, pandas = import_module("numpy"), import_module("pandas")
    texts = frame.columns[[_is_text(column) for _, column in frame.items()]]
    shown = frame.head(_SHOWN)
    shown = shown[texts.union(shown.select_dtypes(include=[numpy.number]).columns)]
    rows = pandas.util.hash_pandas_object(shown).values
    return _digest([rows, numpy.int64(len(frame)), *(str(name).encode() for name in frame.columns)])


def digest_of_arrays(features: Any, targets: Any = None) -> str:
    """Of arrays, or dicts of them. Without pandas, whose hash of cells MLflow uses, of their bytes: such a digest is
    not the one that MLflow computes."""
    numpy = import_module("numpy")
    parts: list[Any] = []
    for given in (features, targets):
        if given is None:
            continue
        arrays = [given[name] for name in sorted(given)] if isinstance(given, Mapping) else [given]
        for array in map(numpy.asarray, arrays):
            parts += [_hash_of_cells(array.flatten()[:_SHOWN]), *(numpy.int64(length) for length in array.shape)]
    return _digest(parts)


def _hash_of_cells(cells: Any) -> Any:
    try:
        return import_module("pandas").util.hash_array(cells)
    except ImportError:
        return cells.tobytes() if cells.dtype != object else repr(cells.tolist()).encode()
    except TypeError:  # cells that cannot be hashed
        return import_module("numpy").int64(cells.size)


def _is_text(column: Any) -> bool:
    """Looks at the first cell alone where that is none."""
    return all(type(cell) is str for cell in column.iloc[:1]) and all(
        type(cell) is str for cell in column.to_numpy(dtype=object)
    )


def _digest(parts: Iterable[Any]) -> str:
    found = hashlib.md5(usedforsecurity=False)
    for part in parts:
        found.update(part)
    return found.hexdigest()[:8]
