"""Which fields a query asks for: what MLflow's page sends is read, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import TrackingInvalid
from penstock.hub.graphql.selection import parse_query, select

QUERY = """query GetRun($data: MlflowGetRunInput!) @component(name: "MLflow.ExperimentRunTracking") {
    mlflowGetRun(input: $data) { # a remark
      run { info { runName, status } data { tags { key value __typename } } }
    }
}"""


def test_a_query_of_mlflows_page_is_read() -> None:
    query = parse_query(QUERY)
    assert (query.root, query.variable) == ("mlflowGetRun", "data")
    tags: dict[str, Any] = {"key": {}, "value": {}, "__typename": {}}
    assert query.selection == {"run": {"info": {"runName": {}, "status": {}}, "data": {"tags": tags}}}


def test_an_answer_has_the_fields_that_were_asked_for() -> None:
    answer = {"run": {"info": {"runName": "a", "more": 1}, "data": {"tags": [{"key": "k", "value": "v", "x": 1}]}}}
    assert select(answer, parse_query(QUERY).selection) == {
        "run": {
            "info": {"runName": "a", "status": None},
            "data": {"tags": [{"key": "k", "value": "v", "__typename": None}]},
        }
    }


UNREAD = [
    *("", "query", "{ a }", "subscription A { b }", "query A { b", "query { b } }é"),
    *("query A { b { c: d } }", "query A { b { ...c } }", "query A { b { c(x: 1) } }"),
    "query A { b" + " { c" * 30 + " }" * 30 + " }",
    "query A { " + "b " * 3000 + "}",
]


@pytest.mark.parametrize("text", UNREAD)
def test_what_is_not_read_is_refused(text: str) -> None:
    with pytest.raises(TrackingInvalid, match="GraphQL"):
        parse_query(text)


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    for query in (text, f"query A {{ b {{ {text} }} }}"):
        try:
            parse_query(query)
        except TrackingInvalid:
            continue


def test_the_input_may_stand_in_the_text() -> None:
    query = parse_query(
        'query Q @component(name: "Test") { mlflowSearchRuns(input: {experimentIds: ["1", "2"], '
        'filter: "a = \\"x, {\\"", '
        "runViewType: ALL, maxResults: 5, deep: {yes: true}}) { runs { info { runId } } } }"
    )
    assert query.given == {
        "experimentIds": ["1", "2"],
        "filter": 'a = "x, {"',
        "runViewType": "ALL",
        "maxResults": 5,
        "deep": {"yes": True},
    }
    assert parse_query('mutation M { mlflowGetRun(input: {runId: "r",}) { run { info { runId } } } }').given == {
        "runId": "r"
    }
    with pytest.raises(TrackingInvalid, match="an input of that form"):
        parse_query("query Q { mlflowGetRun(input: {runId: }) { run { info { runId } } } }")
