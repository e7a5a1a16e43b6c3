"""One cell into its type. Readers take what JSON, CSV or a typed source can hold, and raise Misfit with a reason.

Missing values: None, NaN and, in text, the words that pandas reads as missing. A missing number is NaN for the floating
types and refused for the whole ones; a missing boolean, string or compound value stays None.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache, partial
from typing import Any, TypeAlias

import numpy as np

from penstock.payload import shortened
from penstock.signature.cell_texts import is_missing, is_missing_word, is_number_text
from penstock.signature.misfit import Misfit
from penstock.signature.moments import read_moment
from penstock.signature.types import AnyValue, ArrayOf, MapOf, ObjectOf, Scalar, Type

CellReader: TypeAlias = Callable[[Any], Any]


def cell_reader(type_: Type, casting: str) -> CellReader:
    """The reader for cells of one type from one kind of source (a `Casting` value)."""
    match type_:
        case Scalar():
            reader = partial(_SCALARS[type_], casting=casting)
            return partial(_text, reader) if casting == "text" else reader
        case AnyValue():
            return _same
        case ArrayOf() | ObjectOf() | MapOf():
            return partial(_compound, type_)


def _text(reader: CellReader, cell: Any) -> Any:
    return reader(None if is_missing_word(cell) else cell)


def _same(cell: Any) -> Any:
    return cell


@cache
def _largest(dtype: np.dtype[Any]) -> float:
    return float(np.finfo(dtype).max)


def _float(dtype: np.dtype[Any], name: str, cell: Any, *, casting: str) -> float:
    if cell is None:
        return math.nan
    if not isinstance(cell, (int, float, str, Decimal, np.number)) or _is_no_number(cell, casting):
        raise Misfit(f"{shortened(cell)} is not a number ({name})")
    try:
        value = float(cell)
    except ValueError:
        raise Misfit(f"{shortened(cell)} is not a number ({name})") from None
    except OverflowError:
        raise Misfit(f"{shortened(cell)} is out of range for {name}") from None
    if math.isinf(value):
        grown = not isinstance(cell, (float, np.floating)) and "inf" not in str(cell).lower()  # "1e400"
    else:
        grown = abs(value) > _largest(dtype)
    if grown:
        raise Misfit(f"{shortened(cell)} is out of range for {name}")
    return value


def _int(dtype: np.dtype[Any], name: str, cell: Any, *, casting: str) -> int:
    if is_missing(cell):
        raise Misfit(f"a missing value cannot be {name}")
    if isinstance(cell, str) and not _is_no_number(cell, casting):
        try:
            cell = _whole(cell) if casting == "text" else int(cell)
        except (ValueError, ArithmeticError):
            raise Misfit(f"{shortened(cell)} is not a whole number ({name})") from None
    if isinstance(cell, (float, np.floating)):
        if not float(cell).is_integer():
            raise Misfit(f"{shortened(cell)} is not a whole number ({name})")
        cell = int(cell)
    if not isinstance(cell, (int, np.integer)):
        raise Misfit(f"{shortened(cell)} is not a whole number ({name})")
    info = np.iinfo(dtype)
    if not info.min <= cell <= info.max:
        raise Misfit(f"{shortened(cell)} is out of range for {name}")
    return int(cell)


def _is_no_number(cell: Any, casting: str) -> bool:
    """Where text is read. JSON is read as MLflow casts it, so with Python's own idea of numbers."""
    return casting == "text" and isinstance(cell, str) and not is_number_text(cell)


def _whole(cell: str) -> int:
    """A whole number in any form, 1.0 and 1e3 among them, without passing through a float. Raises ValueError,
    ArithmeticError."""
    try:
        return int(cell)
    except ValueError:
        number = Decimal(cell.strip())
    if number.adjusted() > _MOST_DIGITS:
        raise ValueError
    whole = int(number)
    if whole != number:
        raise ValueError
    return whole


# Of a whole number that may have a type.
_MOST_DIGITS = 40

BOOLEAN_WORDS = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}


def _boolean(cell: Any, *, casting: str) -> bool | None:
    if is_missing(cell):
        return None
    if isinstance(cell, (bool, np.bool_)):
        return bool(cell)
    if casting != "typed":
        if isinstance(cell, str) and cell.strip().lower() in BOOLEAN_WORDS:
            return BOOLEAN_WORDS[cell.strip().lower()]
        if casting == "text" and isinstance(cell, str) and is_number_text(cell):
            cell = float(cell)
        if isinstance(cell, (int, float)) and cell in (0, 1):
            return bool(cell)
    raise Misfit(f"{shortened(cell)} is not a boolean")


def _string(cell: Any, *, casting: str) -> Any:
    """In frames MLflow leaves a number in a string column as it is; in arrays it becomes its text."""
    if is_missing(cell):
        return None
    if isinstance(cell, str) or casting == "frame":
        return cell
    if casting == "tensor" and not isinstance(cell, list):
        return str(cell)
    raise Misfit(f"{shortened(cell)} is not a string")


def _binary(cell: Any, *, casting: str) -> Any:
    if isinstance(cell, bytes) or (casting == "tensor" and isinstance(cell, str)):
        return cell
    if isinstance(cell, str) and casting != "typed":
        try:
            return base64.b64decode(cell)
        except ValueError as error:  # binascii's own error is one; text beyond ASCII gives the plain one
            raise Misfit(f"{shortened(cell)} is not base64 ({error})") from None
    if casting == "text" and is_missing(cell):
        return None
    raise Misfit(f"{'a missing value' if is_missing(cell) else shortened(cell)} is not binary (base64 text)")


