"""Whether a payload fits a schema, and the payload as the model should get it.

One function serves both sides: the gateway turns violations into a 400, scoring turns them into rejected rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from penstock.payload import (
    Array,
    Name,
    Payload,
    Table,
    Tensors,
    Violation,
    as_object_array,
    shortened,
    some,
)
from penstock.signature.casts import Casting, cast
from penstock.signature.cell_texts import delimiter_told
from penstock.signature.gaps import gap_column, leaves_gaps
from penstock.signature.schema import Field, Schema, is_tensor_schema, names_of
from penstock.signature.tensors import conform_tensors
from penstock.signature.types import Scalar

__all__ = ["Casting", "Conformed", "conform"]


@dataclass(frozen=True, slots=True)
class Conformed:
    """`payload` in the schema's order and types; not to be used where there are violations."""

    payload: Payload
    violations: tuple[Violation, ...] = ()


def conform(
    payload: Payload,
    schema: Schema | None,
    casting: Casting,
    *,
    limit: int | None = None,
    side_by_side: bool = False,
    fill_gaps: bool = True,
) -> Conformed:
    """`payload` as `schema` asks for it, or what is wrong with it, `limit` violations per column at most.

    Columns are put in order, extra ones dropped, cells cast as `casting` allows. Without a schema everything fits.
    `side_by_side` lets a table of any names fill the only array that a model takes, column by column. `fill_gaps` makes
    an optional column that is left out, and one of text that is null in every row, what it is beside rows that have it,
    where it `leaves_gaps`.
    """
    if not schema:
        return Conformed(payload)
    if is_tensor_schema(schema):
        return Conformed(*conform_tensors(payload, schema, casting, limit, side_by_side=side_by_side))
    fields: tuple[Field, ...] = schema  # type: ignore[assignment]
    if isinstance(payload, Table) and _fits_already(payload, fields):
        return Conformed(payload)
    table = _as_table(payload, fields)
    if isinstance(table, Violation):
        return Conformed(payload, (table,))
    return _conform_columns(table, fields, casting, limit, fill_gaps and leaves_gaps(fields))


def _fits_already(table: Table, fields: tuple[Field, ...]) -> bool:
    """The hot path: one block of the right dtype with the right names in the right order."""
    if table.block is None or table.names != names_of(fields) or table.width != len(fields):
        return False
    dtype = table.block.dtype
    return dtype.kind != "O" and all(isinstance(f.type, Scalar) and f.type.dtype == dtype for f in fields)


def _as_table(payload: Payload, fields: tuple[Field, ...]) -> Table | Violation:
    """What may be sent for columns besides a frame: a dict of lists, a list for one column, rows for unnamed ones."""
    if isinstance(payload, Table):
        return payload
    if isinstance(payload, Tensors):
        if payload.names is not None:
            if payload.rows is None:
                lengths = ", ".join(
                    f"{n}: {a.shape[0] if a.ndim else 'a scalar'}" for n, a in payload.mapping().items()
                )
                return Violation(f"the columns have different lengths ({lengths})")
            return Table.of(payload.names, [_one_dimensional(a) for a in payload.arrays])
        array = payload.arrays[0]
        names = names_of(fields)
        if array.ndim > 1 and len(fields) == 1 and not isinstance(fields[0].type, Scalar):
            array = as_object_array(array.tolist())  # one list a row
        if array.ndim == 1 and len(fields) == 1:
            return Table(names, block=array.reshape(-1, 1))
        if array.ndim == 2 and (names is None or len(fields) == 1 == array.shape[1]):
            return Table(names, block=array)
        if array.ndim == 2 and all(isinstance(f.name, int) for f in fields):
            return Table(tuple(range(array.shape[1])), block=array)
        if names is not None:
            return Violation(
                f"the model takes named columns ({some(names)}), but the columns of the input have no names"
            )
        return Violation(f"the model takes {len(fields)} columns, but the input has shape {list(array.shape)}")
    if isinstance(payload.value, list) and len(fields) == 1:
        return Table(names_of(fields), block=as_object_array(payload.value).reshape(-1, 1))
    return Violation(f"the model takes columns, not {shortened(payload.value)}")


def _one_dimensional(array: Array) -> Array:
    return array if array.ndim == 1 else as_object_array(array.tolist())


def _conform_columns(
    table: Table, fields: tuple[Field, ...], casting: Casting, limit: int | None, fill_gaps: bool
) -> Conformed:
    positions = _positions(table, fields)
    if isinstance(positions, Violation):
        return Conformed(table, (positions,))
    names: list[Name] = []
    columns: list[Array] = []
    violations: list[Violation] = []
    for number, (field, position) in enumerate(zip(fields, positions, strict=True)):
        label = field.name if field.name is not None else number
        null = position is None or _all_null(table, position, field)
        if null and fill_gaps and (position is None or field.type is Scalar.STRING):
            columns.append(gap_column(field.type, table.rows))
            names.append(label)
            continue
        if position is None:
            continue
        column, optional = table.column(position), not field.required
        result = None if null else cast(column, field.type, casting, optional=optional, limit=limit, epoch=field.epoch)
        if result is not None:
            # Where all cells are lists, numpy reads an array of a higher rank, and the column is refused later.
            lists = casting is Casting.TENSOR and all(isinstance(cell, list) for cell in column)
            at_parse = casting is not Casting.TYPED and not lists
            violations += [Violation(why, row, label, at_parse=at_parse) for row, why in result.misfits]
        columns.append(column if result is None else result.column)
        names.append(label)
    if violations:
        return Conformed(table, tuple(sorted(violations, key=lambda v: v.row or 0)))
    return Conformed(Table.of(None if names_of(fields) is None else names, columns, table.index))


def _all_null(table: Table, position: int, field: Field) -> bool:
    """An optional column of nulls alone goes to the model as it came."""
    column = table.column(position)
    return not field.required and column.dtype == object and all(cell is None for cell in column)


def _positions(table: Table, fields: tuple[Field, ...]) -> list[int | None] | Violation:
    """For each field the position of its column, None for an optional one that is absent."""
    if names_of(fields) is None:
        if table.width < len(fields):
            return Violation(f"the model takes {len(fields)} columns, but the input has {table.width}")
        return list(range(len(fields)))
    names: tuple[Name, ...] | None = table.names
    if names is None and all(isinstance(f.name, int) for f in fields):
        names = tuple(range(table.width))  # as pandas numbers the columns of a frame without names
    if names is None:
        return Violation(
            f"the model takes named columns ({some(names_of(fields))}), but the columns of the input have no names"
        )
    found = {name: i for i, name in enumerate(names)}
    if len(found) < len(names) and (twice := [f.name for f in fields if names.count(f.name) > 1]):
        return Violation(f"duplicate columns: {some(twice)}")
    positions = [found.get(f.name) for f in fields]  # type: ignore[arg-type]
    missing = [f.name for f, position in zip(fields, positions, strict=True) if position is None and f.required]
    if names and not any(position is not None for position in positions):
        missing = [f.name for f in fields]
    if missing:
        known = {f.name for f in fields}
        extra = [n for n in names if n not in known]
        note = f"; unknown columns: {some(extra)}" if extra else ""
        return Violation(f"missing columns: {some(missing)}{note}{delimiter_told(missing, extra)}")
    return positions
