"""Filters and orders become trees, and what cannot be read is refused with its column."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from penstock.errors import SearchInvalid
from penstock.mlflow_api.search.entities import (
    ENTITIES,
    EXPERIMENTS,
    LOGGED_MODELS,
    MODEL_VERSIONS,
    REGISTERED_MODELS,
    RUNS,
    SearchEntity,
)
from penstock.mlflow_api.search.parse import parse_filter, parse_order_by, parse_order_fields
from penstock.mlflow_api.search.tree import Comparison, OrderBy, Value


def only(entity: SearchEntity, text: str) -> Comparison:
    (comparison,) = parse_filter(entity, text)
    return comparison


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("metrics.loss < 0.5", Comparison("metric", "loss", "<", 0.5, 1)),
        ("metric.loss>=-1e-3", Comparison("metric", "loss", ">=", -0.001, 1)),
        ("metrics.a.b.c = 1", Comparison("metric", "a.b.c", "=", 1.0, 1)),
        ("metrics.`val loss` != .5", Comparison("metric", "val loss", "!=", 0.5, 1)),
        ('metrics."val/loss" > 1.', Comparison("metric", "val/loss", ">", 1.0, 1)),
        ("params.'depth' = '3'", Comparison("param", "depth", "=", "3", 1)),
        ('parameters.depth = "3"', Comparison("param", "depth", "=", "3", 1)),
        ("`tags`.`mlflow.user` like 'me%'", Comparison("tag", "mlflow.user", "LIKE", "me%", 1)),
        ("tag.x is  not\tnull", Comparison("tag", "x", "IS NOT NULL", None, 1)),
        ("params.x IS NULL", Comparison("param", "x", "IS NULL", None, 1)),
        ("run_id in ('a', \"b\",)", Comparison("attribute", "run_id", "IN", ("a", "b"), 1)),
        ("attr.run_id NOT IN('a')", Comparison("attribute", "run_id", "NOT IN", ("a",), 1)),
        ("created > 17", Comparison("attribute", "start_time", ">", 17, 1)),
        ("attributes.`Run name` = 'x'", Comparison("attribute", "run_name", "=", "x", 1)),
        ("\"run name\" = 'it''s'", Comparison("attribute", "run_name", "=", "it's", 1)),
        ("dataset.context IN ('train')", Comparison("dataset", "context", "IN", ("train",), 1)),
        ("end_time < 99999999999999999999", Comparison("attribute", "end_time", "<", 1e20, 1)),
        ("tags.dir = 'C:\\'", Comparison("tag", "dir", "=", "C:\\", 1)),
    ],
)
def test_a_comparison_of_runs_is_read(text: str, wanted: Comparison) -> None:
    assert only(RUNS, text) == wanted


@pytest.mark.parametrize(
    ("entity", "text", "key", "value"),
    [
        (EXPERIMENTS, "experiment_id IN ('1', '007')", "experiment_id", ("1", "7")),
        (EXPERIMENTS, "creation_time >= 5", "creation_time", 5),
        (REGISTERED_MODELS, "name ILIKE '%iris%'", "name", "%iris%"),
        (REGISTERED_MODELS, "tags.`mlflow.prompt.is_prompt` != 'true'", "mlflow.prompt.is_prompt", "true"),
        (MODEL_VERSIONS, "version_number = '3'", "version_number", 3),
        (MODEL_VERSIONS, "attribute.source_path LIKE 's3%'", "source_path", "s3%"),
        (LOGGED_MODELS, "status = 'READY'", "status", "LOGGED_MODEL_READY"),
        (LOGGED_MODELS, "creation_time > 1", "creation_timestamp_ms", 1),
        (LOGGED_MODELS, "params.lr = 0.01", "lr", "0.01"),
        (LOGGED_MODELS, "params.lr IN ('1', '2')", "lr", ("1", "2")),
    ],
)
def test_each_entity_has_rules_of_its_own(entity: SearchEntity, text: str, key: str, value: Value) -> None:
    found = only(entity, text)
    assert (found.key, found.value) == (key, value)


def test_comparisons_know_their_columns() -> None:
    found = parse_filter(RUNS, "metrics.a > 1 AND\n status = 'FINISHED' and tags.t IS NULL")
    assert [(comparison.key, comparison.column) for comparison in found] == [("a", 1), ("status", 20), ("t", 44)]


@pytest.mark.parametrize("text", ["", "  \n", "AND", "and AND"])
def test_nothing_is_a_filter_that_says_nothing(text: str) -> None:
    assert parse_filter(RUNS, text) == ()


REFUSED = [
    (RUNS, "metrics.a > 1 OR metrics.b > 1", 15, "OR cannot stand here"),
    (RUNS, "metrics.a > 1 NAND metrics.b > 1", 15, "AND or the end is expected, not 'NAND'"),
    (RUNS, "metrics.a > 1 AND (params.b = 'x')", 19, "parentheses stand around lists alone"),
    (RUNS, "m.acc > 1", 1, "'m' is no prefix"),
    (RUNS, "acc >= 0.94", 1, "runs have no attribute 'acc'"),
    (RUNS, "attribute.start > 1", 11, "runs have no attribute 'start'"),
    (RUNS, "dataset.profile = 'x'", 9, "runs have no dataset 'profile'"),
    (RUNS, "metrics.a LIKE 'x'", 11, "the metric 'a' cannot be compared by LIKE"),
    (RUNS, "metrics.a == 1", 11, "Write = instead."),
    (RUNS, "metrics.a > 'x'", 13, "the metric 'a' is compared with a number, not \"'x'\""),
    (RUNS, "metrics.a >", 12, "a number, not the end"),
    (RUNS, "metrics.val-loss > 1", 12, "backquotes"),
    (RUNS, "metrics.a > 1; metrics.b > 1", 14, "AND or the end is expected"),
    (RUNS, "params.a = x", 12, "single quotes"),
    (RUNS, "params.a = 'x", 12, "never closed"),
    (RUNS, "`params.a = 'x'", 1, "never closed"),
    (RUNS, "status IN ('a')", 8, "cannot be compared by IN"),
    (RUNS, "status IS NULL", 8, "cannot be compared by IS NULL"),
    (RUNS, "run_id IN ()", 12, "a list has texts, not ')'"),
    (RUNS, "run_id IN ('a' 'b')", 16, "a comma or the end of the list"),
    (RUNS, "run_id NOT LIKE 'a'", 8, "not 'NOT LIKE'"),
    (RUNS, "'status' = 'x'", 1, "a key is expected"),
    (RUNS, "metrics.`a`.b > 1", 12, "no dot can stand here"),
    (RUNS, "metrics. a > 1", 10, "right after the dot"),
    (RUNS, "tags.a = '\ud800'", 11, "no text can hold"),
    (RUNS, "tags.a = 'a\0'", 12, "no text can hold"),
    (EXPERIMENTS, "experiment_id = 'one'", 17, "a number between quotes"),
    (EXPERIMENTS, "creation_time > 1.5", 17, "a whole number"),
    (EXPERIMENTS, "metrics.a > 1", 1, "'metrics' is no prefix of keys of experiments"),
    (REGISTERED_MODELS, "tags.a IS NULL", 8, "cannot be compared by IS NULL"),
    (REGISTERED_MODELS, "creation_timestamp > 1", 1, "can be sorted by, but not compared"),
    (MODEL_VERSIONS, "version_number = 'x'", 18, "a whole number"),
    (LOGGED_MODELS, "status = 'BROKEN'", 10, "It is one of PENDING, READY, FAILED"),
    (LOGGED_MODELS, "metric.a > 1", 1, "'metric' is no prefix"),
    (LOGGED_MODELS, "datasets.name = 'x'", 1, "'datasets' is no prefix"),
]


@pytest.mark.parametrize(("entity", "text", "column", "words"), REFUSED)
def test_a_refusal_names_the_column_and_what_is_allowed(
    entity: SearchEntity, text: str, column: int, words: str
) -> None:
    with pytest.raises(SearchInvalid) as caught:
        parse_filter(entity, text)
    assert (caught.value.column, caught.value.field) == (column, "filter")
    assert words in str(caught.value)
    assert f"filter, column {column}: " in caught.value.message


@pytest.mark.parametrize(
    ("entity", "clauses", "wanted"),
    [
        (RUNS, ["metrics.`a b` desc", "start_time"], [("metric", "a b", True), ("attribute", "start_time", False)]),
        (RUNS, ["tags.t ASC", "params.p", "Created DESC"], [
            ("tag", "t", False), ("param", "p", False), ("attribute", "start_time", True),
        ]),
        (REGISTERED_MODELS, ["timestamp DESC"], [("attribute", "last_updated_timestamp", True)]),
        (MODEL_VERSIONS, ["version_number DESC", "name"], [
            ("attribute", "version_number", True), ("attribute", "name", False),
        ]),
    ],
)  # fmt: skip
def test_orders_are_read(entity: SearchEntity, clauses: list[str], wanted: list[tuple[str, str, bool]]) -> None:
    assert [(by.kind, by.key, by.descending) for by in parse_order_by(entity, clauses)] == wanted


@pytest.mark.parametrize(
    ("entity", "clauses", "column", "words"),
    [
        (
            RUNS,
            ["start_time", "metrics.a up"],
            11,
            "order_by[2], column 11: ASC, DESC or the end is expected, not 'up'",
        ),
        (RUNS, ["created", "start_time"], 1, "order_by[2], column 1: the attribute 'start_time' is sorted by twice"),
        (RUNS, ["dataset.name"], 1, "cannot be sorted by"),
        (RUNS, [""], 1, "a key is expected"),
        (RUNS, ["metrics.a DESC NULLS LAST"], 16, "not 'NULLS'"),
        (RUNS, ["metrics.a-b"], 10, "backquotes"),
        (EXPERIMENTS, ["tags.a"], 1, "cannot be sorted by the tag 'a'"),
        (MODEL_VERSIONS, ["run_id"], 1, "cannot be sorted by"),
    ],
)
def test_a_refused_order_names_its_clause_and_column(
    entity: SearchEntity, clauses: list[str], column: int, words: str
) -> None:
    with pytest.raises(SearchInvalid) as caught:
        parse_order_by(entity, clauses)
    assert (caught.value.column, caught.value.field) == (column, "order_by")
    assert words in str(caught.value)


def test_logged_models_are_sorted_by_objects() -> None:
    fields: list[dict[str, object]] = [
        {"field_name": "metrics.a b/c", "ascending": False, "dataset_name": "d", "dataset_digest": None},
        {"field_name": "creation_time"},
    ]
    assert parse_order_fields(LOGGED_MODELS, fields) == (
        OrderBy("metric", "a b/c", True, dataset_name="d"),
        OrderBy("attribute", "creation_timestamp_ms", False),
    )


@pytest.mark.parametrize(
    "fields",
    [
        [{}],
        [{"field_name": 5}],
        [{"field_name": "params.a"}],
        [{"field_name": "nothing"}],
        [{"field_name": "name", "ascending": "yes"}],
        [{"field_name": "metrics.a", "dataset_name": ["d"]}],
        [{"field_name": "name"}, {"field_name": "name", "ascending": False}],
    ],
)
def test_an_object_that_is_no_order_is_refused(fields: list[dict[str, object]]) -> None:
    with pytest.raises(SearchInvalid, match=r"^order_by\[\d\], column 1: ") as caught:
        parse_order_fields(LOGGED_MODELS, fields)
    assert caught.value.field == "order_by"


@pytest.mark.parametrize("entity", ENTITIES.values(), ids=ENTITIES)
def test_a_full_order_leaves_no_tie(entity: SearchEntity) -> None:
    assert entity.full_order(()) == entity.default_order
    unique = entity.tie_break[-1]
    assert entity.full_order([unique])[0] == unique
    assert [by.key for by in entity.full_order([unique])].count(unique.key) == 1


def test_models_hide_prompts_unless_the_filter_asks_for_them() -> None:
    hidden = Comparison("tag", "mlflow.prompt.is_prompt", "!=", "true", 1, or_missing=True)

    def visible(text: str) -> tuple[Comparison, ...]:
        return REGISTERED_MODELS.visible(parse_filter(REGISTERED_MODELS, text))

    name = only(REGISTERED_MODELS, "name = 'a'")
    tag = "tags.`mlflow.prompt.is_prompt`"
    assert visible("") == (hidden,)
    assert visible(f"{tag} != 'true' AND name = 'a'") == (name, hidden)
    assert visible(f"name = 'a' AND {tag} = 'false'") == (name, hidden)
    assert visible(f"{tag} = 'True'") == (only(REGISTERED_MODELS, f"{tag} = 'True'"),)
    assert visible(f"{tag} != 'false'") == (only(REGISTERED_MODELS, f"{tag} != 'false'"),)
    assert RUNS.visible(()) == ()


def test_more_comparisons_than_a_database_takes_are_refused() -> None:
    most = " AND ".join(["metrics.a > 1"] * 500)
    assert len(parse_filter(RUNS, most)) == 500
    with pytest.raises(SearchInvalid, match="at most 500 comparisons"):
        parse_filter(RUNS, " AND ".join(["metrics.a > 1"] * 10_000))
    with pytest.raises(SearchInvalid, match="at most 10,000 texts"):
        parse_filter(RUNS, f"run_id IN ({', '.join(['1'.join(chr(39) * 2)] * 10_001)})")
    with pytest.raises(SearchInvalid, match="at most 50 things"):
        parse_order_by(RUNS, [f"metrics.m{i}" for i in range(51)])
    with pytest.raises(SearchInvalid, match="a pattern has at most 10,000 characters"):
        parse_filter(RUNS, f"tags.a LIKE '{'a' * 10_001}'")


MUCH = 300_000


@pytest.mark.parametrize(
    "text",
    [
        "x" * MUCH,
        "x." * (MUCH // 2),
        "1" * MUCH,
        f"metrics.a > {'1' * MUCH}",
        f"metrics.a > {'1' * MUCH}x",
        "metrics.a > " + "1." * (MUCH // 2),
        "'" * MUCH,
        "tags.a = '" + "''" * (MUCH // 2),
        "tags.a = '" + "\\'" * (MUCH // 2),
        "tags.a = '" + "x" * MUCH + "'",
        " " * MUCH + "x",
        "AND " * (MUCH // 4),
        "(" * MUCH,
        "run_id IN (" * (MUCH // 10),
        "`" * (MUCH - 1),
        "<" * MUCH,
        "NOT " * (MUCH // 4),
    ],
    ids=lambda text: f"{text[:16]!r}",
)
def test_much_of_anything_is_read_or_refused_at_once(text: str) -> None:
    begin = time.process_time()
    with suppress(SearchInvalid):
        parse_filter(RUNS, text)
    assert time.process_time() - begin < 1.0


def test_a_refusal_repeats_little_of_what_it_refuses() -> None:
    for text in ("x" * MUCH, "params.a = " + "\x1b" * MUCH, "'" * (MUCH + 1)):
        with pytest.raises(SearchInvalid) as caught:
            parse_filter(RUNS, text)
        assert len(str(caught.value)) < 600
        assert str(caught.value).isprintable()
