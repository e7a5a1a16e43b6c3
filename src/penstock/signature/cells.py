"""One cell into its type. Readers take what JSON, CSV or a typed source can hold, and raise Misfit with a reason.

Missing values: None, NaN and, in text, the words that pandas reads as missing. A missing number is NaN for the floating
types and refused for the whole ones; a missing boolean, string or compound value stays None.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from penstock.payload import shortened
from penstock.signature.types import AnyValue, ArrayOf, MapOf, ObjectOf, Scalar, Type

CellReader: TypeAlias = Callable[[Any], Any]

# What pandas.read_csv takes for missing by default.
MISSING_WORDS = frozenset(
    [
        "#N/A",
        "#N/A N/A",
        "#NA",
        "-1.#IND",
        "-1.#QNAN",
        "-NaN",
        "-nan",
        "1.#IND",
        "1.#QNAN",
        "<NA>",
        "N/A",
        "NA",
        "NULL",
        "NaN",
        "None",
        "n/a",
        "nan",
        "null",
        "",
    ]
)


def is_missing_word(cell: Any) -> bool:
    """Whether a cell of text stands for nothing."""
    return isinstance(cell, str) and cell in MISSING_WORDS


class Misfit(Exception):
    """This cell is not of this type; the text says why."""


def cell_reader(type_: Type, casting: str) -> CellReader:
    """The reader for cells of one type from one kind of source (a `Casting` value)."""
    match type_:
        case Scalar():
            reader = partial(_SCALARS[type_], casting=casting)
            return partial(_text, reader, type_) if casting == "text" else reader
        case AnyValue():
            return _same
        case ArrayOf() | ObjectOf() | MapOf():
            return partial(_compound, type_)


def _text(reader: CellReader, type_: Scalar, cell: Any) -> Any:
    return reader(None if is_missing_word(cell) else cell)


def _same(cell: Any) -> Any:
    return cell


def _is_missing(cell: Any) -> bool:
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def _float(type_: Scalar, cell: Any, *, casting: str) -> float:
    if cell is None:
        return math.nan
    if not isinstance(cell, (int, float, str, Decimal, np.number)) or (isinstance(cell, str) and "_" in cell):
        raise Misfit(f"{shortened(cell)} is not a number ({type_})")
    try:
        value = float(cell)
    except ValueError:
        raise Misfit(f"{shortened(cell)} is not a number ({type_})") from None
    except OverflowError:
        raise Misfit(f"{shortened(cell)} is out of range for {type_}") from None
    if type_ is Scalar.FLOAT and math.isfinite(value) and abs(value) > _FLOAT_MAX:
        raise Misfit(f"{shortened(cell)} is out of range for {type_}")
    return value


_FLOAT_MAX = float(np.finfo(np.float32).max)


def _int(type_: Scalar, cell: Any, *, casting: str) -> int:
    if _is_missing(cell):
        raise Misfit(f"a missing value cannot be {type_}")
    if isinstance(cell, str) and "_" not in cell:
        try:
            cell = int(cell)
        except ValueError:
            raise Misfit(f"{shortened(cell)} is not a whole number ({type_})") from None
    if isinstance(cell, (float, np.floating)):
        if not float(cell).is_integer():
            raise Misfit(f"{shortened(cell)} is not a whole number ({type_})")
        cell = int(cell)
    if not isinstance(cell, (int, np.integer)):
        raise Misfit(f"{shortened(cell)} is not a whole number ({type_})")
    info = np.iinfo(type_.dtype)
    if not info.min <= cell <= info.max:
        raise Misfit(f"{shortened(cell)} is out of range for {type_}")
    return int(cell)


_WORDS = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}


def _boolean(cell: Any, *, casting: str) -> bool | None:
    if _is_missing(cell):
        return None
    if isinstance(cell, (bool, np.bool_)):
        return bool(cell)
    if casting != "typed":
        if isinstance(cell, str) and cell.strip().lower() in _WORDS:
            return _WORDS[cell.strip().lower()]
        if isinstance(cell, (int, float)) and cell in (0, 1):
            return bool(cell)
    raise Misfit(f"{shortened(cell)} is not a boolean")


def _string(cell: Any, *, casting: str) -> Any:
    """In frames MLflow leaves a number in a string column as it is; in arrays it becomes its text."""
    if _is_missing(cell):
        return None
    if isinstance(cell, str) or casting == "frame":
        return cell
    if casting == "tensor":
        return str(cell)
    raise Misfit(f"{shortened(cell)} is not a string")


def _binary(cell: Any, *, casting: str) -> Any:
    if isinstance(cell, bytes) or (casting == "tensor" and isinstance(cell, str)):
        return cell
    if isinstance(cell, str) and casting != "typed":
        try:
            return base64.b64decode(cell)
        except binascii.Error as error:
            raise Misfit(f"{shortened(cell)} is not base64 ({error})") from None
    raise Misfit(f"{'a missing value' if _is_missing(cell) else shortened(cell)} is not binary (base64 text)")


_AMERICAN = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})(?:[ T](\d{1,2}:\d{2}(?::\d{2})?))?")


def _datetime(cell: Any, *, casting: str) -> Any:
    """Nanoseconds since 1970, without a zone. Numbers are nanoseconds already."""
    if _is_missing(cell):
        return np.datetime64("NaT", "ns")
    if isinstance(cell, (np.datetime64, date)) and not (isinstance(cell, datetime) and cell.tzinfo):
        return np.datetime64(cell).astype("datetime64[ns]")
    if isinstance(cell, int) and not isinstance(cell, bool):
        return np.datetime64(cell, "ns")
    if not isinstance(cell, (str, datetime)):
        raise Misfit(f"{shortened(cell)} is not a datetime")
    moment = _parse_moment(cell) if isinstance(cell, str) else cell
    if moment.tzinfo is not None:
        if casting != "tensor":
            raise Misfit(f"{shortened(cell)} has a time zone; give it without one, in UTC")
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return np.datetime64(moment, "ns")


def _parse_moment(text: str) -> datetime:
    text = text.strip()
    if american := _AMERICAN.fullmatch(text):
        month, day, year, clock = american.groups()
        text = f"{year}-{month:0>2}-{day:0>2}{f'T{clock:0>5}' if clock else ''}"
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise Misfit(f"{shortened(text)} is not a datetime (ISO 8601)") from None


_SCALARS: dict[Scalar, Callable[..., Any]] = {
    Scalar.DOUBLE: partial(_float, Scalar.DOUBLE),
    Scalar.FLOAT: partial(_float, Scalar.FLOAT),
    Scalar.LONG: partial(_int, Scalar.LONG),
    Scalar.INTEGER: partial(_int, Scalar.INTEGER),
    Scalar.BOOLEAN: _boolean,
    Scalar.STRING: _string,
    Scalar.BINARY: _binary,
    Scalar.DATETIME: _datetime,
}


def _compound(type_: ArrayOf | ObjectOf | MapOf, cell: Any) -> Any:
    """Inside lists and objects values are strict: no text for numbers, no floats for whole ones."""
    match type_:
        case ArrayOf(items):
            if isinstance(cell, np.ndarray):
                cell = cell.tolist()
            if not isinstance(cell, (list, tuple)):
                raise Misfit(f"{shortened(cell)} is not a list")
            return [_strict(items, item, f"item {i}") for i, item in enumerate(cell)]
        case MapOf(values):
            if not isinstance(cell, dict):
                raise Misfit(f"{shortened(cell)} is not an object")
            return {key: _strict(values, value, f"key {key!r}") for key, value in cell.items()}
        case ObjectOf(properties):
            if not isinstance(cell, dict):
                raise Misfit(f"{shortened(cell)} is not an object")
            known = {p.name for p in properties}
            if missing := [p.name for p in properties if p.required and p.name not in cell]:
                raise Misfit(f"the object lacks {', '.join(map(repr, missing))}")
            if unknown := [key for key in cell if key not in known]:
                raise Misfit(f"the object has unknown keys {', '.join(map(repr, unknown[:5]))}")
            return {p.name: _property(p.type, p.required, cell[p.name], p.name) for p in properties if p.name in cell}


def _property(type_: Type, required: bool, value: Any, name: str) -> Any:
    return None if value is None and not required else _strict(type_, value, f"key {name!r}")


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
