"""What flows through Penstock: `Table`, `Tensors` or `Value`, and the `Violation` that says why one does not fit.

Tables and tensors are *rows*: their arrays share the first axis, so payloads of one `layout` can be joined along it,
taken apart again and reordered. A `Value` is one opaque JSON value and none of that.

No pandas, no HTTP, no model library here: flavors and codecs turn these into what their side wants.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from difflib import get_close_matches
from reprlib import Repr
from typing import Any, TypeAlias
from uuid import UUID

import numpy as np
import numpy.typing as npt

from penstock.error_text import kind_of, text_of

Array: TypeAlias = npt.NDArray[Any]
Name: TypeAlias = str | int

# Inference parameters by name; None where the model has none and none were sent: MLflow's models see the difference.
Params: TypeAlias = Mapping[str, Any] | None


# Measured on columns of doubles, 4 to 100 of them.
_CACHED_ROWS = 4096

# Text as pandas' own string columns hold it; object arrays of text reach a model as objects.
TEXT = np.dtypes.StringDType(na_object=np.nan)


def as_object_array(items: Sequence[Any]) -> Array:
    """A 1-D object array of exactly these items, however list-like they are themselves."""
    return np.fromiter(items, dtype=object, count=len(items))


def _concatenate(arrays: Sequence[Array]) -> Array:
    """One after the other along the first axis, every value as it was.

    numpy would turn numbers beside text into text, and whole numbers beside floats into floats; those become objects.
    """
    if len({a.dtype.kind for a in arrays}) > 1:
        arrays = [a.astype(object) for a in arrays]
    return np.concatenate(arrays)


def _side_by_side(columns: Sequence[Array]) -> Array:
    """The columns as one block (rows, columns), made piece by piece where there are many rows: a piece stays in the
    processor's cache until its last column is in. Raises ValueError where they are not equally long."""
    rows = len(columns[0])
    block = np.empty((rows, len(columns)), dtype=columns[0].dtype)
    if rows <= _CACHED_ROWS:
        for i, column in enumerate(columns):
            block[:, i] = column
        return block
    if any(len(column) != rows for column in columns):
        raise ValueError("The columns have different lengths.")
    for start in range(0, rows, _CACHED_ROWS):
        piece = block[start : start + _CACHED_ROWS]
        for i, column in enumerate(columns):
            piece[:, i] = column[start : start + _CACHED_ROWS]
    return block


# Payloads are not to be changed once made. That is not enforced: a frozen class takes three times as long to make, and
# every request makes several.
@dataclass(eq=False, slots=True)
class Table:
    """Named or unnamed columns of equal length: what reaches a model as a frame.

    `names` has one entry per column, or is None when the columns have no names. Exactly one of `block` (rows, columns;
    all columns share its dtype) and `columns` (one 1-D array each) is given. `index` (rows,) holds the caller's labels.
    """

    names: tuple[Name, ...] | None
    block: Array | None = None
    columns: tuple[Array, ...] | None = None
    index: Array | None = None

    @classmethod
    def of(cls, names: Sequence[Name] | None, columns: Sequence[Array], index: Array | None = None) -> Table:
        """A table of these columns, in one contiguous block where they all share a dtype."""
        names = None if names is None else tuple(names)
        if columns and all(c.dtype == columns[0].dtype for c in columns[1:]):
            return cls(names, block=_side_by_side(columns), index=index)
        return cls(names, columns=tuple(columns), index=index)

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.block.shape[1] if self.block is not None else len(self.columns or ())

    @property
    def rows(self) -> int:
        if self.block is not None:
            return len(self.block)
        return len(self.columns[0]) if self.columns else (0 if self.index is None else len(self.index))

    @property
    def layout(self) -> Hashable:
        """Equal for tables that may be joined: names, dtypes, and how rows are labelled."""
        # As text: a numpy dtype calls itself equal to a tuple that starts with it.
        index = None if self.index is None else self.index.dtype.str
        if self.block is not None:
            return ("block", self.names, self.block.shape[1], self.block.dtype.str, index)
        return ("table", self.names, self.width, tuple(c.dtype.str for c in self.columns or ()), index)

    def column(self, position: int) -> Array:
        """Column number `position` (rows,), a view where the table is one block."""
        if self.block is not None:
            return self.block[:, position]
        assert self.columns is not None
        return self.columns[position]

    def iter_columns(self) -> Iterable[Array]:
        return (self.column(i) for i in range(self.width))

    def take(self, rows: slice | Array) -> Table:
        """The given rows, in the given order."""
        index = None if self.index is None else self.index[rows]
        if self.block is not None:
            return Table(self.names, block=self.block[rows], index=index)
        return Table(self.names, columns=tuple(c[rows] for c in self.columns or ()), index=index)

    @staticmethod
    def join(parts: Sequence[Table]) -> Table:
        first = parts[0]
        indexes = [p.index for p in parts if p.index is not None]
        if 0 < len(indexes) < len(parts):
            raise ValueError("tables with and without row labels cannot be joined")
        index = _concatenate(indexes) if indexes else None
        blocks = [p.block for p in parts if p.block is not None]
        if len(blocks) == len(parts) and len({b.dtype for b in blocks}) == 1:
            return Table(first.names, block=np.concatenate(blocks), index=index)
        columns = [_concatenate([p.column(i) for p in parts]) for i in range(first.width)]
        return Table.of(first.names, columns, index)

    def __repr__(self) -> str:
        names = (
            "unnamed" if self.names is None else ", ".join(map(str, self.names[:4])) + (", …" if self.width > 4 else "")
        )
        return f"<Table {self.rows} rows × {self.width} columns: {names}>"


