"""Searches in MLflow's grammar as SQL: conditions, orders, and pages that go on where the last one ended.

Everything compared with a key of the user's is a semi-join (EXISTS), which looks at one row of a primary key and never
makes a run come twice. Pages are found by the sort values of the last row (a keyset), so a page far behind costs what
the first one does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from penstock.errors import SearchInvalid
from penstock.mlflow_api.search.entities import SearchEntity, SortType
from penstock.mlflow_api.search.like import ilike, like
from penstock.mlflow_api.search.page_token import SortValue, decode, encode, fingerprint
from penstock.mlflow_api.search.paging import Page, SearchQuery, check_limit
from penstock.mlflow_api.search.parse import parse_filter
from penstock.mlflow_api.search.tree import Comparison, Kind, OrderBy
from penstock.sql.dialect import is_cancelled, run
from penstock.sql.sqlite import Functions

# Comparisons of a filter that PostgreSQL may make joins of, as it does unasked. The time in which it plans joins grows
# with the cube of their number; and beside many conditions that are asked for one row after the other it takes all ways
# to join for equally dear. So a longer filter has no joins at all: an OFFSET leaves each subquery as it is.
MAX_JOINS = 8
_UNJOINED = " OFFSET 0"

_TOO_SLOW = "The search takes longer than the database may work at it, and was given up."
_SIMPLER = "Search with fewer comparisons and fewer things to sort by, or in fewer experiments."


def _like(text: str | None, pattern: str) -> bool | None:
    return None if text is None else like(text, pattern)


def _ilike(text: str | None, pattern: str) -> bool | None:
    return None if text is None else ilike(text, pattern)


# What SQLite's connections must offer. Its own LIKE takes no account of case, and its lower() knows ASCII alone.
SQLITE_FUNCTIONS: Functions = {"penstock_like": (2, _like), "penstock_ilike": (2, _ilike)}


@dataclass(frozen=True, slots=True)
class Sql:
    """A piece of a statement with its parameters, in the order of their places."""

    text: str
    parameters: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class SearchTable:
    """How an entity's fields are found in tables. `columns` are by canonical attribute; those in `nullable` may be
    missing. `keys` are what the EXISTS of a kind begins with: a table `k`, joined to the entity's row; `sorted_by`
    makes what to join for an order by a key: the table with its name, and the condition. `metric`, where there is
    one, makes the value of a metric that has all its points in one table, without NaN."""

    columns: Mapping[str, str]
    nullable: frozenset[str] = frozenset()
    keys: Mapping[Kind, Sql] = field(default_factory=dict)
    datasets: Mapping[str, str] = field(default_factory=dict)
    sorted_by: Callable[[str, OrderBy], tuple[Sql, Sql]] = lambda name, by: (Sql(""), Sql(""))
    metric: Callable[[str], Sql] | None = None


@dataclass(frozen=True, slots=True)
class _SortKey:
    """One thing to sort by: an expression that is NULL where the value is missing, and one that says whether it is NaN,
    if it may be. `join` brings in what the expressions look at."""

    value: str
    descending: bool
    nan: str = ""
    nullable: bool = True
    join: Sql = Sql("")

    @property
    def rank(self) -> str:
        """Numbers first, then NaN, then what is missing, in both directions. Empty where there are only numbers."""
        if not self.nullable:
            return ""
        nan = f" WHEN {self.nan} = 1 THEN 1" if self.nan else ""
        return f"CASE WHEN {self.value} IS NULL THEN 2{nan} ELSE 0 END"

    @property
    def order(self) -> str:
        direction = "DESC" if self.descending else "ASC"
        return f"{self.rank}, {self.value} {direction}" if self.rank else f"{self.value} {direction}"


class Compiler:
    """Translates for one dialect. Texts are compared byte by byte on both."""

    def __init__(self, table: SearchTable, dialect: str) -> None:
        self._table = table
        self._postgres = dialect == "postgresql"

    def conditions(self, comparisons: Sequence[Comparison]) -> list[Sql]:
        """Each comparison as a condition on the entity's row."""
        return [self._condition(each, _UNJOINED if self.is_unjoined(comparisons) else "") for each in comparisons]

    def is_unjoined(self, comparisons: Sequence[Comparison]) -> bool:
        return self._postgres and len(comparisons) > MAX_JOINS

    def _condition(self, comparison: Comparison, end: str) -> Sql:
        if comparison.kind == "attribute":
            return self._compared(self._table.columns[comparison.key], comparison)
        if comparison.kind == "dataset":
            inner = self._compared(self._table.datasets[comparison.key], comparison)
            return Sql(f"EXISTS ({self._table.keys['dataset'].text} AND {inner.text}{end})", inner.parameters)
        if comparison.kind == "metric" and self._table.metric is not None:
            value = self._table.metric(comparison.key)
            return Sql(f"({value.text}) {comparison.operator} ?", (*value.parameters, comparison.value))
        begun = self._table.keys[comparison.kind]
        found = Sql(f"{begun.text} AND k.key = ?", (*begun.parameters, comparison.key))
        if comparison.operator in ("IS NULL", "IS NOT NULL"):
            negated = "NOT " if comparison.operator == "IS NULL" else ""
            return Sql(f"{negated}EXISTS ({found.text}{end})", found.parameters)
        inner = self._metric(comparison) if comparison.kind == "metric" else self._compared("k.value", comparison)
        condition = Sql(f"EXISTS ({found.text} AND {inner.text}{end})", (*found.parameters, *inner.parameters))
        if not comparison.or_missing:
            return condition
        either = f"(NOT EXISTS ({found.text}{end}) OR {condition.text})"
        return Sql(either, (*found.parameters, *condition.parameters))

    def _metric(self, comparison: Comparison) -> Sql:
        """NaN is unequal to every number, and nothing else."""
        if comparison.operator == "!=":
            return Sql("(k.nan = 1 OR k.value != ?)", (comparison.value,))
        return Sql(f"(k.nan = 0 AND k.value {comparison.operator} ?)", (comparison.value,))

    def _compared(self, column: str, comparison: Comparison) -> Sql:
        operator, value = comparison.operator, comparison.value
        if operator in ("IN", "NOT IN"):
            values = tuple(value) if isinstance(value, tuple) else (value,)
            if not values:
                return Sql("1 = 0" if operator == "IN" else "1 = 1")
            return Sql(f"{column} {operator} ({', '.join('?' for _ in values)})", values)
        if operator == "LIKE":
            return Sql(f"{column} LIKE ? ESCAPE ''" if self._postgres else f"penstock_like({column}, ?)", (value,))
        if operator == "ILIKE":
            return Sql(f"{column} ILIKE ? ESCAPE ''" if self._postgres else f"penstock_ilike({column}, ?)", (value,))
        return Sql(f"{column} {operator} ?", (value,))


