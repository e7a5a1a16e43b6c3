"""Arrow in the place of JSON, where that pays: many cells of plain types.

Small bodies are quicker as JSON, which a gateway reads at once, while it imports nothing and starts nothing. Where the
two cross is measured by loadtests/client_formats.py. It is the signature that says which types there are, so that rows
arrive and come back the same in both; without one, and with params, which Arrow has no place for, all is JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from math import prod

import orjson

from penstock.payload import Array, Payload, Table, Tensors, Value, as_object_array
from penstock.signature import Schema, Signature, is_tensor_schema
from penstock.wire.mlflow.formats import ANSWER_KIND


@dataclass(frozen=True, slots=True)
class ArrowFrom:
    """From how many cells on Arrow pays: where all are numbers, and where text or dates are among them, for which JSON
    takes longer. An answer with columns names each of them in each row, so that it counts as the latter."""

    numbers: int = 16_384
    mixed: int = 4_096

    def pays(self, payload: Payload) -> bool:
        """For a request of these rows."""
        if isinstance(payload, Table):
            plain = all(column.dtype.kind in "biuf" for column in payload.iter_columns())
            return payload.rows * payload.width >= (self.numbers if plain else self.mixed)
        return isinstance(payload, Tensors) and sum(array.size for array in payload.arrays) >= self.numbers

    def pays_for_answer(self, rows: int | None, outputs: Schema | None) -> bool:
        """For the answer to so many rows, by what the signature says of it."""
        if not rows or not outputs:
            return False
        if is_tensor_schema(outputs):
            return rows * sum(prod(max(n, 1) for n in field.shape[1:]) for field in outputs) >= self.numbers
        return rows * len(outputs) >= self.mixed


@cache
def arrow_pays() -> ArrowFrom | None:
    """None where pyarrow is not installed."""
    return ArrowFrom() if find_spec("pyarrow") is not None else None


def arrow_body(payload: Payload, signature: Signature | None) -> bytes | None:
    """A payload that fits the signature, as an Arrow stream; None where it has no form there that says the same."""
    schema = signature.enforced if signature is not None else None
    if not schema or isinstance(payload, Value):
        return None
    from penstock.wire import columnar

    if isinstance(payload, Tensors):
        from penstock.wire.arrow_tensors import table_of_tensors

        whole = any(array.ndim > 1 for array in payload.arrays)  # else it would be a table's columns
        table = table_of_tensors(payload) if whole else None
        return None if table is None else columnar.encode_arrow(table)
    columns = _columns(payload)
    if columns is None:
        return None
    from penstock.wire.answers.arrow import arrow_table

    return columnar.encode_arrow(arrow_table(columns))


def _columns(table: Table) -> Mapping[str, Array] | None:
    """Named columns of numbers, booleans, moments, text and bytes; None where there are others."""
    if table.names is None or not all(isinstance(name, str) for name in table.names) or not table.rows:
        return None
    columns = {str(name): column for name, column in zip(table.names, table.iter_columns(), strict=True)}
    if len(columns) < table.width or not all(map(_is_plain, columns.values())):
        return None
    return columns


def _is_plain(column: Array) -> bool:
    if column.dtype == object:
        kinds = set(map(type, column.tolist())) - {type(None)}
        return kinds in ({str}, {bool}, {bytes})
    return column.dtype.kind in "biufM"


def payload_of_stream(body: bytes) -> Payload:
    """The table or arrays of an Arrow stream that says which of the two it is. Raises MalformedInput."""
    from penstock.wire import columnar
    from penstock.wire.answers.arrow import is_json
    from penstock.wire.arrow_tensors import arrays_of

    table = columnar.open_arrow(body)
    kind = (table.schema.metadata or {}).get(ANSWER_KIND.encode(), b"table")
    if kind == b"table":
        read = columnar.table_of_batch(table)
        columns = [
            _from_json(column) if is_json(field) else column
            for column, field in zip(read.iter_columns(), table.schema, strict=True)
        ]
        return Table.of(read.names, columns)
    return arrays_of(table, unnamed=kind == b"array")


def _from_json(column: Array) -> Array:
    return as_object_array([None if cell is None else orjson.loads(cell) for cell in column])
