"""What a search asks for: comparisons that must all hold, and what to sort by."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["attribute", "metric", "param", "tag", "dataset"]

Operator: TypeAlias = Literal[
    "=", "!=", "<", "<=", ">", ">=", "LIKE", "ILIKE", "IN", "NOT IN", "IS NULL", "IS NOT NULL"
]

Value: TypeAlias = "str | float | int | tuple[str, ...] | None"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One thing compared with a value. A filter is a tuple of comparisons, joined by AND.

    `key` of an attribute is its canonical name from the entity's table; any other is as it was written, without its
    quotes. `value` is a tuple of texts with IN and NOT IN, None with IS NULL and IS NOT NULL, a number where the table
    has a number, otherwise a text. Whole numbers beyond 64 bits are floats. `column` is where the comparison begins,
    from 1; two comparisons that differ in nothing else are equal.

    What lacks the key matches IS NULL alone, unless `or_missing` says that it matches here.
    """

    kind: Kind
    key: str
    operator: Operator
    value: Value
    column: int = field(compare=False)
    or_missing: bool = False


@dataclass(frozen=True, slots=True)
class OrderBy:
    """One thing to sort by. `column` is where its name begins in its clause, from 1.

    A metric of a logged model may be the one measured over a dataset; the names are empty where any will do.
    """

    kind: Kind
    key: str
    descending: bool
    column: int = field(default=1, compare=False)
    dataset_name: str = ""
    dataset_digest: str = ""
