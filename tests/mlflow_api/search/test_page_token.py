"""Page tokens come back as what was put in, for the same query alone."""

from __future__ import annotations

import base64
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import SearchInvalid
from penstock.mlflow_api.search.page_token import SortValue, decode, encode, fingerprint

QUERY = fingerprint("metrics.a > 1", ["start_time"], ["0"])
_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
_NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats()


@given(st.tuples(_TEXTS | st.none(), _NUMBERS | st.none()))
@settings(max_examples=60)
def test_values_come_back(values: tuple[SortValue, SortValue]) -> None:
    token = encode("runs", QUERY, values)
    assert token.isascii()
    assert "=" not in token
    assert repr(decode(token, "runs", QUERY, ["text", "number"])) == repr(values)


@pytest.mark.parametrize(("entity", "query"), [("experiments", QUERY), ("runs", fingerprint("metrics.a > 2"))])
def test_a_token_of_another_query_is_refused(entity: str, query: str) -> None:
    token = encode("runs", QUERY, [1, "x"])
    with pytest.raises(SearchInvalid, match="belongs to another query") as caught:
        decode(token, entity, query, ["number", "text"])
    assert caught.value.field == "page_token"


def forged(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


@pytest.mark.parametrize(
    "token",
    [
        "%%%",
        "ä",
        "a",
        "AAAA",
        forged({"offset": 5}),
        forged(5),
        forged([]),
        forged(["runs", QUERY, 5]),
        forged(["runs", QUERY, [1, 2, 3]]),
        forged(["runs", QUERY, ["1", "x"]]),
        forged(["runs", QUERY, [True, "x"]]),
        forged(["runs", QUERY, [2**63, "x"]]),
        forged(["runs", QUERY, [["or"], "x"]]),
        forged(["runs", QUERY, [[["nan"]], "x"]]),
        forged(["runs", QUERY, [1, "\0"]]),
        forged(["runs", QUERY, [1, "\ud800"]]),
        base64.urlsafe_b64encode(b"[" * 100_000).decode(),
        base64.urlsafe_b64encode(b"9" * 100_000).decode(),
        "A" * (2 * 1024 * 1024),
    ],
    ids=lambda token: token[:24],
)
def test_garbage_is_refused(token: str) -> None:
    with pytest.raises(SearchInvalid) as caught:
        decode(token, "runs", QUERY, ["number", "text"])
    assert caught.value.field == "page_token"


@given(st.text("AQgwz09-_=", max_size=40))
@settings(max_examples=40)
def test_any_text_is_refused_as_a_token(token: str) -> None:
    with pytest.raises(SearchInvalid):
        decode(token, "runs", QUERY, ["number", "text"])


def test_a_fingerprint_tells_queries_apart() -> None:
    prints = [
        fingerprint("a", "b"),
        fingerprint("ab"),
        fingerprint(["a", "b"]),
        fingerprint("a", ["b"]),
        fingerprint("a", None),
        fingerprint({"x": 1}),
        fingerprint(math.nan),
    ]
    assert len(set(prints)) == len(prints)
    assert fingerprint({"x": 1, "y": (2,)}) == fingerprint({"y": [2], "x": 1})
