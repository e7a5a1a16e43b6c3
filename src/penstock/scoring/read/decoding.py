"""Chunks to what `conform` takes: a table of the columns that the model is fed, and the kept columns beside it.

Cells become what the signature says. Text is parsed whole, column by column, into those types; only where some cell
does not fit is a chunk read again record by record, so that the rows at fault can be told from the others.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from penstock.errors import MalformedInput, SchemaMismatch, ScoringError
from penstock.payload import Array, Name, Table, as_object_array, clipped, shortened
from penstock.scoring.plan import Source
from penstock.scoring.read.chunks import Chunk
from penstock.scoring.read.text_records import split_lines
from penstock.scoring.rejects import Reject
from penstock.signature import Casting, Field, Scalar, Schema, is_tensor_schema
from penstock.signature.cell_texts import MISSING_WORDS
from penstock.wire.columnar import in_utc, table_of_batch
from penstock.wire.csv import guess_column, own_names
from penstock.wire.csv.records import BOM, is_open, split_records
from penstock.wire.json_rows import table_of_records

if TYPE_CHECKING:
    from pyarrow import Table as ArrowTable


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a chunk that could be read. `places` (rows,) says where in the chunk each of them stands; `kept` has
    as many rows; `rejects` are the others."""

    table: Table
    casting: Casting
    kept: ArrowTable
    places: Array
    rejects: list[Reject] = field(default_factory=list)


def fed_columns(names: Sequence[str], schema: Schema | None, apart: Sequence[str]) -> list[str]:
    """The columns that the model gets: those it names, or all but those `apart` where it names none.

    Where it misses some that it needs it gets all, so that the refusal can say what there is.
    """
    if takes_names(schema):
        named = {str(f.name): not isinstance(f, Field) or f.required for f in schema or () if f.name is not None}
        missing = any(required and name not in names for name, required in named.items())
        return list(names) if missing else [n for n in names if n in named]
    return [n for n in names if n not in apart]


def left_out(names: Sequence[Name] | None, schema: Schema | None) -> list[Name]:
    """The columns that the model need not have, and that are not there: it is given gaps."""
    optional = [f.name for f in schema or () if isinstance(f, Field) and not f.required and f.name is not None]
    return [name for name in optional if name not in (names or ())]


def kept_columns(names: Sequence[str], keep: Sequence[str]) -> list[str]:
    """The columns to carry through; ("*",) is all. Raises SchemaMismatch."""
    if list(keep) == ["*"]:
        return list(names)
    if missing := [name for name in keep if name not in names]:
        raise SchemaMismatch(
            f"There is no column {', '.join(map(repr, missing))} to copy to the output.",
            hint=f"The input has: {clipped(', '.join(map(str, names)))}." if names else "",
        )
    return list(keep)


def takes_names(schema: Schema | None) -> bool:
    """Whether the model names the columns that it takes; else it is given all that there are."""
    return any(f.name is not None for f in schema or ()) and not _side_by_side(schema)


def _side_by_side(schema: Schema | None) -> bool:
    """Whether the model takes one array, which a file's columns fill side by side."""
    return schema is not None and is_tensor_schema(schema) and len(schema) == 1


_DTYPES = {"f4": Scalar.FLOAT, "f8": Scalar.DOUBLE, "i4": Scalar.INTEGER, "i8": Scalar.LONG}


def column_fields(names: Sequence[Name], schema: Schema | None) -> tuple[Field, ...] | None:
    """For one array of numbers that columns fill: what each column must hold, so that a misfit names its column."""
    if schema is None or not is_tensor_schema(schema) or len(schema) != 1 or len(schema[0].shape) != 2:
        return None
    dtype = schema[0].dtype
    scalar = _DTYPES.get(f"{dtype.kind}{dtype.itemsize}")
    return None if scalar is None else tuple(Field(name, scalar) for name in names)


def decode(
    chunk: Chunk, source: Source, schema: Schema | None, keep: Sequence[str], apart: Sequence[str] | None = None
) -> Rows:
    """The rows of a chunk; `apart` are the columns that a model of no names is not given, by default those to keep.
    Raises ScoringError where the source as a whole lacks something."""
    apart = keep if apart is None else apart
    if source.format.name == "jsonl":
        return _decode_lines(chunk, source, schema, keep, apart)
    if not source.format.is_text:
        try:
            fed = _renamed(chunk.data.select(fed_columns(chunk.data.schema.names, schema, apart)), schema)
        except MalformedInput as error:
            raise ScoringError(f"{source.path}, rows from {chunk.row} on: {error.message}", hint=error.hint) from None
        kept = chunk.data.select(kept_columns(chunk.data.schema.names, keep))
        return Rows(fed, Casting.FRAME, kept, np.arange(chunk.rows))
    delimiter = source.format.delimiter or ","
    quick = _decode_whole(chunk, delimiter, schema, keep, apart)
    return quick if quick is not None else _decode_records(chunk, delimiter, source, schema, keep, apart)


