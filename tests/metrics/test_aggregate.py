"""Numbers of several processes as those of one: added up, monotone over deaths, bounded."""

from __future__ import annotations

import math
import re

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.metrics import Metrics, render
from penstock.metrics.aggregate import SUPERVISOR, Family, MetricsAggregate, Rule, from_plain, rule_of, to_plain


def worker(version: str = "1", *, ok: int = 0, seconds: tuple[float, ...] = (), waiting: float = 0) -> Metrics:
    """A worker's metrics after so many requests."""
    metrics = Metrics(process=False)
    numbers = metrics.version("m", version)
    numbers.outcomes["invocations", "ok"].inc(ok)
    numbers.queue_rows.set(waiting)
    for value in seconds:
        numbers.request_seconds["invocations"].observe(value)
    metrics.describe_version("m", version, digest="d", flavor="onnx", alias="production", state="current")
    metrics.ready.set(1)
    return metrics


def value(tallies: MetricsAggregate, name: str, **labels: str) -> float | None:
    found = [
        v
        for family in tallies.total()
        for sample, names, v in family.samples
        if sample == name and labels.items() <= dict(names).items()
    ]
    assert len(found) <= 1, found
    return found[0] if found else None


REQUESTS = {"model": "m", "version": "1", "outcome": "ok"}


@pytest.mark.parametrize(
    ("name", "kind", "who", "rule"),
    [
        ("penstock_requests", "counter", "1", "sum"),
        ("penstock_request_seconds", "histogram", "1", "sum"),
        ("penstock_queue_rows", "gauge", "1", "sum"),
        ("penstock_ready", "gauge", "1", "most"),
        ("penstock_some_new_gauge", "gauge", "1", "by worker"),
        ("penstock_swaps", "counter", "1", "leave out"),
        ("penstock_swap_failing", "gauge", "1", "leave out"),
        ("penstock_swap_failing", "gauge", SUPERVISOR, "sum"),
        ("penstock_load_stage_seconds", "histogram", "1", "sum"),
        ("penstock_load_stage_seconds", "histogram", SUPERVISOR, "sum"),
        ("penstock_event_loop_lag_seconds", "histogram", SUPERVISOR, "leave out"),
        ("penstock_build_info", "gauge", "1", "most"),
        ("penstock_swaps", "counter", SUPERVISOR, "sum"),
        ("penstock_workers", "gauge", SUPERVISOR, "sum"),
        ("penstock_requests", "counter", SUPERVISOR, "leave out"),
        ("process_cpu_seconds", "counter", "1", "by worker"),
        ("python_info", "gauge", SUPERVISOR, "by worker"),
    ],
)
def test_each_kind_of_metric_is_added_up_by_its_rule(name: str, kind: str, who: str, rule: Rule) -> None:
    assert rule_of(Family(name, kind, "", []), who) == rule


def test_what_a_follower_counts_is_shown_where_the_supervisor_follows() -> None:
    metrics = Metrics(process=False)
    metrics.expect_model("m")
    with pytest.raises(ValueError), metrics.loading("m", lambda error: "no_good"), metrics.load_stages("m")("fetch"):
        raise ValueError
    counted = [f for f in metrics.collect() if any(dict(labels).get("model") == "m" for _, labels, _ in f.samples)]
    assert len(counted) >= 7
    for family in counted:
        assert rule_of(family, SUPERVISOR) == "sum", family.name


def test_workers_are_added_up() -> None:
    tallies = MetricsAggregate()
    tallies.report("1", worker(ok=3, seconds=(0.002, 0.2), waiting=5).collect())
    tallies.report("2", worker(ok=4, seconds=(0.02,), waiting=7).collect())
    assert value(tallies, "penstock_requests_total", **REQUESTS) == 7
    assert value(tallies, "penstock_request_seconds_count", model="m") == 3
    assert value(tallies, "penstock_request_seconds_sum", model="m") == pytest.approx(0.222)
    assert value(tallies, "penstock_request_seconds_bucket", model="m", le="0.025") == 2
    assert value(tallies, "penstock_queue_rows", model="m") == 12
    assert value(tallies, "penstock_model_info", model="m") == 1
    assert value(tallies, "penstock_ready") == 1


