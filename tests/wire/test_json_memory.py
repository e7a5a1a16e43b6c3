"""What a body takes is known before it is read."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import MalformedInput
from penstock.wire import json_memory
from penstock.wire.json_memory import fits_orjson, memory_of
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


# Reads a body within memory limits of its own, each in a process of its own, and prints how each has ended.
_READ_WITHIN_LIMITS = """
import os, resource, sys
from penstock.machine.memory import data_bytes
from penstock.wire.mlflow.invocations import parse_json

part = sys.argv[1].encode()
body = b"[" + part * ((2 << 20) // len(part)) + part[:-1] + b"]"
for times in map(float, sys.argv[2:]):
    if not (pid := os.fork()):
        limit = data_bytes() + int(times * len(body))
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        try:
            parse_json(body)
        except MemoryError:
            os._exit(3)
        except BaseException:
            os._exit(4)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.parametrize("part", _PARTS)
def test_no_body_takes_more_than_it_counts_for(part: bytes) -> None:
    body = b"[" + part * 50_000 + part[:-1] + b"]"
    assert made(body) <= memory_of(body) * 1.02
    assert memory_of(body) < 30 * len(body)


@pytest.mark.parametrize(
    "part", ['"a text of a hundred characters' + 69 * "," + '",', "1.5,", '{"sepal":5.123,"p":"red"},']
)
def test_no_limit_ends_the_process(part: str) -> None:
    """orjson ends it where it is refused memory: by a signal, or with an error that has no name."""
    limits = [str(times) for times in range(1, 40)]
    done = subprocess.run(
        [sys.executable, "-c", _READ_WITHIN_LIMITS, part, *limits], capture_output=True, text=True, check=True
    )
    ends = done.stdout.split()
    assert set(ends) == {"0", "3"}
    assert ends == sorted(ends, reverse=True)


@settings(deadline=None, max_examples=60)
@given(st.lists(_VALUE, min_size=1, max_size=8))
def test_no_value_takes_more_than_it_counts_for(values: list[object]) -> None:
    body = json.dumps(values * 300, separators=(",", ":")).encode()
    assert made(body) <= memory_of(body) * 1.02 + 4096


def test_a_body_that_will_not_fit_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b"[" + b"[1]," * 500_000 + b"[1]]"
    monkeypatch.setattr(json_memory, "memory_left", lambda: 20 * len(body))
    with pytest.raises(MemoryError):
        parse_json(body)
    monkeypatch.setattr(json_memory, "memory_left", lambda: 40 * len(body))
    assert len(parse_json(body)) == 500_001
    with pytest.raises(MalformedInput):
        parse_json(body[:-1])


def test_a_body_that_fits_without_the_buffer_of_orjson_is_read_without_orjson(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b"[" + b"[1]," * 500_000 + b"[1]]"
    monkeypatch.setattr(json_memory, "memory_left", lambda: 30 * len(body))
    monkeypatch.setattr(orjson, "loads", None)
    assert not fits_orjson(body)
    assert len(parse_json(body)) == 500_001
    with pytest.raises(MalformedInput, match="not valid JSON: Expecting"):
        parse_json(body[:-1])


def test_brackets_in_texts_take_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps([r"[[[[{{{{,,,,\"" * 100] * 1000).encode()
    monkeypatch.setattr(json_memory, "memory_left", lambda: 16 * len(body))
    assert memory_of(body) > 4 * len(body)
    assert fits_orjson(body)
