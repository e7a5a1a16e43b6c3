"""How a stored array is refused, and the questions that several checks ask of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from penstock.errors import ArtifactInvalid

# An object's own attributes, as they were stored.
Attributes: TypeAlias = Mapping[str, Any]


def refused(holder: Any, why: str) -> ArtifactInvalid:
    return ArtifactInvalid(
        f"The model holds a {type(holder).__name__} that {why}.", hint="The file is damaged or forged."
    )


def within(array: Any, count: int, least: int = 0) -> bool:
    """Whether it is an array of whole numbers that are all indices of something with `count` items."""
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iu":
        return False
    return not array.size or (int(array.min()) >= least and int(array.max()) < count)


def shape_of(array: Any) -> tuple[int, ...]:
    """The shape of an array, dense or sparse; of what is none, one that no check expects."""
    shape = getattr(array, "shape", None)
    return shape if isinstance(shape, tuple) else (-1,)
