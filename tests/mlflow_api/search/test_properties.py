"""Reading ends in a tree or in SearchInvalid, whatever the text, and what is printed is read as the same tree."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import SearchInvalid
from penstock.mlflow_api.search.entities import ENTITIES, LOGGED_MODELS, SearchEntity, SearchField
from penstock.mlflow_api.search.parse import parse_filter, parse_order_by, parse_order_fields
from penstock.mlflow_api.search.printing import text_of_filter, text_of_order
from penstock.mlflow_api.search.tree import Comparison, Kind, OrderBy, Value

_WORDS = [
    *(
        "metrics",
        "params.",
        "tags",
        "attributes.",
        "dataset",
        "name",
        "status",
        "run_id",
        "loss",
        "`",
        "'",
        '"',
        ".",
        " ",
    ),
    *("AND", "OR", "NOT", "IN", "IS", "NULL", "LIKE", "ilike", "=", "!=", "<", ">=", "(", ")", ",", ";", "1", "-.5"),
    *("ASC", "DESC", "1e9", "\\", "%", "ä", "\0", "\ud800", "--", "🎈", "\n"),
]

_GARBAGE = st.lists(st.sampled_from(_WORDS), max_size=14).map("".join) | st.text(max_size=30)
_TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
_BY_NAME = st.sampled_from(list(ENTITIES.values()))


def refused(read: Callable[[], object]) -> SearchInvalid | None:
    """How reading ended; any other error is one of the test."""
    try:
        read()
    except SearchInvalid as error:
        return error
    return None


@given(_BY_NAME, _GARBAGE)
def test_any_text_is_read_or_refused(entity: SearchEntity, text: str) -> None:
    for error in (refused(lambda: parse_filter(entity, text)), refused(lambda: parse_order_by(entity, [text]))):
        assert error is None or (error.column is not None and 1 <= error.column <= len(text) + 1)


_JSON = st.none() | st.booleans() | st.integers() | st.sampled_from(_WORDS) | _GARBAGE | st.lists(st.text(max_size=3))
_FIELDS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("field_name", "ascending", "dataset_name", "dataset_digest"), _JSON)
)


@given(st.lists(_FIELDS, max_size=3))
@settings(max_examples=50)
def test_any_objects_are_read_as_an_order_or_refused(fields: list[dict[str, object]]) -> None:
    error = refused(lambda: parse_order_fields(LOGGED_MODELS, fields))
    assert error is None or error.field == "order_by"


@st.composite
def trees(draw: st.DrawFn, entity: SearchEntity) -> tuple[Comparison, ...]:
    return tuple(draw(comparison(entity)) for _ in range(draw(st.integers(0, 4))))


@st.composite
def comparison(draw: st.DrawFn, entity: SearchEntity) -> Comparison:
    fields = {(kind, key): field for kind, key, field in known(entity) if field.operators}
    kind, key = draw(st.sampled_from(sorted(fields)))
    field = fields[kind, key]
    operator = draw(st.sampled_from(field.operators))
    value: Value
    if operator in ("IS NULL", "IS NOT NULL"):
        value = None
    elif operator in ("IN", "NOT IN"):
        value = tuple(draw(st.lists(words(field), min_size=1, max_size=3)))
    elif operator in ("LIKE", "ILIKE"):
        value = draw(_TEXTS)
    else:
        value = draw(numbers(kind, field)) if field.type in ("number", "integer") else draw(words(field))
    return Comparison(kind, key or draw(_TEXTS), operator, value, 1)


def known(entity: SearchEntity) -> list[tuple[Kind, str, SearchField]]:
    """A key that is the user's is empty."""
    return [
        *(("attribute", key, field) for key, field in entity.attributes.items()),
        *(("dataset", key, field) for key, field in entity.datasets.items()),
        *((kind, "", field) for kind, field in entity.keys.items()),
    ]


def words(field: SearchField) -> st.SearchStrategy[str]:
    if field.words:
        return st.sampled_from(sorted(field.words.values()))
    return st.integers(0, 2**63 - 1).map(str) if field.type == "id" else _TEXTS


def numbers(kind: Kind, field: SearchField) -> st.SearchStrategy[float]:
    floats = st.floats(allow_nan=False)
    if kind == "metric":
        return floats
    whole = st.integers(-(2**63), 2**63 - 1)
    return whole | floats if field.type == "number" else whole


@given(_BY_NAME, st.data())
def test_a_printed_filter_is_read_as_the_same_tree(entity: SearchEntity, data: st.DataObject) -> None:
    tree = data.draw(trees(entity))
    again = parse_filter(entity, text_of_filter(entity, tree))
    assert again == tree
    assert [type(comparison.value) for comparison in again] == [type(comparison.value) for comparison in tree]


@given(_BY_NAME, st.data())
@settings(max_examples=50)
def test_a_printed_order_is_read_as_the_same(entity: SearchEntity, data: st.DataObject) -> None:
    keys = [(kind, key) for kind, key, field in known(entity) if field.orderable]
    kind, key = data.draw(st.sampled_from(keys))
    order = OrderBy(kind, key or data.draw(_TEXTS), data.draw(st.booleans()))
    assert parse_order_by(entity, [text_of_order(entity, order)]) == (order,)