def _renamed(batch: ArrowTable, schema: Schema | None) -> Table:
    """A table whose names are the signature's own: whole numbers where those are."""
    table = table_of_batch(in_utc(batch, schema))
    names = tuple(own_names(table.names or (), schema))
    return table if names == table.names else Table(names, block=table.block, columns=table.columns)


# What a whole column of text is parsed as; the other types are read cell by cell.
_NUMBERS = {
    Scalar.DOUBLE: "double",
    Scalar.FLOAT: "double",
    Scalar.LONG: "int64",
    Scalar.INTEGER: "int64",
}


def _number_types(fed: Sequence[str], schema: Schema | None) -> dict[str, str]:
    fields = column_fields(fed, schema)
    if fields is None:
        fields = tuple(f for f in schema or () if isinstance(f, Field) and f.name is not None)
    types = {str(f.name): _NUMBERS.get(f.type) for f in fields if isinstance(f.type, Scalar)}
    return {name: kind for name, kind in types.items() if kind is not None}


def _decode_whole(
    chunk: Chunk, delimiter: str, schema: Schema | None, keep: Sequence[str], apart: Sequence[str]
) -> Rows | None:
    """Every column parsed as its type at once; None where a cell does not allow it."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    header = chunk.header or ()
    fed, kept = fed_columns(header, schema, apart), kept_columns(header, keep)
    numbers = _number_types(fed, schema)
    if is_open(chunk.data, delimiter):
        return None
    if not chunk.rows or ("int64" in numbers.values() and (b"0x" in chunk.data or b"0X" in chunk.data)):
        return None  # pyarrow reads hexadecimal, nobody else does
    if chunk.data.startswith(BOM):
        return None  # a cell's own: the file's is gone already, and pyarrow would drop this one as well
    read_as = {n: numbers.get(n, "string") if n not in kept else "string" for n in (*fed, *kept)}
    try:
        batch = arrow_csv.read_csv(
            pa.BufferReader(chunk.data),
            arrow_csv.ReadOptions(column_names=list(header), use_threads=False, block_size=len(chunk.data) + 1),
            arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            arrow_csv.ConvertOptions(
                column_types={name: pa.type_for_alias(kind) for name, kind in read_as.items()},
                include_columns=list(read_as),
                null_values=list(MISSING_WORDS),
                strings_can_be_null=False,
            ),
        )
        if batch.num_rows != chunk.rows:
            return None
        typed = _typed(batch.select(fed), numbers)
        table = _renamed(typed, schema)
    except (pa.ArrowInvalid, pa.ArrowKeyError):
        return None
    if _has_doubtful_floats(table, typed):
        return None
    return Rows(table, Casting.TEXT, batch.select(kept), np.arange(chunk.rows))


def _has_doubtful_floats(table: Table, typed: ArrowTable) -> bool:
    """Infinities, which may be numbers too large to read, and NaN that is no gap, of a word like NAN, which is a number
    to Arrow alone: `conform` looks at the text."""
    arrays = (table.block,) if table.block is not None else table.columns or ()
    floats = [array for array in arrays if array.dtype.kind == "f"]
    if all(np.isfinite(array).all() for array in floats):
        return False
    gaps = sum(column.null_count for column in typed.columns)
    return any(np.isinf(a).any() for a in floats) or sum(int(np.isnan(a).sum()) for a in floats) > gaps


def _typed(batch: ArrowTable, numbers: dict[str, str]) -> ArrowTable:
    """Columns that are kept as text and fed as numbers. Raises pyarrow.ArrowInvalid for cells that are none."""
    import pyarrow as pa

    for position, field_ in enumerate(batch.schema):
        if field_.name in numbers and pa.types.is_string(field_.type):
            import pyarrow.compute as pc  # here, since importing it takes as long as reading a small file

            words = pa.array(list(MISSING_WORDS))
            text = batch.column(position)
            text = pc.if_else(pc.is_in(text, value_set=words), pa.scalar(None, pa.string()), text)
            batch = batch.set_column(position, field_.name, pc.cast(text, numbers[field_.name]))
    if any(pa.types.is_integer(f.type) and batch.column(i).null_count for i, f in enumerate(batch.schema)):
        raise pa.ArrowInvalid("a gap in whole numbers")
    return batch


def _decode_records(
    chunk: Chunk, delimiter: str, source: Source, schema: Schema | None, keep: Sequence[str], apart: Sequence[str]
) -> Rows:
    """Record by record, every cell text."""
    import pyarrow as pa

    header = chunk.header or ()
    rejects: list[Reject] = []
    good: list[list[str]] = []
    places: list[int] = []
    for place, record in enumerate(split_records(chunk.data, delimiter) if chunk.rows else ()):
        cells, why = _cells(record, delimiter, len(header))
        if why:
            rejects.append(Reject(source.path, chunk.row + place, None, why, record.decode(errors="replace")))
        else:
            good.append(cells)
            places.append(place)
    columns = dict(zip(header, zip(*good, strict=True) if good else [()] * len(header), strict=True))
    fed = fed_columns(header, schema, apart)
    table = Table.of(own_names(fed, schema), [as_object_array(columns[n]) for n in fed])
    kept = pa.table({n: pa.array(columns[n], pa.string()) for n in kept_columns(header, keep)})
    return Rows(table, Casting.TEXT, kept, np.array(places, dtype=np.int64), rejects)


def _cells(record: bytes, delimiter: str, width: int) -> tuple[list[str], str]:
    """The cells of one record, or why it is none."""
    if is_open(record, delimiter):
        return [], "has a quote that is never closed"
    try:
        text = record.decode()
        rows = list(csv.reader(StringIO(text, newline=""), delimiter=delimiter))
    except UnicodeDecodeError as error:
        return [], f"is not UTF-8 (byte {error.start})"
    except csv.Error as error:
        return [], f"cannot be read ({error})"
    cells = rows[0] if len(rows) == 1 else []
    if len(cells) != width:
        return [], f"has {len(cells)} cells, but the header has {width}"
    return cells, ""


def _decode_lines(
    chunk: Chunk, source: Source, schema: Schema | None, keep: Sequence[str], apart: Sequence[str]
) -> Rows:
    """JSON objects, one a line; lists of cells for a model whose inputs have no names."""
    import pyarrow as pa

    lines = split_lines(chunk.data) if chunk.rows else []
    records, rejects = _parsed_lines(lines, chunk, source)
    places = [place for place, record in enumerate(records) if record is not None]
    present = [record for record in records if record is not None]
    table = table_of_records(present, schema)
    if keep and any(isinstance(record, list) for record in present):
        raise ScoringError(f"The lines of {source.path} have no names, so no columns can be copied to the output.")
    names = [str(n) for n in table.names] if table.names is not None else None
    if names is not None and present:
        fed = [names.index(n) for n in fed_columns(names, schema, apart)]
        table = Table.of(own_names((names[i] for i in fed), schema), [table.column(i) for i in fed])
    # A later chunk may lack a key in every line; if a file's first lines do, it is rather misspelt.
    strict = list(keep) == ["*"] or (chunk.row == 0 and bool(present))
    kept_names = kept_columns(names or [], keep) if strict else list(keep)
    try:
        kept = pa.table({n: pa.array([r.get(n) for r in present]) for n in kept_names})
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        raise ScoringError(f"A kept column of {source.path} has cells of several types.") from None
    return Rows(table, Casting.FRAME, kept, np.array(places, dtype=np.int64), rejects)


def _parsed_lines(lines: list[bytes], chunk: Chunk, source: Source) -> tuple[list[Any], list[Reject]]:
    """A record for each line, None for those that are none."""
    if lines and all(line[:1] in b"{[" and line[-1:] in b"}]" for line in lines):
        try:
            records = orjson.loads(b"[" + b",".join(lines) + b"]")
            if len(records) == len(lines) and all(type(r) is type(records[0]) for r in records):
                return records, []
        except orjson.JSONDecodeError:
            pass
    records, rejects = [], []
    for place, line in enumerate(lines):
        try:
            record, why = orjson.loads(line), ""
        except orjson.JSONDecodeError as error:
            record, why = None, f"is not JSON ({error})"
        if not why and not isinstance(record, dict):
            record, why = None, f"must be an object, not {shortened(record)}"
        if why:
            rejects.append(Reject(source.path, chunk.row + place, None, why, line.decode(errors="replace")))
        records.append(record)
    return records, rejects


def guess_fields(table: Table) -> tuple[Field, ...] | None:
    """For a model without a signature, from the first rows of a text file, by the rules of every CSV."""
    if table.names is None or not table.rows:
        return None
    return tuple(
        Field(name, _guessed(guess_column(column)))
        for name, column in zip(table.names, table.iter_columns(), strict=True)
    )


def _guessed(column: Array) -> Scalar:
    if column.dtype == object and any(type(cell) is bool for cell in column):
        return Scalar.BOOLEAN  # there are gaps, which a boolean may have
    return _GUESSED.get(column.dtype.name, Scalar.STRING)


_GUESSED = {"int64": Scalar.LONG, "float64": Scalar.DOUBLE, "bool": Scalar.BOOLEAN}