def _datetime(cell: Any, *, casting: str) -> Any:
    """One rule, whatever the source."""
    return read_moment(cell)


_SCALARS: dict[Scalar, Callable[..., Any]] = {
    Scalar.DOUBLE: partial(_float, Scalar.DOUBLE.dtype, "double"),
    Scalar.FLOAT: partial(_float, Scalar.FLOAT.dtype, "float"),
    Scalar.LONG: partial(_int, Scalar.LONG.dtype, "long"),
    Scalar.INTEGER: partial(_int, Scalar.INTEGER.dtype, "integer"),
    Scalar.BOOLEAN: _boolean,
    Scalar.STRING: _string,
    Scalar.BINARY: _binary,
    Scalar.DATETIME: _datetime,
}


def element_reader(dtype: np.dtype[Any], name: str, casting: str) -> CellReader | None:
    """The reader for the elements of an array of this dtype; None where only numpy's own cast is left."""
    match dtype.kind:
        case "f":
            reader: Callable[..., Any] = partial(_float, dtype, name)
        case "i" | "u":
            reader = partial(_int, dtype, name)
        case "b" | "U":
            reader = partial(_present, _boolean if dtype.kind == "b" else _string, name)
        case "M":
            reader = _datetime
        case _:
            return None
    reader = partial(reader, casting=casting)
    return partial(_text, reader) if casting == "text" else reader


def _present(reader: Callable[..., Any], name: str, cell: Any, *, casting: str) -> Any:
    """numpy would make the text 'None' of a missing string, and False of a missing boolean."""
    if is_missing(cell):
        raise Misfit(f"a missing value cannot be {name}")
    return reader(cell, casting=casting if isinstance(cell, str) or reader is _boolean else "tensor")


def _compound(type_: ArrayOf | ObjectOf | MapOf, cell: Any) -> Any:
    """Inside lists and objects values are strict: no text for numbers, no floats for whole ones."""
    match type_:
        case ArrayOf(items):
            if isinstance(cell, np.ndarray):
                cell = cell.tolist()
            if not isinstance(cell, (list, tuple)):
                raise Misfit(f"{shortened(cell)} is not a list")
            return [_strict(items, item, f"item {i}") for i, item in enumerate(_as_numbers(items, cell))]
        case MapOf(values):
            if not isinstance(cell, dict):
                raise Misfit(f"{shortened(cell)} is not an object")
            return {key: _keyed(values, value, f"key {shortened(key)}") for key, value in cell.items()}
        case ObjectOf(properties):
            if not isinstance(cell, dict):
                raise Misfit(f"{shortened(cell)} is not an object")
            known = {p.name for p in properties}
            if missing := [p.name for p in properties if p.required and p.name not in cell]:
                raise Misfit(f"the object lacks {', '.join(map(repr, missing))}")
            if unknown := [key for key in cell if key not in known]:
                raise Misfit(f"the object has unknown keys {', '.join(map(shortened, unknown[:5]))}")
            return {p.name: _property(p.type, p.required, cell[p.name], p.name) for p in properties if p.name in cell}


def _as_numbers(items: Type, cells: Sequence[Any]) -> Sequence[Any]:
    """Whole numbers count as floats where one float is among them, or all are 0 and 1, as MLflow sees lists."""
    if items not in (Scalar.DOUBLE, Scalar.FLOAT) or not all(type(c) in (int, float) for c in cells):
        return cells
    if any(type(c) is float for c in cells) or all(c in (0, 1) for c in cells):
        return [_SCALARS[Scalar.DOUBLE](c, casting="frame") for c in cells]
    return cells


def _property(type_: Type, required: bool, value: Any, name: str) -> Any:
    return None if value is None and not required else _keyed(type_, value, f"key {name!r}")


def _strict(type_: Type, value: Any, where: str) -> Any:
    try:
        match type_:
            case AnyValue():
                return value
            case ArrayOf() | MapOf() | ObjectOf():
                return _compound(type_, value)
            case Scalar():
                if not isinstance(value, _EXACT[type_]) or (isinstance(value, bool) and type_ is not Scalar.BOOLEAN):
                    raise Misfit(f"{shortened(value)} is not {type_}")
                return _SCALARS[type_](value, casting="frame")
    except Misfit as misfit:
        raise Misfit(f"{where}: {misfit}") from None


def _keyed(type_: Type, value: Any, where: str) -> Any:
    """Numbers under a key reach the model as numpy's, as wide as the signature says. So in MLflow."""
    read = _strict(type_, value, where)
    numeric = isinstance(type_, Scalar) and type_.dtype.kind in "bif" and read is not None
    return type_.dtype.type(read) if isinstance(type_, Scalar) and numeric else read


_EXACT: dict[Scalar, tuple[type, ...]] = {
    Scalar.DOUBLE: (float, np.floating),
    Scalar.FLOAT: (float, np.floating),
    Scalar.LONG: (int, np.integer),
    Scalar.INTEGER: (int, np.integer),
    Scalar.BOOLEAN: (bool, np.bool_),
    Scalar.STRING: (str,),
    Scalar.BINARY: (bytes, str),
    Scalar.DATETIME: (str, datetime, np.datetime64),
}
