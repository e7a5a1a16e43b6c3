"""Filters and orders of MLflow's grammar, made into trees.

    filter      comparisons, joined by AND; an AND too many or too few changes nothing, as in MLflow
    comparison  key operator value | key [NOT] IN ('text', …) | key IS [NOT] NULL
    key         [prefix.]name, the name between backquotes or double quotes if it has unusual characters
    value       a number for what has numbers, otherwise 'text' or "text"
    order       key [ASC | DESC]

Words of the grammar are read in any case, names as they are. The tables in `entities` say which prefixes, attributes
and operators there are. Reading takes time in proportion to the text, and no recursion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

from penstock.errors import SearchInvalid
from penstock.mlflow_api.search.entities import SearchEntity
from penstock.mlflow_api.search.keys import QUOTE_IT, Key, read_key
from penstock.mlflow_api.search.tokens import TokenReader, check_keepable, refusal, shown, shown_token
from penstock.mlflow_api.search.tree import Comparison, Operator, OrderBy
from penstock.mlflow_api.search.values import read_value

# Comparisons in a filter: SQLite takes expressions of 1,000 levels, and each is one at least.
MAX_COMPARISONS = 500

# Things to sort by: each may be a join, and SQLite takes 64.
MAX_ORDERS = 50

# Texts in all lists of a filter together.
MAX_LISTED = 10_000

_OPERATORS: dict[str, Operator] = {operator: operator for operator in get_args(Operator)}
_TWICE = "A quote inside a text is written twice."
_MEANT = {"==": "=", "<>": "!=", "=>": ">=", "=<": "<="}


def parse_filter(entity: SearchEntity, text: str) -> tuple[Comparison, ...]:
    """The comparisons, as they were written; `entity.visible` adds what goes without saying. An empty text has none.
    Raises SearchInvalid."""
    reader = TokenReader(text, "filter")
    comparisons: list[Comparison] = []
    listed = 0
    while True:
        joined = not comparisons
        while reader.take_word("AND"):
            joined = True
        if reader.next.kind == "end":
            return tuple(comparisons)
        column = reader.next.column
        comparison = _comparison(entity, reader, joined=joined)
        listed += len(comparison.value) if isinstance(comparison.value, tuple) else 0
        if len(comparisons) == MAX_COMPARISONS:
            raise reader.refusal(f"a filter has at most {MAX_COMPARISONS:,} comparisons", column=column)
        if listed > MAX_LISTED:
            raise reader.refusal(f"the lists of a filter have at most {MAX_LISTED:,} texts together", column=column)
        comparisons.append(comparison)


def _comparison(entity: SearchEntity, reader: TokenReader, *, joined: bool) -> Comparison:
    _refuse_joints(reader)
    before, begin = reader.last, reader.next
    try:
        key = read_key(entity, reader)
    except SearchInvalid as error:
        if joined:
            raise
        hint = _TWICE if before.kind == "text" and before.end == begin.start else error.hint
        raise reader.refusal(
            f"AND or the end is expected, not {shown_token(begin)}", hint, column=begin.column
        ) from error
    operator = _operator(reader, key)
    return Comparison(key.kind, key.name, operator, read_value(entity, reader, key, operator), key.column)


def _refuse_joints(reader: TokenReader) -> None:
    """What other grammars have between comparisons."""
    if reader.next.kind == "name" and reader.next.text.upper() in ("OR", "NOT"):
        raise reader.refusal(f"{reader.next.text.upper()} cannot stand here", "Comparisons are joined by AND alone.")
    if reader.next.text in ("(", ")"):
        raise reader.refusal("parentheses stand around lists alone", "Comparisons are joined by AND alone.")


def _operator(reader: TokenReader, key: Key) -> Operator:
    if not key.field.operators:
        raise reader.refusal(f"{key.shown} can be sorted by, but not compared", column=key.column)
    begin = reader.next
    word = begin.text.upper()
    if begin.start == key.end and begin.kind not in ("operator", "name", "end"):
        raise reader.refusal(f"an operator is expected, not {shown_token(begin)}", QUOTE_IT)
    if begin.kind in ("operator", "name"):
        reader.take()
        if word == "IS":
            word = "IS NOT" if reader.take_word("NOT") else "IS"
            word += " NULL" if reader.take_word("NULL") else ""
        elif word == "NOT":
            word += f" {reader.take().text.upper()}" if reader.next.kind == "name" else ""
    if word in key.field.operators:
        return _OPERATORS[word]
    problem = (
        f"{key.shown} cannot be compared by {word}"
        if word in _OPERATORS
        else f"an operator is expected after {key.shown}, not {shown(word) if word else 'the end'}"
    )
    hint = f"Write {_MEANT[word]} instead." if word in _MEANT else f"There are {', '.join(key.field.operators)}."
    raise reader.refusal(problem, hint, column=begin.column)


def parse_order_by(entity: SearchEntity, clauses: Sequence[str]) -> tuple[OrderBy, ...]:
    """What the clauses say; `entity.full_order` adds the rest. Raises SearchInvalid, also where two of them sort by the
    same thing."""
    return _distinct([_clause(entity, TokenReader(text, f"order_by[{i}]")) for i, text in enumerate(clauses, 1)])


def parse_order_fields(entity: SearchEntity, fields: Sequence[Mapping[str, object]]) -> tuple[OrderBy, ...]:
    """The same of the objects that a search for logged models has: `field_name`, `ascending` (true if it is left out),
    `dataset_name` and `dataset_digest` of a metric."""
    return _distinct([_field(entity, given, f"order_by[{i}]") for i, given in enumerate(fields, 1)])


def _clause(entity: SearchEntity, reader: TokenReader) -> OrderBy:
    key = read_key(entity, reader)
    if not key.field.orderable:
        raise reader.refusal(f"{entity.name} cannot be sorted by {key.shown}", column=key.column)
    descending = reader.take_word("DESC")
    if not descending:
        reader.take_word("ASC")
    if reader.next.kind != "end":
        hint = QUOTE_IT if reader.next.start == key.end else ""
        raise reader.refusal(f"ASC, DESC or the end is expected, not {shown_token(reader.next)}", hint)
    return OrderBy(key.kind, key.name, descending, key.column)


def _field(entity: SearchEntity, given: Mapping[str, object], place: str) -> OrderBy:
    """`metrics.` is followed by the name as it is, whatever its characters."""
    name = _text_in(given, "field_name", place)
    ascending = given.get("ascending", True)
    if not isinstance(ascending, bool):
        raise refusal(place, 1, f"ascending is true or false, not {shown(str(ascending))}")
    prefix, dot, rest = name.partition(".")
    kind = entity.prefixes.get(prefix) if dot else "attribute"
    key = entity.canonical(name) if not dot else rest
    field = entity.field_of(kind, key) if kind else None
    if kind is None or field is None or not field.orderable:
        known = ", ".join(entity.attributes)
        raise refusal(place, 1, f"{entity.name} cannot be sorted by {shown(name)}", f"There are {known}, metrics.NAME.")
    dataset, digest = _text_in(given, "dataset_name", place), _text_in(given, "dataset_digest", place)
    return OrderBy(kind, key, not ascending, 1, dataset, digest)


def _text_in(given: Mapping[str, object], field: str, place: str) -> str:
    text = given.get(field)
    if text is None:
        return ""
    if not isinstance(text, str):
        raise refusal(place, 1, f"{field} is a text, not {shown(str(text))}")
    check_keepable(text, place)
    return text


def _distinct(orders: Sequence[OrderBy]) -> tuple[OrderBy, ...]:
    if len(orders) > MAX_ORDERS:
        raise refusal(f"order_by[{MAX_ORDERS + 1}]", 1, f"a search sorts by at most {MAX_ORDERS} things")
    seen = set()
    for i, by in enumerate(orders, 1):
        if (what := (by.kind, by.key, by.dataset_name, by.dataset_digest)) in seen:
            raise refusal(f"order_by[{i}]", by.column, f"the {by.kind} {shown(by.key)} is sorted by twice")
        seen.add(what)
    return tuple(orders)
