"""CSV as MLflow's server reads it: what pandas makes of it, rows of any width and numbers of any size included."""

from __future__ import annotations

from typing import Any

from penstock.errors import MalformedInput
from penstock.payload import Payload, clipped
from penstock.signature import Field, Scalar, Schema, check_moments
from penstock.wire.budget import Budget
from penstock.wire.csv import check_header, check_utf8, open_text
from penstock.wire.mlflow.frames.enforcing import enforce


def read_csv_exactly(body: bytes, schema: Schema | None, budget: Budget | None = None) -> Payload:
    """What the model gets for a CSV body. Raises MalformedInput, InputTooLarge, SchemaViolation."""
    import pandas as pd

    dtypes, moments = _dtypes(schema)
    check_utf8(body)
    if budget is not None:
        width = len(check_header(body, len(schema or ()), budget)[0])
        budget.check_cells(width * (body.count(b"\n") + 1))
    try:
        frame = pd.read_csv(open_text(body), dtype=dtypes or None)
        for name in moments:
            if name in frame:
                check_moments(frame[name])
                frame[name] = pd.to_datetime(frame[name]).dt.as_unit("ns")
    except MemoryError:
        raise
    except Exception as error:
        if "out of memory" in str(error):  # the words of the parser in C
            raise MemoryError from None
        raise MalformedInput(f"The CSV cannot be read: {clipped(str(error))}.") from None
    return enforce(frame, schema, exact=True)


def _dtypes(schema: Schema | None) -> tuple[dict[Any, Any], list[Any]]:
    """The dtypes that pandas is told, by column, and the columns that are moments. Raises MalformedInput."""
    dtypes: dict[Any, Any] = {}
    moments: list[Any] = []
    for position, field in enumerate(schema or ()):
        if not isinstance(field, Field) or not isinstance(field.type, Scalar):
            raise MalformedInput("The inputs of this model cannot be sent as CSV.", hint="Send JSON, Parquet or Arrow.")
        name = field.name if field.name is not None else position
        dtypes[name] = object if field.type is Scalar.DATETIME else field.type.dtype
        if field.type is Scalar.DATETIME:
            moments.append(name)
    return dtypes, moments
