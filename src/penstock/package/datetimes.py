"""Columns of an example that hold dates and times: read as such, and the units of numbers in them.

A CSV or JSON file has no dates, only texts and numbers that stand for some; which columns do, only the packager knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from penstock.errors import PackagingFailed, remedy
from penstock.payload import Payload, Table, Violation, shortened, some
from penstock.signature.casts import cast_moments
from penstock.signature.moments import EPOCH_UNITS


def checked_datetimes(given: Any) -> dict[str, str]:
    """The columns that were named, each with the unit of its numbers or nothing. Raises PackagingFailed."""
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise PackagingFailed(
            f"datetimes must be names of columns, or a mapping of names to units, not {shortened(given)}.",
            hint='For example: ["signed_up"] or {"signed_up": "ms"}',
        )
    found = dict(given) if isinstance(given, Mapping) else dict.fromkeys(given, "")
    for name, unit in found.items():
        if unit and unit not in EPOCH_UNITS:
            raise PackagingFailed(
                f"The unit of numbers in column {shortened(name)} is {shortened(unit)}; it must be one of "
                f"{', '.join(EPOCH_UNITS)}."
            )
    return {str(name): unit or "" for name, unit in found.items()}


def with_datetimes(example: Payload | None, datetimes: Any) -> tuple[Payload | None, dict[str, str]]:
    """The example with these columns as datetimes, and the units that were stated. Raises PackagingFailed."""
    named = checked_datetimes(datetimes)
    units = {name: unit for name, unit in named.items() if unit}
    return _read(example, named) if named and example is not None else example, units


def _read(example: Payload, datetimes: Mapping[str, str]) -> Payload:
    """Raises PackagingFailed."""
    names = example.names if isinstance(example, Table) else None
    if not isinstance(example, Table) or names is None or (missing := [n for n in datetimes if n not in names]):
        there = f"it has {some(names)}" if names else "it has no named columns"
        unknown = some(missing) if names else some(list(datetimes))
        raise PackagingFailed(f"The example has no column {unknown} to read as datetimes; {there}.")
    columns = list(example.iter_columns())
    for name, unit in datetimes.items():
        position = names.index(name)
        found = cast_moments(columns[position], unit, 1)
        for row, reason in found.misfits:
            raise PackagingFailed(
                f"The example cannot be used: {Violation(reason, row, name)}.",
                hint=f"If numbers in the column have a unit (s, ms, us, ns), state it: datetimes={{{name!r}: 'ms'}}",
                remedy=remedy("datetime_unit", column=name),
            )
        columns[position] = found.column
    return Table.of(names, columns, example.index)
