"""Many entries become few records, and those of a run stay in their order."""

from __future__ import annotations

import math

import pytest

from penstock.fluent.outbox.entries import LogEntry, Record, batch_fields, halves, records_of


def points(run_id: str, count: int) -> list[LogEntry]:
    return [LogEntry("metrics", run_id, ("loss", 0.5, 1, step)) for step in range(count)]


def test_a_record_has_at_most_a_thousand_points() -> None:
    records = list(records_of(points("a", 2500)))
    assert [len(record.content["metrics"]) for record in records] == [1000, 1000, 500]
    assert [item[3] for record in records for item in record.content["metrics"]] == list(range(2500))


def test_params_and_tags_have_limits_of_their_own() -> None:
    entries = [LogEntry("params", "a", (f"p{n}", "1")) for n in range(150)]
    assert [len(record.content["params"]) for record in records_of(entries)] == [100, 50]


def test_all_kinds_together_are_at_most_a_thousand() -> None:
    entries = [*(LogEntry("params", "a", (f"p{n}", "1")) for n in range(60)), *points("a", 1000)]
    records = list(records_of(entries))
    assert [sum(len(items) for items in record.content.values()) for record in records] == [1000, 60]


def test_a_tag_that_is_set_again_comes_in_the_next_call() -> None:
    entries = [LogEntry("tags", "a", ("state", "one")), LogEntry("tags", "a", ("state", "two"))]
    assert [record.content["tags"] for record in records_of(entries)] == [[("state", "one")], [("state", "two")]]


def test_another_change_stays_between_what_is_before_and_after_it() -> None:
    entries = [*points("a", 1), LogEntry("call", "a", {"path": "runs/update"}), *points("a", 1), *points("b", 1)]
    records = [(record.run_id, *record.content) for record in records_of(entries)]
    assert records == [("a", "metrics"), ("a", "call"), ("a", "metrics"), ("b", "metrics")]


def test_a_line_comes_back_as_the_record_that_it_was() -> None:
    record = Record("a", {"metrics": [["loss", math.inf, 1, 2]], "tags": [["ü", "\n"]]})
    assert record.line().count(b"\n") == 1
    assert Record.of_line(record.line()) == record


@pytest.mark.parametrize("line", [b'["a",{"metrics":[["lo', b"{}", b'["a",1]', b"[1,{}]"])
def test_a_line_that_is_no_record_is_said_to_be_none(line: bytes) -> None:
    with pytest.raises(ValueError):
        Record.of_line(line)


def test_numbers_that_json_has_not_are_words() -> None:
    content = {"metrics": [["a", math.nan, 1, 0], ["b", math.inf, 1, 0], ["c", -math.inf, 1, 0], ["d", 1.5, 1, 0]]}
    values = [point["value"] for point in batch_fields("run", content)["metrics"]]
    assert values == ["NaN", "Infinity", "-Infinity", 1.5]


def test_halves_have_everything_once() -> None:
    content = {"metrics": [["a", 1, 1, 0]], "params": [["b", "1"]], "tags": [["c", "1"]]}
    assert halves(content) == [{"metrics": [["a", 1, 1, 0]]}, {"params": [["b", "1"]], "tags": [["c", "1"]]}]
    assert halves({"tags": [["c", "1"]]}) == [{"tags": [["c", "1"]]}]
