"""Whether a row's size, and with it the cost of a row, is bounded by its type, or by a limit on the length of texts."""

from __future__ import annotations

from penstock.payload import TEXT, Array, Name, Payload, Table, Tensors, Violation
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
        if column.dtype.kind in "OUS" or column.dtype.kind == TEXT.kind:
            found += [_too_long(row, name, most) for row in _rows_of_long_texts(column, most)]
    return found[:limit]


def _rows_of_long_texts(column: Array, most: int) -> list[int]:
    """The rows of an array of any rank that have a text of more than `most` bytes."""
    width = column.size // len(column) if column.ndim and len(column) else 1
    cells = enumerate(column.reshape(-1).tolist())
    return sorted(
        {place // width for place, cell in cells if isinstance(cell, (str, bytes)) and _is_longer(cell, most)}
    )


def _is_longer(cell: str | bytes, most: int) -> bool:
    """Texts that are shorter however they are written are not written."""
    if isinstance(cell, bytes) or 4 * len(cell) <= most or cell.isascii():
        return len(cell) > most
    return len(cell.encode("utf-8", "surrogatepass")) > most


def _too_long(row: int, name: Name | None, most: int) -> Violation:
    return Violation(f"is a text of more than {most} bytes, which this model does not take", row, name)
