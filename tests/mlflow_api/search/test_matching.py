"""What filters and orders mean."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.mlflow_api.search.entities import EXPERIMENTS, REGISTERED_MODELS, RUNS
from penstock.mlflow_api.search.like import ilike, like
from penstock.mlflow_api.search.matching import SearchedDataset, matches, sort_key, sort_values, sorted_by
from penstock.mlflow_api.search.page_token import decode, encode
from penstock.mlflow_api.search.parse import parse_filter, parse_order_by


@dataclass
class Searched:
    attributes: Mapping[str, str | int | float] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[SearchedDataset, ...] = ()

    def attribute(self, name: str) -> str | int | float | None:
        return self.attributes.get(name)

    def metric(self, key: str, dataset_name: str = "", dataset_digest: str = "") -> float | None:
        return self.metrics.get(key)

    def param(self, key: str) -> str | None:
        return None

    def tag(self, key: str) -> str | None:
        return self.tags.get(key)

    def datasets(self) -> tuple[SearchedDataset, ...]:
        return self.inputs


def is_found(run: Searched, text: str) -> bool:
    return matches(parse_filter(RUNS, text), run)


@pytest.mark.parametrize("operator", ["=", "!=", "<", "<=", ">", ">="])
def test_what_is_not_there_matches_no_comparison(operator: str) -> None:
    assert not is_found(Searched(), f"metrics.a {operator} 0")
    assert not is_found(Searched(), f"end_time {operator} 0")


def test_what_is_not_there_matches_is_null_alone() -> None:
    assert is_found(Searched(), "tags.t IS NULL")
    assert not is_found(Searched(), "tags.t IS NOT NULL")
    for operator in ("!= 'x'", "LIKE '%'", "ILIKE '%'"):
        assert not is_found(Searched(), f"tags.t {operator}")
    there = Searched(tags={"t": ""})
    assert is_found(there, "tags.t IS NOT NULL AND tags.t LIKE '%' AND tags.t = ''")
    assert not is_found(there, "tags.t IS NULL")


def test_nan_is_unequal_to_all_and_nothing_else() -> None:
    run = Searched(metrics={"a": math.nan})
    found = [operator for operator in ("=", "!=", "<", "<=", ">", ">=") if is_found(run, f"metrics.a {operator} 0")]
    assert found == ["!="]


def test_each_comparison_with_a_dataset_may_hold_for_another() -> None:
    run = Searched(inputs=(SearchedDataset("a", "1", "train"), SearchedDataset("b", "2")))
    assert is_found(run, "dataset.name = 'a' AND dataset.digest = '2'")
    assert is_found(run, "dataset.name != 'a'")
    assert not is_found(run, "dataset.context != 'train'")
    assert not is_found(Searched(), "dataset.name != 'a'")


def test_ids_that_are_numbers_are_compared_as_texts_and_sorted_as_numbers() -> None:
    searched = [Searched({"experiment_id": number}) for number in (10, 9, 100)]
    wanted = parse_filter(EXPERIMENTS, "experiment_id IN ('010', '9')")
    assert [matches(wanted, one) for one in searched] == [True, True, False]
    order = parse_order_by(EXPERIMENTS, ["experiment_id"])
    assert [one.attributes["experiment_id"] for one in sorted_by(order, searched)] == [9, 10, 100]


def test_prompts_are_hidden_from_those_who_do_not_ask() -> None:
    model, prompt, other = Searched(), Searched(tags={IS_PROMPT: "true"}), Searched(tags={IS_PROMPT: "false"})

    def found(text: str) -> list[bool]:
        visible = REGISTERED_MODELS.visible(parse_filter(REGISTERED_MODELS, text))
        return [matches(visible, one) for one in (model, prompt, other)]

    assert found("") == [True, False, True]
    assert found(f"tags.{IS_PROMPT} != 'true'") == [True, False, True]
    assert found(f"tags.{IS_PROMPT} = 'false'") == [True, False, True]
    assert found(f"tags.{IS_PROMPT} = 'true'") == [False, True, False]
    assert found(f"tags.{IS_PROMPT} != 'false'") == [False, True, False]


IS_PROMPT = "mlflow.prompt.is_prompt"


@pytest.mark.parametrize("direction", ["ASC", "DESC"])
def test_nan_comes_after_numbers_and_what_is_not_there_last(direction: str) -> None:
    runs = [Searched({"run_id": "x"}), *(Searched(metrics={"a": value}) for value in (math.nan, 1.0, math.inf, -2.0))]
    ordered = sorted_by(parse_order_by(RUNS, [f"metrics.a {direction}"]), runs)
    values = [-2.0, 1.0, math.inf]
    assert [run.metrics.get("a") for run in ordered[:3]] == (values if direction == "ASC" else values[::-1])
    assert math.isnan(ordered[3].metrics["a"])
    assert not ordered[4].metrics


@given(
    st.lists(st.tuples(st.none() | st.floats(), st.none() | st.text("ab\u00e9", max_size=3)), max_size=12),
    st.sampled_from(["metrics.a DESC|tags.t", "tags.t DESC|metrics.a", "tags.t", "metrics.a DESC|tags.t DESC"]),
    st.integers(1, 5),
)
@settings(max_examples=40)
def test_pages_follow_one_another_without_gap_or_overlap(
    values: list[tuple[float | None, str | None]], clauses: str, size: int
) -> None:
    """Also where page tokens hold NaN and what is not there."""
    runs = [
        Searched(
            {"run_id": f"{i:02}", "start_time": i % 2},
            {} if metric is None else {"a": metric},
            {} if tag is None else {"t": tag},
        )
        for i, (metric, tag) in enumerate(values)
    ]
    order = RUNS.full_order(parse_order_by(RUNS, clauses.split("|")))
    whole = sorted_by(order, runs)
    paged: list[Searched] = []
    token = ""
    while True:
        rest = whole
        if token:
            last = sort_key(order, decode(token, RUNS.name, "query", RUNS.sort_types(order)))
            rest = [run for run in whole if sort_key(order, sort_values(order, run)) > last]
        if not rest:
            break
        paged += rest[:size]
        token = encode(RUNS.name, "query", sort_values(order, paged[-1]))
    assert [id(run) for run in paged] == [id(run) for run in whole]


@pytest.mark.parametrize(
    ("text", "pattern", "is_like", "is_ilike"),
    [
        ("abc", "abc", True, True),
        ("abc", "ABC", False, True),
        ("Abc", "a%", False, True),
        ("abc", "b", False, False),
        ("abc", "%b%", True, True),
        ("abc", "a_c", True, True),
        ("ac", "a_c", False, False),
        ("a.c", "a.c", True, True),
        ("abc", "a.c", False, False),
        ("50%", "50\\%", False, False),
        ("50\\%", "50\\%", True, True),
        ("", "", True, True),
        ("", "%", True, True),
        ("", "_", False, False),
        ("a\nb", "a%b", True, True),
        ("a\n", "a", False, False),
        ("É", "é", False, True),
        ("[x]", "[x]", True, True),
    ],
)
def test_like_minds_case_and_ilike_does_not(text: str, pattern: str, is_like: bool, is_ilike: bool) -> None:
    assert (like(text, pattern), ilike(text, pattern)) == (is_like, is_ilike)


def plainly_like(text: str, pattern: str) -> bool:
    """By trying every length of every %."""
    if not pattern:
        return not text
    if pattern[0] == "%":
        return any(plainly_like(text[i:], pattern[1:]) for i in range(len(text) + 1))
    return bool(text) and pattern[0] in ("_", text[0]) and plainly_like(text[1:], pattern[1:])


@given(st.text("ab_", max_size=8), st.text("ab_%", max_size=6))
def test_like_is_what_trying_everything_finds(text: str, pattern: str) -> None:
    assert like(text, pattern) == plainly_like(text, pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "%a" * 5000 + "b",
        "%_" * 4000 + "b",
        "_%" * 3000 + "b%",
        "%" + "a" * 3000 + "b%",
        "%" + "a_" * 2000 + "b%",
        "%" * 9999,
    ],
)
def test_no_pattern_takes_long(pattern: str) -> None:
    begin = time.process_time()
    like("a" * 8000, pattern)
    assert time.process_time() - begin < 1.0