class Sorting:
    """An order as SQL: joins, expressions to select, ORDER BY, and the condition that goes on after a page. `unjoined`
    looks the keys up for each row, beside conditions that are asked so."""

    def __init__(
        self,
        table: SearchTable,
        order: Sequence[OrderBy],
        types: Sequence[SortType],
        dialect: str,
        *,
        unjoined: bool = False,
    ) -> None:
        collate = ' COLLATE "C"' if dialect == "postgresql" else ""
        self._keys = [
            _sort_key(table, by, type_, f"o{place}", collate, unjoined=unjoined)
            for place, (by, type_) in enumerate(zip(order, types, strict=True))
        ]

    @property
    def joins(self) -> Sql:
        text = " ".join(key.join.text for key in self._keys if key.join.text)
        return Sql(text, tuple(p for key in self._keys for p in key.join.parameters))

    @property
    def columns(self) -> str:
        """For each key its value, and whether it is NaN."""
        return ", ".join(f"{key.value}, {key.nan or '0'}" for key in self._keys)

    @property
    def order_by(self) -> str:
        return ", ".join(key.order for key in self._keys)

    def values_of(self, cells: Sequence[Any]) -> list[SortValue]:
        """What a token keeps of a row's cells of `columns`."""
        pairs = zip(cells[::2], cells[1::2], strict=True)
        return [math.nan if nan else value for value, nan in pairs]

    def after(self, values: Sequence[SortValue]) -> Sql:
        """The rows that come after one with these values."""
        later: list[str] = []
        parameters: list[Any] = []
        equal: list[str] = []
        so_far: list[Any] = []
        for key, value in zip(self._keys, values, strict=True):
            for expression, operator, wanted in _steps(key, value):
                later.append(" AND ".join([*equal, f"{expression} {operator} ?"]))
                parameters += [*so_far, wanted]
                equal.append(f"{expression} = ?")
                so_far.append(wanted)
        bound = Sql(" OR ".join(f"({each})" for each in later), tuple(parameters))
        first, value = self._keys[0], values[0]
        if first.nullable:
            return Sql(f"({bound.text})", bound.parameters)
        # Implied, but only this lets an index on the first key begin in its middle.
        start = f"{first.value} {'<=' if first.descending else '>='} ?"
        return Sql(f"({start} AND ({bound.text}))", (value, *bound.parameters))


