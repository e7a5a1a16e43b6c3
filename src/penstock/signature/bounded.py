"""Whether a row's size, and with it the cost of a row, is bounded by its type, or by a limit on the length of texts."""

from __future__ import annotations

from penstock.payload import Array, Name, Payload, Table, Tensors, Violation
from penstock.signature.schema import Field, Signature, is_tensor_schema
from penstock.signature.types import Scalar

# Numbers, booleans and dates: kinds of numpy dtypes whose cells all have one width.
_FIXED_WIDTH = "biufcmM"


def bounded_rows(signature: Signature | None) -> bool:
    """Whether every row that the signature lets through is of one size: a known number of columns, or of cells in an
    array, of fixed width. Text, lists and objects may be of any length, and so may what no signature checks."""
    schema = None if signature is None else signature.enforced
    if not schema:
        return False
    if is_tensor_schema(schema):
        return all(f.dtype.kind in _FIXED_WIDTH and len(f.shape) > 0 and -1 not in f.shape[1:] for f in schema)
    return all(
        isinstance(f, Field) and isinstance(f.type, Scalar) and f.type.dtype.kind in _FIXED_WIDTH for f in schema
    )


def unbounded_column(signature: Signature | None) -> str | None:
    """A column whose cells may be of any size even where long texts are refused: lists, objects, anything. None where
    there is no such column, or no signature to say so."""
    schema = None if signature is None else signature.enforced
    if not schema or is_tensor_schema(schema):
        return None
    for number, field in enumerate(schema):
        if isinstance(field, Field) and not isinstance(field.type, Scalar):
            return f"column {field.name if field.name is not None else number}"
    return None


def long_texts(payload: Payload, most: int, limit: int) -> list[Violation]:
    """The cells of conformed rows that are longer than `most` bytes, `limit` of them at most."""
    found: list[Violation] = []
    columns: list[tuple[Name | None, Array]]
    if isinstance(payload, Table):
        columns = list(zip(payload.names or range(payload.width), payload.iter_columns(), strict=True))
    elif isinstance(payload, Tensors):
        columns = list(zip(payload.names or (None,), payload.arrays, strict=True))
    else:
        return found
    for name, column in columns:
        if column.dtype.kind in "OUS":
            rows = column.reshape(len(column), -1) if column.ndim else column.reshape(1, 1)
            found += [_too_long(row, name, most) for row, cells in enumerate(rows) if _longest(cells) > most]
    return found[:limit]


def _longest(cells: Array) -> int:
    """The bytes of the longest text; those that are shorter however they are written are not written."""
    return max((_bytes(cell) for cell in cells.tolist() if isinstance(cell, (str, bytes))), default=0)


def _bytes(cell: str | bytes) -> int:
    return len(cell) if isinstance(cell, bytes) or cell.isascii() else len(cell.encode("utf-8", "surrogatepass"))


def _too_long(row: int, name: Name | None, most: int) -> Violation:
    return Violation(f"is a text of more than {most} bytes, which this model does not take", row, name)
