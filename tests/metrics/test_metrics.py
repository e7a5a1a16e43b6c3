"""Every metric: declared once, bounded, timed, and gone with its version."""

from __future__ import annotations

import re

import pytest

import penstock
from penstock.errors import error_code
from penstock.metrics import DISPATCH_REASONS, FAMILIES, LOAD_STAGES, OUTCOMES, STAGES, Metrics


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(process=False)


def series(metrics: Metrics) -> dict[str, set[tuple[tuple[str, str], ...]]]:
    """The label sets of every family."""
    return {f.name: {tuple(sorted(s.labels.items())) for s in f.samples} for f in metrics.registry.collect()}


def test_names_and_help_follow_the_conventions(metrics: Metrics) -> None:
    families = metrics.families()
    assert len(families) == len({name for name, _, _ in families}) > 12
    for name, kind, text in families:
        assert re.fullmatch(r"penstock_[a-z_]+", name)
        assert text.endswith(".")
        assert kind in ("counter", "gauge", "histogram", "summary")
        assert name.endswith("_total") == (kind == "counter")


def test_no_metric_has_a_label_beyond_the_bounded_ones(metrics: Metrics) -> None:
    metrics.version("m", "1")
    metrics.describe_version("m", "1", digest="d", flavor="onnx", alias="", state="current")
    metrics.loads.labels("m", "ok")
    metrics.swaps.labels("m", "load")
    metrics.expect_model("m")
    with metrics.load_stages("m")("load"):
        pass
    samples = [sample for family in metrics.registry.collect() for sample in family.samples]
    labels = {tuple(name for name in sample.labels if name != "le") for sample in samples}
    assert labels <= {
        (), ("release",), ("model",), ("model", "outcome"), ("model", "kind"), ("model", "version"),
        ("model", "stage", "outcome"),
        ("model", "version", "reason"), ("model", "version", "limit"), ("model", "version", "stage"),
        ("outcome", "reason"), ("reason",), ("task",),
        ("model", "version", "protocol"),
        ("model", "version", "protocol", "outcome"),
        ("model", "version", "digest", "flavor", "alias", "state", "lean"),
    }  # fmt: skip
    assert ("model", "version") in labels


def shown(metrics: Metrics) -> int:
    return sum(not line.startswith(b"#") for line in metrics.render().splitlines())


def expect(metrics: Metrics, model: str) -> None:
    """All that a model has once it is loaded, proven and served."""
    metrics.expect_model(model)
    metrics.version(model, "1").runs_apart(lambda: 0.0)
    metrics.describe_version(model, "1", digest="d", flavor="onnx", alias="", state="current")
    metrics.load_trials.labels(model, "proven")
    with metrics.loading(model, error_code):
        for stage in LOAD_STAGES:
            with metrics.load_stages(model)(stage):
                pass


def test_the_series_of_a_model_are_few(metrics: Metrics) -> None:
    metrics.version("", "")
    bare = shown(metrics)
    assert bare <= 130
    for number in range(10):
        expect(metrics, f"m{number}")
    assert shown(metrics) - bare <= 10 * 130
    for name in ("load", "load_stage", "swap"):
        assert f"penstock_{name}_seconds_bucket".encode() not in metrics.render()
    assert b"_created" not in metrics.render()


def test_requests_that_reach_no_version_count_in_few_metrics(metrics: Metrics) -> None:
    metrics.version("", "")
    found = {f.name for f in metrics.registry.collect() for s in f.samples if s.labels.get("model") == ""}
    assert found == {"penstock_requests", "penstock_request_seconds", "penstock_overloaded"}


def test_a_version_has_all_its_series_from_the_start(metrics: Metrics) -> None:
    bound = metrics.version("m", "1")
    assert bound.outcomes.keys() == {("invocations", o) for o in OUTCOMES}
    assert bound.stages.keys() == set(STAGES)
    assert bound.batches.keys() == set(DISPATCH_REASONS)
    before = series(metrics)
    for outcome in OUTCOMES:
        bound.outcomes["invocations", outcome].inc()
    for counter in (*bound.batches.values(), bound.rows):
        counter.inc()
    for histogram in (*bound.stages.values(), *bound.request_seconds.values(), bound.batch_rows):
        histogram.observe(1)
    for gauge in (bound.queue_rows, bound.queue_large_rows, bound.queue_limit_rows, bound.in_flight):
        gauge.set(1)
    assert series(metrics) == before
    for outcome in OUTCOMES:
        assert metrics.registry.get_sample_value(
            "penstock_requests_total", {"model": "m", "version": "1", "protocol": "invocations", "outcome": outcome}
        ) == 1  # fmt: skip


