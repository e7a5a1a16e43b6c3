"""Payloads that fit a schema and payloads that do not, for tests of conform."""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.payload import Payload, Table, as_object_array
from penstock.signature import Casting, Field, Scalar, Schema, TensorField, conform

FRAME, TENSOR, TEXT, TYPED = Casting.FRAME, Casting.TENSOR, Casting.TEXT, Casting.TYPED
AB = (Field("a", Scalar.DOUBLE), Field("b", Scalar.LONG))


def table(**columns: list[Any]) -> Table:
    return Table.of(list(columns), [as_object_array(cells) for cells in columns.values()])


def fits(payload: Payload, schema: Schema | None, casting: Casting = FRAME, **more: Any) -> Any:
    result = conform(payload, schema, casting, **more)
    assert result.violations == ()
    return result.payload


def wrong(payload: Payload, schema: Schema, casting: Casting = FRAME, **more: Any) -> list[str]:
    violations = conform(payload, schema, casting, **more).violations
    assert violations
    return [str(v) for v in violations]


def tensor(dtype: str, *shape: int, name: str | None = None) -> tuple[TensorField, ...]:
    return (TensorField(name, np.dtype(dtype), shape),)
