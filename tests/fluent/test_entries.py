"""Many entries become few lines, and those of a run stay in their order."""

from __future__ import annotations

import json
import math
from typing import Any

from penstock.fluent.outbox.entries import LogEntry, lines_of


def points(run_id: str, count: int) -> list[LogEntry]:
    return [LogEntry("metrics", run_id, ("loss", 0.5, 1, step)) for step in range(count)]


def lines(*entries: LogEntry) -> list[Any]:
    return [json.loads(line) for line in lines_of(entries).splitlines()]


def test_a_line_has_at_most_a_thousand_points_as_a_server_takes_them() -> None:
    found = lines(*points("a", 2500))
    assert [count for count, _, _ in found] == [len(items) for _, _, items in found] == [1000, 1000, 500]
    assert [item["step"] for _, _, items in found for item in items] == list(range(2500))
    assert found[0][2][0] == {"key": "loss", "value": 0.5, "timestamp": 1, "step": 0}


def test_points_are_apart_from_params_and_tags() -> None:
    entries = [*points("a", 2), LogEntry("params", "a", ("p", "1")), LogEntry("tags", "a", ("t", "x"))]
    assert lines(*entries)[1:] == [["a", {"params": [["p", "1"]], "tags": [["t", "x"]]}]]


def test_another_change_stays_between_what_is_before_and_after_it() -> None:
    entries = [*points("a", 1), LogEntry("call", "a", {"path": "x"}), *points("a", 1), *points("b", 1)]
    assert [line[1] if len(line) == 3 else line for line in lines(*entries)] == [
        "a",
        ["a", {"call": {"path": "x"}}],
        "a",
        "b",
    ]


def test_whatever_a_text_holds_it_is_one_line() -> None:
    key = 'ü"\n\\],[\ud800'
    entries = [LogEntry("metrics", key, (key, 1.0, 1, 0)), LogEntry("tags", key, (key, key))]
    assert lines_of(entries).count(b"\n") == 2
    ((_, run_id, items), (_, content)) = lines(*entries)
    assert (run_id, items[0]["key"], content["tags"]) == (key, key, [[key, key]])


def test_numbers_that_json_has_not_are_words() -> None:
    values = [math.nan, math.inf, -math.inf, 1.5, 1e-310]
    ((_, _, items),) = lines(*(LogEntry("metrics", "a", ("k", value, 1, 0)) for value in values))
    assert [item["value"] for item in items] == ["NaN", "Infinity", "-Infinity", 1.5, 1e-310]
