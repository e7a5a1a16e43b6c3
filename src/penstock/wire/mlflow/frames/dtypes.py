"""The numpy dtypes that MLflow's column types have while JSON arrays are read."""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.signature import Scalar

_TEXT: dict[Scalar, np.dtype[Any]] = {Scalar.STRING: np.dtype("str"), Scalar.BINARY: np.dtype("bytes")}


def numpy_type(type_: Scalar) -> np.dtype[Any]:
    """Text and bytes of any width where a frame's column would be objects."""
    return _TEXT.get(type_, type_.dtype)