@dataclass(eq=False, slots=True)
class Tensors:
    """One array (`names` is None) or several named ones, each of any rank and dtype."""

    names: tuple[str, ...] | None
    arrays: tuple[Array, ...]

    @classmethod
    def single(cls, array: Array) -> Tensors:
        return cls(None, (array,))

    @classmethod
    def named(cls, arrays: Mapping[str, Array]) -> Tensors:
        return cls(tuple(arrays), tuple(arrays.values()))

    @property
    def rows(self) -> int | None:
        """Length of the first axis that all arrays share; None if they share none, so that nothing can be joined."""
        if len(self.arrays) == 1 and self.arrays[0].ndim:
            return self.arrays[0].shape[0]  # type: ignore[no-any-return]
        if not self.arrays or any(a.ndim == 0 for a in self.arrays):
            return None
        count: int = self.arrays[0].shape[0]
        return count if all(a.shape[0] == count for a in self.arrays) else None

    @property
    def layout(self) -> Hashable:
        return ("tensors", self.names, tuple((a.dtype, a.shape[1:]) for a in self.arrays))

    def mapping(self) -> dict[str, Array]:
        """The arrays by name. Only for named tensors."""
        assert self.names is not None
        return dict(zip(self.names, self.arrays, strict=True))

    def take(self, rows: slice | Array) -> Tensors:
        return Tensors(self.names, tuple(a[rows] for a in self.arrays))

    @staticmethod
    def join(parts: Sequence[Tensors]) -> Tensors:
        first = parts[0]
        arrays = tuple(_concatenate([p.arrays[i] for p in parts]) for i in range(len(first.arrays)))
        return Tensors(first.names, arrays)

    def __repr__(self) -> str:
        names = self.names or ("",) * len(self.arrays)
        inside = ", ".join(
            f"{n}{':' if n else ''}{a.dtype}{list(a.shape)}" for n, a in zip(names, self.arrays, strict=True)
        )
        return f"<Tensors {inside}>"


@dataclass(eq=False, slots=True)
class Value:
    """One opaque JSON value: chat messages, a list for a type-hinted function, a scalar, a nested answer."""

    value: Any

    @property
    def rows(self) -> None:
        return None

    @property
    def layout(self) -> Hashable:
        return ("value",)


class PackedValue(Value):
    """A large value as another process has written it: handed on as it is, read only where somebody asks for it."""

    __slots__ = ("framed", "packed", "unpack")

    def __init__(self, packed: memoryview, framed: bool, unpack: Callable[[memoryview], Any]) -> None:
        self.packed = packed
        self.framed = framed
        self.unpack = unpack

    @property
    def value(self) -> Any:
        """Read anew each time. Raises ValueError."""
        return self.unpack(self.packed)

    def __repr__(self) -> str:
        return f"<PackedValue {len(self.packed)} bytes>"


Rows: TypeAlias = Table | Tensors
Payload: TypeAlias = Table | Tensors | Value


