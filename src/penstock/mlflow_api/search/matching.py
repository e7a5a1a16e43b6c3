"""What filters and orders mean, over plain values: for stores that have no database, and as the rule for those that do.

MLflow's rules: what lacks a key matches no comparison with it, not even `!=`; NaN matches `!=` alone; LIKE minds case
and ILIKE does not. In both directions of an order NaN comes after all numbers, and what lacks the key comes last.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from functools import total_ordering
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

from penstock.mlflow_api.search.like import ilike, like
from penstock.mlflow_api.search.page_token import SortValue
from penstock.mlflow_api.search.tree import Comparison, Operator, OrderBy


class SearchedDataset(NamedTuple):
    """A dataset that a run took; `context` is None where nobody said what it was for."""

    name: str
    digest: str
    context: str | None = None


class Searchable(Protocol):
    """What a search can look at. None stands for what is not there. Attributes are asked for by their canonical names;
    an id that is a number may be given as one, and is sorted as one then."""

    def attribute(self, name: str) -> str | int | float | None: ...

    def metric(self, key: str, dataset_name: str = "", dataset_digest: str = "") -> float | None:
        """The latest value; over this dataset, if one is named."""

    def param(self, key: str) -> str | None: ...

    def tag(self, key: str) -> str | None: ...

    def datasets(self) -> Iterable[SearchedDataset]: ...


S = TypeVar("S", bound=Searchable)

# What two things are compared by in an order: equal where they are equal in all that is sorted by.
SortKey: TypeAlias = "tuple[tuple[int, SortValue | _Reversed], ...]"


def matches(comparisons: Iterable[Comparison], subject: Searchable) -> bool:
    """Whether all of them hold. Give it `entity.visible(…)`, or what is hidden is found."""
    return all(_holds(comparison, subject) for comparison in comparisons)


def _holds(comparison: Comparison, subject: Searchable) -> bool:
    if comparison.kind == "dataset":
        return any(_compares(getattr(dataset, comparison.key), comparison) for dataset in subject.datasets())
    return _compares(_value(comparison, subject), comparison)


def _value(named: Comparison | OrderBy, subject: Searchable) -> SortValue:
    match named.kind:
        case "attribute":
            return subject.attribute(named.key)
        case "metric":
            if isinstance(named, OrderBy):
                return subject.metric(named.key, named.dataset_name, named.dataset_digest)
            return subject.metric(named.key)
        case "param":
            return subject.param(named.key)
        case "tag":
            return subject.tag(named.key)
        case "dataset":
            raise ValueError(f"{named} is no single value")


def _compares(found: SortValue, comparison: Comparison) -> bool:
    wanted = comparison.value
    if found is None:
        return comparison.or_missing or comparison.operator == "IS NULL"
    if isinstance(wanted, str | tuple):
        return _compares_text(str(found), comparison, wanted)
    if wanted is None:
        return comparison.operator == "IS NOT NULL"
    return not isinstance(found, str) and _COMPARES[comparison.operator](found, wanted)


def _compares_text(text: str, comparison: Comparison, wanted: str | tuple[str, ...]) -> bool:
    if isinstance(wanted, tuple):
        return (text in wanted) == (comparison.operator == "IN")
    match comparison.operator:
        case "LIKE":
            return like(text, wanted)
        case "ILIKE":
            return ilike(text, wanted)
        case equal_or_not:
            return (text == wanted) == (equal_or_not == "=")


# NaN is not equal to anything, and neither less nor greater, in Python as in MLflow.
_COMPARES: dict[Operator, Callable[[float, float], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def sort_values(order: Sequence[OrderBy], subject: Searchable) -> tuple[SortValue, ...]:
    """What the subject is sorted by, one value for each part of the order: what a page token holds of a page's last."""
    return tuple(_value(by, subject) for by in order)


def sort_key(order: Sequence[OrderBy], values: Sequence[SortValue]) -> SortKey:
    """What sorts values of `sort_values`. What comes after a page is what has a greater key than the page's last."""
    return tuple(_part(value, descending=by.descending) for by, value in zip(order, values, strict=True))


def sorted_by(order: Sequence[OrderBy], subjects: Iterable[S]) -> list[S]:
    """Give it `entity.full_order(…)`, or ties stay as they are."""
    return sorted(subjects, key=lambda subject: sort_key(order, sort_values(order, subject)))


def _part(value: SortValue, *, descending: bool) -> tuple[int, SortValue | _Reversed]:
    if value is None:
        return 2, 0
    if isinstance(value, float) and math.isnan(value):
        return 1, 0
    return 0, _Reversed(value) if descending else value


@total_ordering
class _Reversed:
    """A value whose order is the other way round."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reversed) and bool(self.value == other.value)

    def __lt__(self, other: _Reversed) -> bool:
        return bool(other.value < self.value)

    def __hash__(self) -> int:
        return hash(self.value)