def test_one_worker_alone_is_shown_as_it_is() -> None:
    metrics = worker(ok=3, seconds=(0.002,))
    tallies = MetricsAggregate()
    tallies.report("1", metrics.collect())
    left_out = re.compile(
        rb"penstock_(load_(failures|seconds|trials)|loads|swap|registry|alias_|config_|tokens?_re|workers|worker_restarts)"
    )
    lines = [line for line in metrics.render().splitlines() if not left_out.search(line)]
    assert sorted(render(tallies.total()).splitlines()) == sorted(lines)


def test_what_a_process_is_stands_under_its_name() -> None:
    tallies = MetricsAggregate()
    for who in ("1", "2", SUPERVISOR):
        tallies.report(who, Metrics().collect())
    for who in ("1", "2", SUPERVISOR):
        assert value(tallies, "process_cpu_seconds_total", worker=who) is not None
        assert value(tallies, "python_info", worker=who) == 1


def test_a_dead_worker_leaves_its_counters_and_takes_its_gauges() -> None:
    tallies = MetricsAggregate()
    tallies.report("1", worker(ok=3, waiting=5).collect())
    tallies.report("2", worker(ok=4, waiting=7).collect())
    tallies.retire("1")
    assert value(tallies, "penstock_requests_total", **REQUESTS) == 7
    assert value(tallies, "penstock_queue_rows", model="m") == 7
    tallies.report("1", worker(ok=1).collect())  # its successor counts from nothing
    assert value(tallies, "penstock_requests_total", **REQUESTS) == 8
    tallies.retire("9")  # nobody


def test_what_the_dead_counted_goes_with_the_version() -> None:
    tallies = MetricsAggregate()
    both = worker("1", ok=3)
    both.version("", "").outcomes["invocations", "client_error"].inc()
    tallies.report("1", both.collect())
    tallies.report("2", worker("1").collect())
    tallies.retire("1")
    assert value(tallies, "penstock_requests_total", **REQUESTS) == 3
    tallies.report("2", worker("2").collect())  # version 1 was forgotten there
    assert value(tallies, "penstock_requests_total", **REQUESTS) is None
    assert value(tallies, "penstock_requests_total", model="", outcome="client_error") == 1
    assert "kept" in repr(tallies)


def test_nothing_is_forgotten_while_nobody_lives() -> None:
    tallies = MetricsAggregate()
    tallies.report("1", worker(ok=3).collect())
    tallies.retire("1")
    tallies.total()
    tallies.report("1", worker(ok=1).collect())
    assert value(tallies, "penstock_requests_total", **REQUESTS) == 4


@given(st.lists(st.one_of(st.tuples(st.sampled_from("123"), st.integers(0, 5)), st.tuples(st.sampled_from("123")))))
def test_counters_never_go_backwards(events: list[tuple[str, int] | tuple[str]]) -> None:
    """Whoever counts, dies and starts again: the sum grows by what was counted and never falls."""
    tallies, living, counted = MetricsAggregate(), {w: Metrics(process=False) for w in "123"}, 0
    for event in events:
        who = event[0]
        if len(event) == 2:
            living[who].version("m", "1").rows.inc(event[1])
            counted += event[1]
            tallies.report(who, living[who].collect())
        else:
            tallies.retire(who)
            living[who] = Metrics(process=False)
            living[who].version("m", "1")
            tallies.report(who, living[who].collect())
        assert value(tallies, "penstock_rows_total", model="m") == counted


def test_numbers_come_back_from_json_as_they_were() -> None:
    families = [
        Family("a", "gauge", "A.", [("a", (("x", "1"),), math.inf), ("a", (("x", "2"),), 2.5)]),
        *worker(ok=1, seconds=(1.0,)).collect(),
    ]
    finite = [Family(f.name, f.kind, f.text, [s for s in f.samples if math.isfinite(s[2])]) for f in families]
    assert from_plain(orjson.loads(orjson.dumps(to_plain(finite)))) == finite
    (odd,) = from_plain(orjson.loads(orjson.dumps(to_plain([Family("a", "gauge", "", [("a", (), math.nan)])]))))
    assert math.isnan(odd.samples[0][2])
    (infinite,) = from_plain(orjson.loads(orjson.dumps(to_plain([Family("a", "gauge", "", [("a", (), math.inf)])]))))
    assert infinite.samples[0][2] == math.inf
