"""Trees as texts: what is printed is read as the same tree again."""

from __future__ import annotations

import math
from collections.abc import Sequence

from penstock.mlflow_api.search.entities import SearchEntity
from penstock.mlflow_api.search.tree import Comparison, OrderBy


def text_of_filter(entity: SearchEntity, comparisons: Sequence[Comparison]) -> str:
    return " AND ".join(_comparison(entity, comparison) for comparison in comparisons)


def text_of_order(entity: SearchEntity, order: OrderBy) -> str:
    """A clause of `order_by`, in which the dataset of a logged model's metric has no place."""
    return f"{_key(entity, order)} {'DESC' if order.descending else 'ASC'}"


def quoted(text: str, quote: str = "'") -> str:
    """A text between quotes: those that it holds are written twice."""
    return f"{quote}{text.replace(quote, quote * 2)}{quote}"


def _comparison(entity: SearchEntity, comparison: Comparison) -> str:
    left = f"{_key(entity, comparison)} {comparison.operator}"
    value = comparison.value
    if value is None:
        return left
    if isinstance(value, str):
        return f"{left} {quoted(value)}"
    if isinstance(value, tuple):
        return f"{left} ({', '.join(map(quoted, value))})"
    return f"{left} {_number(value)}"


def _key(entity: SearchEntity, named: Comparison | OrderBy) -> str:
    if named.kind == "attribute":
        return named.key
    prefix = next(prefix for prefix, kind in entity.prefixes.items() if kind == named.kind)
    return f"{prefix}.{quoted(named.key, '`')}"


def _number(value: float) -> str:
    if math.isinf(value):
        return "1e999" if value > 0 else "-1e999"
    return repr(value)
