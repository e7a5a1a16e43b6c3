"""Which dtypes cross a process boundary as raw bytes: numbers, moments and text of fixed width. Nothing that holds a
pointer."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import numpy as np

_NAME = re.compile(r"[<>|=]?(?:b1|[iu][1248]|f[248]|c(?:8|16)|[mM]8(?:\[[0-9]{0,9}[A-Za-zμ]{1,8}\])?|[SU][0-9]{1,9})")


@lru_cache(maxsize=1024)
def is_plain(dtype: np.dtype[Any]) -> bool:
    """Whether arrays of it travel as their bytes."""
    return dtype.itemsize > 0 and _NAME.fullmatch(dtype.str) is not None


@lru_cache(maxsize=1024)
def dtype_of(name: str) -> np.dtype[Any]:
    """The dtype of a name that came from elsewhere. Raises ValueError."""
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise ValueError(f"unsupported dtype: {str(name)[:40]!r}")
    try:
        dtype = np.dtype(name)
    except TypeError as error:
        raise ValueError(f"invalid dtype: {name[:40]!r}: {error}") from None
    if not dtype.itemsize:
        raise ValueError(f"a dtype without a size: {name!r}")
    return dtype
