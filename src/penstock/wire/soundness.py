"""Whether a columnar table can be touched: Arrow's bytes are used in place, so that offsets which somebody forged point
at the memory of others, or at none.

Every reader of Parquet and Arrow asks here before it looks at a cell. The words are ours: those of the library quote
cells, and what stands in a cell may be another caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from penstock.payload import shortened

if TYPE_CHECKING:
    from pyarrow import Array as ArrowArray
    from pyarrow import Buffer, ChunkedArray, RecordBatch
    from pyarrow import DataType as ArrowType
    from pyarrow import Table as ArrowTable
    from pyarrow.parquet import FileMetaData

# Cells that one compressed body may unfold to; JSON of the largest body holds fewer.
MAX_CELLS = 64 * 1024 * 1024


def find_fault(table: ArrowTable | RecordBatch) -> str | None:
    """Why a pyarrow.Table or RecordBatch must not be touched, as a clause; None for a sound one."""
    try:
        names = table.schema.names
    except UnicodeDecodeError:
        return "the name of a column is not UTF-8"
    types = table.schema.types
    if not any(_unread(type_) or _holds_views(type_) for type_ in _intricate(types)) and _is_valid(table):
        return None
    for position, (type_, name) in enumerate(zip(types, names, strict=True)):
        if (fault := _fault_of_column(table, position, type_)) is not None:
            return f"column {shortened(name)} ({_kind(type_)}) {fault}"
    return None if _is_valid(table) else "its columns are inconsistent with each other"


def _is_valid(checked: ArrowTable | RecordBatch | ArrowArray, *, full: bool = True) -> bool:
    """Whether pyarrow finds nothing wrong with a table or an array. Its errors are of many classes, those for text that
    is not UTF-8 among them; what they say is not repeated."""
    import pyarrow as pa

    try:
        checked.validate(full=full)
    except (pa.ArrowException, ValueError, OSError):
        return False
    return True


def _fault_of_column(table: ArrowTable | RecordBatch, position: int, type_: ArrowType) -> str | None:
    if (kind := _unread(type_)) is not None:
        return f"holds {kind}, which are not supported"
    column = table.column(position)
    if len(column) != table.num_rows:
        return f"has {len(column):,} cells, but the table has {table.num_rows:,} rows"
    return next((fault for chunk in _chunks(column) if (fault := _fault_of_array(chunk)) is not None), None)


def _fault_of_array(array: ArrowArray) -> str | None:
    import pyarrow as pa

    if not _is_valid(array, full=False):
        return "has fewer bytes than its cells need"
    if not _is_valid(array):
        if pa.types.is_primitive(array.type) or pa.types.is_decimal(array.type):
            return "has cells that its type does not allow"
        return "holds text that is not UTF-8" if _is_bad_text(array) else "has cells that point outside its data"
    if any(_is_view(part.type) and not _is_sound_below_gaps(part) for part in parts_of(array)):
        return "has missing cells that point outside its data"
    return None


def _is_bad_text(array: ArrowArray) -> bool:
    """Whether nothing but the encoding is wrong, which is no attack but a writer's mistake."""
    import pyarrow as pa

    kinds = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary(), pa.string_view(): pa.binary_view()}
    kind = kinds.get(array.type)
    return kind is not None and _is_valid(_with_buffers(array, kind, array.buffers()))


def _is_view(type_: ArrowType) -> bool:
    import pyarrow as pa

    return type_ in (pa.string_view(), pa.binary_view())


def _is_sound_below_gaps(array: ArrowArray) -> bool:
    """Full validation leaves out the missing cells of views, which conversion to frames then follows."""
    import pyarrow as pa

    return not array.null_count or _is_valid(_with_buffers(array, pa.binary_view(), [None, *array.buffers()[1:]]))


def _with_buffers(array: ArrowArray, type_: ArrowType, buffers: list[Buffer | None]) -> ArrowArray:
    import pyarrow as pa

    return pa.Array.from_buffers(type_, len(array), buffers, offset=array.offset)