def join(parts: Sequence[Payload]) -> Payload:
    """Payloads of one layout, one after the other along the rows.

    Raises ValueError where they cannot be joined: several `Value`s, different names, different trailing shapes.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, Table):
        tables = [p for p in parts if isinstance(p, Table) and p.names == first.names and p.width == first.width]
        if len(tables) == len(parts):
            return Table.join(tables)
    elif isinstance(first, Tensors):
        tensors = [p for p in parts if isinstance(p, Tensors) and p.names == first.names]
        if len(tensors) == len(parts):
            return Tensors.join(tensors)
    raise ValueError(f"payloads of different kinds or names cannot be joined: {parts!r}")


def several_rows(rows: Table | Tensors) -> Table | Tensors:
    """These rows, repeated until an answer to them can be counted: two at least, and not as many as there are columns,
    of which a model may answer each instead."""
    widths = {rows.width} if isinstance(rows, Table) else {a.shape[1] for a in rows.arrays if a.ndim > 1}
    number = max(rows.rows or 0, 2)
    while number in widths:
        number += 1
    return rows.take(np.arange(number) % (rows.rows or 1))


# An error lists so many violations of one column.
MAX_VIOLATIONS = 20


@dataclass(frozen=True, slots=True)
class Violation:
    """Why a payload does not fit a signature: where (row from 0, column) and what was found there.

    `row` and `column` are None where the whole payload is meant. `at_parse` tells a cell that cannot be read as its
    type from a payload that was read but is not what the signature asks for; MLflow gives the two different codes.
    """

    reason: str
    row: int | None = None
    column: Name | None = None
    at_parse: bool = False

    def __str__(self) -> str:
        where = [f"row {self.row}"] if self.row is not None else []
        where += [f"column {self.column!r}"] if self.column is not None else []
        return f"{', '.join(where)}: {self.reason}" if where else self.reason


# What a caller writes otherwise than Python's repr has it.
_SAID = (date, time, timedelta, Decimal, UUID)
_MOST_ITEMS = 4096


class _Shortener(Repr):
    """Values as a caller knows them: numpy's scalars and arrays as numbers and lists, moments and decimals as text."""

    def repr1(self, x: Any, level: int) -> str:
        if isinstance(x, np.ndarray):
            x = x.tolist() if x.size <= _MOST_ITEMS else list(x.shape)
        elif isinstance(x, np.generic):
            x = x.item()
        return str(x) if isinstance(x, _SAID) else super().repr1(x, level)


_SHORT = _Shortener()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 1000
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 60


def shortened(value: object, limit: int = 60) -> str:
    """repr for an error message: never the caller's whole data, and quick and safe however big or deep that is."""
    try:
        text = _SHORT.repr(value) if isinstance(value, (list, tuple, dict, str, int, *_SHORTENED)) else repr(value)
    except Exception:  # a model's own repr
        text = f"<{type(value).__name__}>"
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


_SHORTENED = (np.ndarray, np.generic, *_SAID)


def some(names: Any, shown: int = 8) -> str:
    """Names for a message, not all of a thousand."""
    listed = [shortened(n) for n in list(names)[:shown]]
    return ", ".join(listed) + (f" and {len(names) - shown} more" if len(names) > shown else "")


def columns_named(names: Sequence[Name]) -> str:
    """Columns for a message: `column 'a'`, or `columns 'a', 'b'`."""
    return f"column{'s' if len(names) > 1 else ''} {some(names)}"


# To compare a name with so many characters takes two milliseconds, and an event loop may wait for it. Whoever has more
# names has numbered them, and all are near.
_COMPARED = 2000
_LONGEST_COMPARED = 100


def nearest(name: str, known: Sequence[str]) -> str:
    """The known name that is rather meant, for a message: ` (nearest: 'temperature')`; nothing where none is near, or
    where there are too many to look at."""
    if sum(map(len, known)) > _COMPARED:
        return ""
    found = get_close_matches(name[:_LONGEST_COMPARED], known, 1)
    return f" (nearest: {shortened(found[0])})" if found else ""


def clipped(text: str, limit: int = 300) -> str:
    """A foreign message for one line of ours: white space folded, no closing stop, not endless."""
    folded = " ".join(text[: 8 * limit].split()).rstrip(".")
    return folded if len(folded) <= limit else f"{folded[: limit - 1]}…"


def kind_and_text(error: BaseException, limit: int = 300) -> str:
    """A foreign error for one line of ours: its class and its message, if it has one. Never fails."""
    said = clipped(text_of(error), limit)
    return f"{kind_of(error)}: {said}" if said else kind_of(error)
