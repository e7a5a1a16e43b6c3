"""The commonest requests, read in one step: numbers for a model that takes floats and nothing else.

numpy makes the array straight from the JSON lists, which is what pandas' `astype` and MLflow's own conversion come to
for such columns: text that is a number counts as one, true as 1, null as missing. Whatever is not plainly of that form
is left to the other readers.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np

from penstock.payload import Array, Payload, Table, Tensors
from penstock.signature import Field, Scalar, Schema, is_tensor_schema

_FLOATING = (Scalar.DOUBLE, Scalar.FLOAT)


class FloatReader:
    """For one schema: `dataframe_split` where it has named columns of one floating type, `inputs` where it has one
    unnamed array of floats."""

    def __init__(self, schema: Schema | None) -> None:
        self._columns: list[Any] | None = None
        self._names: tuple[Any, ...] = ()
        self._shape: tuple[int, ...] | None = None
        self._dtype = np.dtype(np.float64)
        if not schema:
            return
        if is_tensor_schema(schema):
            field = schema[0]
            if len(schema) == 1 and field.name is None and field.dtype.kind == "f" and field.shape:
                self._shape, self._dtype = field.shape, field.dtype
            return
        types = {field.type for field in schema if isinstance(field, Field)}
        names = tuple(field.name for field in schema)
        if len(types) == 1 and types <= set(_FLOATING) and all(type(n) is str for n in names):
            self._columns, self._names, self._shape = list(names), names, (-1, len(names))
            self._dtype = next(iter(types)).dtype  # type: ignore[union-attr]

    def read(self, document: dict[str, Any]) -> Payload | None:
        """The conformed payload; None where somebody else has to look."""
        if self._shape is None or not (len(document) == 1 or (len(document) == 2 and "params" in document)):
            return None
        if self._columns is None:
            array = self._array(document.get("inputs"))
            return None if array is None else Tensors.single(array)
        split = document.get("dataframe_split")
        if type(split) is not dict or len(split) != 2 or split.get("columns") != self._columns:
            return None
        block = self._array(split.get("data"))
        return None if block is None else Table(self._names, block=block)

    def _array(self, value: Any) -> Array | None:
        assert self._shape is not None
        if type(value) is not list or not value:
            return None
        try:
            array = np.array(value, dtype=np.float64)
        except (ValueError, TypeError, OverflowError):
            return None
        shape = array.shape
        if len(shape) != len(self._shape) or any(w not in (-1, n) for w, n in zip(self._shape, shape, strict=True)):
            return None
        if self._dtype != np.float64:
            with np.errstate(over="ignore"):
                array = array.astype(self._dtype)
        # An infinity may be a number that was too large. The sum of squares has one look at all numbers, and none in it
        # cancels another: infinities of both signs have no plain sum, of which numpy warns.
        return array if isfinite(np.vdot(array, array)) or not np.isinf(array).any() else None
