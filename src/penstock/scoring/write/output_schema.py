"""The columns and types of a job's output, decided once from the job's first rows and the signature.

Every run of a job, and every shard, decides from the same first rows, so all parts have one shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from penstock.signature import Field, Scalar, Schema, TensorField
from penstock.wire.answers.arrow import JSON_CELLS, is_json
from penstock.wire.answers.columns import PREDICTION, empty_columns

if TYPE_CHECKING:
    from pyarrow import DataType as ArrowType
    from pyarrow import Schema as ArrowSchema
    from pyarrow import Table as ArrowTable


def decide_shape(
    first: ArrowTable, kept: ArrowTable, outputs: Schema | None, lineage: Mapping[str, str]
) -> ArrowSchema:
    """From the first scored rows, the kept columns and the signature's outputs."""
    import pyarrow as pa

    declared = _declared(outputs)
    names = [name for name in first.schema.names if name not in lineage]
    if set(names) <= set(kept.schema.names):  # no row was answered: the signature says what would have come
        names = list(dict.fromkeys([*names, *empty_columns(outputs)]))
    fields = []
    for name in dict.fromkeys([*names, *lineage]):
        found = first.schema.field(name) if name in first.schema.names else pa.field(name, pa.null())
        type_ = _settled(found.type, declared.get(name) if name not in kept.schema.names else None)
        fields.append(pa.field(name, type_, metadata=JSON_CELLS if is_json(found) else None))
    return pa.schema(fields)


def _settled(found: ArrowType, declared: ArrowType | None) -> ArrowType:
    """The type for a whole column: what the signature says where the first rows say less. Without any value so far it
    is text, in case one comes."""
    import pyarrow as pa

    if pa.types.is_dictionary(found):
        found = found.value_type
    if pa.types.is_null(found):
        return declared if declared is not None else pa.string()
    numbers = pa.types.is_integer(found) or pa.types.is_floating(found)
    wider = declared is not None and pa.types.is_float64(declared) and found != pa.float32()
    return declared if wider and numbers else found


_SCALARS = {
    Scalar.BOOLEAN: "bool",
    Scalar.INTEGER: "int32",
    Scalar.LONG: "int64",
    Scalar.FLOAT: "float",
    Scalar.DOUBLE: "double",
    Scalar.STRING: "string",
    Scalar.BINARY: "binary",
}


def _declared(outputs: Schema | None) -> dict[str, ArrowType]:
    """The output columns whose types the signature declares."""
    import pyarrow as pa

    types: dict[str, ArrowType] = {}
    for field in outputs or ():
        name = PREDICTION if field.name is None else str(field.name)
        if isinstance(field, Field) and isinstance(field.type, Scalar) and field.type in _SCALARS:
            types[name] = pa.type_for_alias(_SCALARS[field.type])
        elif isinstance(field, TensorField) and field.dtype.kind in "biuf" and len(field.shape) <= 2:
            kind = pa.from_numpy_dtype(field.dtype)
            width = field.shape[1] if len(field.shape) == 2 else None
            types |= {name: kind} if width is None else {f"{name}_{i}": kind for i in range(max(width, 0))}
    return types
