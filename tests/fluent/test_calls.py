"""Lines of the spool become the fewest calls that a server takes, in the order of each run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.fluent.outbox.calls import BatchCall, SingleCall, calls_of, halves
from penstock.fluent.outbox.entries import LogEntry, lines_of


def points(run_id: str, count: int, first: int = 0) -> list[LogEntry]:
    return [LogEntry("metrics", run_id, ("loss", 0.5, 1, step)) for step in range(first, first + count)]


def spooled(*writes: list[LogEntry]) -> list[bytes]:
    """Each list is what the keeper wrote at one time."""
    return [line for entries in writes for line in lines_of(entries).splitlines()]


def bodies(lines: list[bytes]) -> list[Any]:
    return [
        json.loads(call.body("theirs")) for call in calls_of(lines, are_ours=True).calls if isinstance(call, BatchCall)
    ]


def test_what_was_written_at_several_times_is_one_call() -> None:
    (body,) = bodies(spooled(points("a", 2), [LogEntry("tags", "a", ("t", "x"))], points("a", 2, 2)))
    assert body["run_id"] == "theirs"
    assert [point["step"] for point in body["metrics"]] == [0, 1, 2, 3]
    assert body["tags"] == [{"key": "t", "value": "x"}]


def test_a_call_has_at_most_a_thousand_of_all_kinds() -> None:
    found = bodies(spooled(points("a", 900), points("a", 200, 900), [LogEntry("params", "a", ("p", "1"))]))
    assert [len(body["metrics"]) for body in found] == [900, 200]
    assert [point["step"] for body in found for point in body["metrics"]] == list(range(1100))


@pytest.mark.parametrize("kind", ["params", "tags"])
def test_params_and_tags_have_limits_of_their_own(kind: str) -> None:
    found = bodies(spooled([LogEntry(kind, "a", (f"p{n}", "1")) for n in range(150)]))
    assert [len(body[kind]) for body in found] == [100, 50]


def test_a_tag_that_is_set_again_comes_in_the_next_call() -> None:
    found = bodies(spooled([LogEntry("tags", "a", ("s", "one"))], [LogEntry("tags", "a", ("s", "two"))]))
    assert [body["tags"][0]["value"] for body in found] == ["one", "two"]


def test_another_change_stays_between_what_is_before_and_after_it() -> None:
    change = [LogEntry("call", "a", {"path": "x", "fields": {}})]
    lines = spooled(points("a", 1), points("b", 1), change, points("a", 1), points("b", 1))
    calls = calls_of(lines, are_ours=True).calls
    shown = [(call.run_id, call.kind if isinstance(call, SingleCall) else call.count) for call in calls]
    assert shown == [("a", 1), ("a", "call"), ("b", 2), ("a", 1)]


def test_names_that_look_like_the_format_are_names() -> None:
    key = '"],"params":[{"key":"x\\'
    (body,) = bodies(
        spooled([LogEntry("metrics", key, (key, 1.0, 1, 0))], [LogEntry("metrics", key, (key, 2.0, 1, 1))])
    )
    assert [point["key"] for point in body["metrics"]] == [key, key]


_BAD = [b"\0\0", b'[2,"a",[{"key":"lo', b"{}", b'["a",1]', b"[1,{}]", b'[2,"a",[{}]]', b'["a",{}]', b"7"]


@pytest.mark.parametrize("line", _BAD)
def test_what_another_process_left_damaged_hides_nothing_else(line: bytes) -> None:
    first, second = spooled(points("a", 1), points("a", 1, 1))
    calls, damaged = calls_of([first, line, second], are_ours=False)
    assert (damaged, [call.count for call in calls if isinstance(call, BatchCall)]) == (1, [2])


def test_halves_have_everything_once() -> None:
    content = {"metrics": [{"key": "a"}], "params": [{"key": "b"}], "tags": [{"key": "c"}]}
    assert halves(content) == [{"metrics": [{"key": "a"}]}, {"params": [{"key": "b"}], "tags": [{"key": "c"}]}]
    assert halves({"tags": [{"key": "c"}]}) == [{"tags": [{"key": "c"}]}]