def count_cells(table: ArrowTable) -> int:
    """The cells of a sound table, those inside of lists and structs, too: some take no byte, so that a short body can
    claim any number of them."""
    cells: int = table.num_rows * max(1, table.num_columns)
    types = table.schema.types
    if _intricate(types):
        for column in table.columns:
            cells += sum(len(part) for chunk in _chunks(column) for part in parts_of(chunk))
    return cells


def parts_of(array: ArrowArray) -> Iterator[ArrowArray]:
    """An array and all those inside of it. They must be of kinds that are read here."""
    import pyarrow as pa

    yield array
    type_ = array.type
    if isinstance(type_, pa.BaseExtensionType):
        yield from parts_of(array.storage)
    elif pa.types.is_dictionary(type_):
        yield from parts_of(array.dictionary)
    elif pa.types.is_struct(type_):
        for position in range(type_.num_fields):
            yield from parts_of(array.field(position))
    elif pa.types.is_nested(type_):
        yield from parts_of(array.values)


def _chunks(column: ChunkedArray | ArrowArray) -> list[ArrowArray]:
    import pyarrow as pa

    return column.chunks if isinstance(column, pa.ChunkedArray) else [column]


def _types_in(type_: ArrowType) -> Iterator[ArrowType]:
    """A type and all those inside of it."""
    import pyarrow as pa

    yield type_
    if isinstance(type_, pa.BaseExtensionType):
        yield from _types_in(type_.storage_type)
    elif pa.types.is_dictionary(type_):
        yield from _types_in(type_.value_type)
    for position in range(type_.num_fields):
        yield from _types_in(type_.field(position).type)


def _intricate(types: list[ArrowType]) -> list[ArrowType]:
    """Those that are more than a width and a name; of numbers and plain text a table may have very many columns."""
    import pyarrow as pa

    odd = {pa.dictionary(pa.int8(), pa.int8()).id, pa.string_view().id, pa.binary_view().id}
    return [t for t in types if t.num_fields or t.id in odd or isinstance(t, pa.BaseExtensionType)]


def _holds_views(type_: ArrowType) -> bool:
    return any(_is_view(inner) for inner in _types_in(type_))


def _unread(type_: ArrowType) -> str | None:
    """The first kind inside of a type that is not read. Runs and views of lists repeat cells without end, and frames
    have no form for unions; pyarrow ends the process for some of these."""
    from pyarrow import types

    for inner in _types_in(type_):
        if types.is_union(inner):
            return "unions"
        if types.is_run_end_encoded(inner):
            return "run-end encoded cells"
        if types.is_list_view(inner) or types.is_large_list_view(inner):
            return "list views"
    return None


def _kind(type_: ArrowType) -> str:
    """A type in one word or a few: those of structs go on for pages, and name fields that may not be text."""
    import pyarrow as pa

    if isinstance(type_, pa.BaseExtensionType):
        return "extension"
    if pa.types.is_nested(type_) or pa.types.is_dictionary(type_) or pa.types.is_union(type_):
        return next((word for word, is_it in _nested().items() if is_it(type_)), "nested")
    if pa.types.is_timestamp(type_):
        return "timestamp"
    return str(type_)


def _nested() -> dict[str, Callable[[ArrowType], bool]]:
    from pyarrow import types

    return {
        "dictionary": types.is_dictionary,
        "map": types.is_map,
        "struct": types.is_struct,
        "union": types.is_union,
        "list": types.is_list,
        "large_list": types.is_large_list,
        "fixed_size_list": types.is_fixed_size_list,
    }


def why_unreadable(error: BaseException) -> str:
    """A clause for an error with which pyarrow refuses a file or stream as such."""
    import pyarrow as pa

    if isinstance(error, MemoryError):
        return "it declares more data than fits in memory"
    if isinstance(error, pa.ArrowNotImplementedError):
        return f"it uses something that pyarrow {pa.__version__} does not read"
    return "it is truncated, damaged or in another format"


def rows_of_parquet(metadata: FileMetaData) -> int:
    """The rows that the groups of a Parquet file claim, -1 where that is not what the file as a whole claims."""
    rows = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    return sum(rows) if sum(rows) == metadata.num_rows and min(rows, default=0) >= 0 else -1
