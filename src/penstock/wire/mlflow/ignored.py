"""What MLflow's protocol ignores in a request without a word, and may be misspelt: keys beside the rows, and columns
that the model does not have where one that it need not have is missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from penstock.signature import Field, Schema
from penstock.wire.interface import COLUMN, KEY, Ignored
from penstock.wire.mlflow.invocations import ENVELOPES

# TensorFlow Serving's clients send it with `instances`, and mean nothing by it here.
_KNOWN = frozenset({*ENVELOPES, "params", "signature_name"})


def ignored_keys(document: dict[str, Any]) -> Ignored:
    """The keys of a JSON body that are neither its rows nor its params."""
    return () if document.keys() <= _KNOWN else tuple((KEY, key) for key in document if key not in _KNOWN)


def ignored_columns(names: Iterable[Any] | None, schema: Schema | None) -> Ignored:
    """The columns that the model does not have, where an optional one is not among those that were sent."""
    fields = [field for field in schema or () if isinstance(field, Field)]
    if names is None or all(field.required for field in fields):
        return ()
    sent, known = list(names), {field.name for field in fields}
    if all(field.required or field.name in sent for field in fields):
        return ()
    return tuple((COLUMN, str(name)) for name in sent if name not in known)


def sent_columns(envelope: str, value: Any) -> Sequence[Any] | None:
    """The names of the columns in an envelope, by its first row where each has them; None where there are none."""
    if envelope == "dataframe_split":
        columns = value.get("columns") if isinstance(value, dict) else None
        return columns if isinstance(columns, list) else None
    if isinstance(value, list) and value:
        value = value[0]
    return list(value) if isinstance(value, dict) else None
