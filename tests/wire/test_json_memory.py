"""What a body takes is known before it is read."""

from __future__ import annotations

import json
import tracemalloc

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import MalformedInput
from penstock.wire import json_memory
from penstock.wire.json_memory import check_memory, memory_of
from penstock.wire.mlflow.invocations import parse_json

_PARTS = [b"[1],", b"1,", b"[],", b"{},", b'{"a":1},', b"[5.1,3.5,1.4,0.2],", b'"ab",', b"300,", b"null,", b"1.5,"]
_VALUE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("ab[]{},", max_size=9),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text("abcdef", max_size=3), inner, max_size=9),
    max_leaves=40,
)


def made(body: bytes) -> int:
    """The bytes of a body's Python objects."""
    tracemalloc.start()
    try:
        document = orjson.loads(body)
        return tracemalloc.get_traced_memory()[0] if document is not None else 0
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("part", _PARTS)
def test_no_body_takes_more_than_it_counts_for(part: bytes) -> None:
    body = b"[" + part * 50_000 + part[:-1] + b"]"
    tree = 16 * body.count(b",") + len(body)
    assert made(body) + tree <= memory_of(body) * 1.02
    assert memory_of(body) < 40 * len(body)


@settings(deadline=None, max_examples=60)
@given(st.lists(_VALUE, min_size=1, max_size=8))
def test_no_value_takes_more_than_it_counts_for(values: list[object]) -> None:
    body = json.dumps(values * 300, separators=(",", ":")).encode()
    assert made(body) <= memory_of(body) * 1.02 + 4096


def test_a_body_that_will_not_fit_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b"[" + b"[1]," * 500_000 + b"[1]]"
    monkeypatch.setattr(json_memory, "memory_left", lambda: 30 * len(body))
    with pytest.raises(MemoryError):
        parse_json(body)
    monkeypatch.setattr(json_memory, "memory_left", lambda: 40 * len(body))
    assert len(parse_json(body)) == 500_001
    with pytest.raises(MalformedInput):
        parse_json(body[:-1])


def test_brackets_in_texts_take_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps([r"[[[[{{{{,,,,\"" * 100] * 1000).encode()
    monkeypatch.setattr(json_memory, "memory_left", lambda: 4 * len(body))
    assert memory_of(body) > 4 * len(body)
    check_memory(body)
