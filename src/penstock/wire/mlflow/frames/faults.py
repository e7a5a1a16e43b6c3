"""What is wrong with cells and arrays that pandas or numpy refuse: which row, which value, and why, in our words.

Theirs name no row, quote no value, and give advice for programmers. Their refusal stands; only the words are ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from penstock.payload import MAX_VIOLATIONS, Name, Violation, shortened
from penstock.signature import Field, Misfit, Scalar, TensorField, Type
from penstock.signature.cells import cell_reader, element_reader
from penstock.wire.mlflow.frames.corruption import leaves

Wanted = Type | np.dtype[Any]


def fault(cell: Any, wanted: Wanted) -> str:
    """Why a cell is none of this type; empty where it looks like one."""
    if isinstance(cell, np.ndarray):
        cell = cell.tolist()
    if _is_missing(cell):
        return f"a missing value cannot be {wanted}"
    read = (
        element_reader(wanted, wanted.name, "frame") if isinstance(wanted, np.dtype) else cell_reader(wanted, "frame")
    )
    try:
        if read is not None:
            read(cell)
        return ""
    except Misfit as misfit:
        return str(misfit)
    except Exception:
        return f"{shortened(cell)} is not {wanted}"


def _is_missing(cell: Any) -> bool:
    """None, NaN of any width, NaT and pandas.NA, which is neither equal to itself nor not."""
    if cell is None or isinstance(cell, (str, bytes, list, dict, np.ndarray)):
        return cell is None
    try:
        return bool(cell != cell)
    except TypeError:
        return True


def certain_fault(cell: Any, wanted: Wanted) -> str:
    """The same for a cell that was refused alone."""
    return fault(cell, wanted) or f"{shortened(cell)} cannot be {wanted}"


def column_faults(
    cells: Iterable[Any], wanted: Wanted, label: Name | None, *, at_parse: bool = False
) -> list[Violation]:
    """The rows of a column that was refused as a whole; where none looks wrong, the column and its first value."""
    listed = list(cells)
    found: list[Violation] = []
    for row, cell in enumerate(listed):
        if why := fault(cell, wanted):
            found.append(Violation(why, row, label, at_parse=at_parse))
            if len(found) == MAX_VIOLATIONS:
                break
    if found or not listed:
        return found or [Violation(f"the column cannot be {wanted}", column=label, at_parse=at_parse)]
    why = f"its values cannot be {wanted} together, the first is {shortened(listed[0])}"
    return [Violation(why, 0, label, at_parse=at_parse)]


def array_fault(value: Any, wanted: Wanted | None) -> tuple[int | None, str]:
    """The row of JSON lists of any depth that numpy makes no array of, and why."""
    rows = value if isinstance(value, list) else [value]
    for row, item in enumerate(rows):
        for cell in leaves(item):
            if wanted is not None and (why := fault(cell, wanted)):
                return (row if isinstance(value, list) else None), why
    shapes = [_lengths(item) for item in rows]
    for row, shape in enumerate(shapes):
        if shape != shapes[0] or shape is None:
            return (
                row,
                "its lists have other lengths than those before" if row else "its lists have several lengths",
            )
    return None, f"{shortened(value)} cannot be {'an array' if wanted is None else f'an array of {wanted}'}"


def _lengths(item: Any) -> tuple[int, ...] | None:
    """The shape of nested lists; None where they have none."""
    if not isinstance(item, list):
        return ()
    inner = {_lengths(part) for part in item}
    if len(inner) > 1 or None in inner:
        return None
    return (len(item), *(next(iter(inner), ()) or ()))


def value_fault(value: Any, field: Field | TensorField | None) -> tuple[int | None, str]:
    """The same for what is meant for one field; lists and objects are one value where the field takes such."""
    if isinstance(field, Field) and not isinstance(field.type, Scalar):
        return None, certain_fault(value, field.type)
    return array_fault(value, wanted_by(field))


def wanted_by(field: Field | TensorField | None) -> Wanted | None:
    """What a field of a signature asks of single values."""
    if isinstance(field, TensorField):
        return field.dtype
    return field.type if field is not None and isinstance(field.type, Scalar) else None
