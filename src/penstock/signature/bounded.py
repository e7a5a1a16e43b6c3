"""Whether a row's size, and with it the cost of a row, is bounded by its type."""

from __future__ import annotations

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