def test_forgetting_a_version_leaves_nothing_of_it_and_all_of_the_rest(metrics: Metrics) -> None:
    metrics.version("m", "2")
    metrics.version("n", "1")
    metrics.describe_version("m", "2", digest="d", flavor="onnx", alias="production", state="current")
    kept = metrics.render()
    metrics.version("m", "1")
    metrics.describe_version("m", "1", digest="d", flavor="onnx", alias="", state="previous")
    assert metrics.render() != kept
    metrics.forget_version("m", "1")

    assert sorted(metrics.render().splitlines()) == sorted(kept.splitlines())
    metrics.forget_version("m", "1")
    metrics.forget_version("nobody", "9")


def test_a_version_is_described_once(metrics: Metrics) -> None:
    for state, alias in (("current", "production"), ("previous", ""), ("current", "production")):
        metrics.describe_version("m", "1", digest="abc", flavor="onnx", alias=alias, state=state, lean=True)
    assert series(metrics)["penstock_model_info"] == {
        tuple(sorted({
            "model": "m", "version": "1", "digest": "abc", "flavor": "onnx", "alias": "production", "state": "current",
            "lean": "yes",
        }.items()))
    }  # fmt: skip
    metrics.describe_version("m", "1", digest="abc", flavor="onnx", alias="", state="")
    assert series(metrics)["penstock_model_info"] == set()


def test_loads_are_timed_and_counted(metrics: Metrics) -> None:
    with metrics.loading("m", error_code):
        pass
    with pytest.raises(KeyboardInterrupt), metrics.loading("m", error_code):
        raise KeyboardInterrupt
    value = metrics.registry.get_sample_value
    assert value("penstock_loads_total", {"model": "m", "outcome": "ok"}) == 1
    assert value("penstock_loads_total", {"model": "m", "outcome": "failed"}) == 1
    assert value("penstock_load_seconds_count", {"model": "m"}) == 2


def test_the_steps_of_a_load_are_timed_and_how_they_went(metrics: Metrics) -> None:
    timed = metrics.load_stages("m")
    for stage in LOAD_STAGES:
        with timed(stage):
            pass
    with pytest.raises(ZeroDivisionError), timed("prove"):
        _ = 1 / 0
    value = metrics.registry.get_sample_value

    def count(stage: str, outcome: str) -> float | None:
        return value("penstock_load_stage_seconds_count", {"model": "m", "stage": stage, "outcome": outcome})

    assert [count(stage, "ok") for stage in LOAD_STAGES] == [1] * len(LOAD_STAGES)
    assert count("prove", "failed") == 1
    assert count("load", "failed") is None


def test_what_may_go_wrong_is_there_before_it_does(metrics: Metrics) -> None:
    metrics.expect_model("m")
    value = metrics.registry.get_sample_value
    assert value("penstock_loads_total", {"model": "m", "outcome": "failed"}) == 0
    assert value("penstock_registry_errors_total", {"model": "m"}) == 0
    assert value("penstock_swap_failing", {"model": "m"}) == 0


def test_the_loops_lag_and_the_release_are_exposed(metrics: Metrics) -> None:
    metrics.loop_lag.observe(0.02)
    value = metrics.registry.get_sample_value
    assert value("penstock_event_loop_lag_seconds_sum") == 0.02
    assert value("penstock_event_loop_lag_seconds_bucket", {"le": "0.01"}) == 0
    assert value("penstock_event_loop_lag_seconds_bucket", {"le": "0.025"}) == 1
    assert value("penstock_build_info", {"release": penstock.__version__}) == 1


def test_histograms_see_below_a_millisecond(metrics: Metrics) -> None:
    metrics.version("m", "1").request_seconds["invocations"].observe(0.0002)
    text = metrics.render().decode()
    assert re.search(r'request_seconds_bucket\{le="0\.0001",[^}]*\} 0\.0', text)
    assert re.search(r'request_seconds_bucket\{le="0\.00025",[^}]*\} 1\.0', text)


def test_a_processs_own_metrics_come_along() -> None:
    assert b"process_resident_memory_bytes" in Metrics().render()
    assert all(name.startswith("penstock_") for name, _, _ in Metrics().families())


def test_versions_may_come_and_go_during_a_scrape(metrics: Metrics) -> None:
    for number in range(3):
        metrics.version("m", str(number))
    families = iter(metrics.registry.collect())
    next(families)
    children = metrics._versions._children(FAMILIES[0])
    next(children)
    metrics.version("m", "new")
    metrics.forget_version("m", "2")
    assert len(list(children)) == 3 * len(OUTCOMES) - 1
    assert len(list(families)) > 10


def test_two_gateways_in_one_process_do_not_meet() -> None:
    one, other = Metrics(process=False), Metrics(process=False)
    one.version("m", "1").rows.inc()
    assert b'version="1"' not in other.render()