def _steps(key: _SortKey, value: SortValue) -> list[tuple[str, str, Any]]:
    """The comparisons by which a later row differs first: of the rank, if there is one, then of the value."""
    missing, nan = value is None, isinstance(value, float) and math.isnan(value)
    steps: list[tuple[str, str, Any]] = []
    if key.rank:
        steps.append((key.rank, ">", 2 if missing else 1 if nan else 0))
    if not missing and not nan:
        steps.append((key.value, "<" if key.descending else ">", value))
    return steps


def _sort_key(table: SearchTable, by: OrderBy, type_: SortType, name: str, collate: str, *, unjoined: bool) -> _SortKey:
    as_text = collate if type_ == "text" else ""
    if by.kind == "attribute":
        return _SortKey(table.columns[by.key] + as_text, by.descending, nullable=by.key in table.nullable)
    source, on = table.sorted_by(name, by)
    text = f"LEFT JOIN {source.text} ON {on.text}"
    if unjoined:
        text = f"LEFT JOIN LATERAL (SELECT * FROM {source.text} WHERE {on.text}{_UNJOINED}) {name} ON true"
    join = Sql(text, (*source.parameters, *on.parameters))
    return _SortKey(f"{name}.value{as_text}", by.descending, f"{name}.nan" if by.kind == "metric" else "", join=join)


def find_rows(
    c: Connection,
    entity: SearchEntity,
    table: SearchTable,
    columns: str,
    source: str,
    *,
    query: SearchQuery,
    order: Sequence[OrderBy],
    mark: Sequence[object],
    conditions: Sequence[Sql],
) -> Page[Any]:
    """The rows of a search: `columns` of `source`, under `conditions` and those of the query, in `order`, which is what
    the query asks for. `mark` holds whatever else makes the query this one, so that a token of another is known.

    Raises SearchInvalid, also where the database gives the search up, and TrackingInvalid for a limit that is out of
    bounds.
    """
    check_limit(entity, query)
    compiler = Compiler(table, c.dialect.name)
    comparisons = entity.visible(parse_filter(entity, query.filter))
    wanted = [*conditions, *compiler.conditions(comparisons)]
    order = entity.full_order(order)
    types = entity.sort_types(order)
    sorting = Sorting(table, order, types, c.dialect.name, unjoined=compiler.is_unjoined(comparisons))
    query_mark = fingerprint(query.filter, [repr(by) for by in order], *mark)
    if query.page_token:
        wanted.append(sorting.after(decode(query.page_token, entity.name, query_mark, types)))
    where = " AND ".join(each.text for each in wanted) or "1 = 1"
    statement = (
        f"SELECT {sorting.columns}, {columns} FROM {source} {sorting.joins.text} "
        f"WHERE {where} ORDER BY {sorting.order_by} LIMIT ?"
    )
    parameters = [p for piece in (sorting.joins, *wanted) for p in piece.parameters]
    try:
        rows = run(c, statement, *parameters, query.limit + 1)
    except Exception as error:
        if not is_cancelled(error):
            raise
        raise SearchInvalid(_TOO_SLOW, hint=_SIMPLER) from error
    width = 2 * len(order)
    found = tuple(row[width:] for row in rows[: query.limit])
    if len(rows) <= query.limit:
        return Page(found)
    return Page(found, encode(entity.name, query_mark, sorting.values_of(rows[query.limit - 1][:width])))
