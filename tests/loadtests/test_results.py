from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import targets as t
from histogram import Histogram
from report import as_html, as_markdown, write_report
from results import Measurement, Overload, Results, growth, paired_ratio


def summary(rate: float, milliseconds: float = 1.0, **statuses: int) -> dict[str, Any]:
    counts = {name.removeprefix("s"): count for name, count in statuses.items()} or {"200": int(rate)}
    return {
        "ok_per_second": rate, "p50": milliseconds, "p99": milliseconds, "statuses": counts, "errors": 0,
        "unanswered": 0, "late": 0, "cpu": 0.3, t.CPU: 1e6 / rate, "by_second": [counts],
        "histogram": Histogram([milliseconds / 1e3] * 10).as_json(),
    }  # fmt: skip


def overload(**changes: Any) -> Overload:
    memory = [(float(i), 100.0) for i in range(16)]
    values: dict[str, Any] = {
        "scenario": t.FOREST_OVERLOAD, "before": 900.0, "during": summary(950, 20, s200=950, s429=950), "after": 1100.0,
        "memory": memory,
    }  # fmt: skip
    return Overload(**{**values, **changes})


@pytest.fixture
def results() -> Results:
    def measured(server: str, *rates: float) -> Measurement:
        return Measurement(t.IRIS, server, [summary(rate, 1000 / rate) for rate in rates], 1.0, 150.0)

    return Results(
        machine={"command": "python <bench>"},
        measurements=[
            measured(t.FLOOR, 30_000, 10_000, 29_000),
            measured(t.PENSTOCK, 12_000, 4_200, 10_000),
            measured(t.MLFLOW, 300, 100, 200),
        ],
        overloads=[overload()],
        runs={"locust: swap": "pass: 10 requests, 0 failed"},
    )


def mark_of(results: Results, name: str) -> tuple[float, str]:
    mark: tuple[float, str] = next(target for target in t.TARGETS if target.name == name).judge(results)
    return mark


def test_a_ratio_is_the_median_of_each_rounds_ratio(results: Results) -> None:
    """The second round was slow for all: its rates are worth nothing, its ratio as much as any."""
    assert results.ratio(t.RATE, (t.IRIS, t.PENSTOCK), (t.IRIS, t.MLFLOW)) == 42
    assert results.ratio(t.RATE, (t.IRIS, t.PENSTOCK), (t.IRIS, t.FLOOR)) == 0.4
    assert t.TARGETS[0].by_processor(results) == pytest.approx(42)
    assert math.isnan(t.TARGETS[2].by_processor(results))
    assert math.isnan(paired_ratio([], []))
    assert paired_ratio([1, math.nan, 3], [2, 2, 2]) == 1.0


def test_measurements_are_marked_against_their_targets(results: Results) -> None:
    assert mark_of(results, "scikit-learn, 1 row, 64 connections: rate / MLflow's") == (42, "pass")
    assert mark_of(results, "scikit-learn, 1 row, 64 connections: p99 / the floor's") == (2.5, "FAIL")
    assert mark_of(results, "memory of a scikit-learn server, MB") == (150, "pass")
    assert mark_of(results, "random forest, 1 row: rate / MLflow's")[1] == "not measured"
    results.find(t.IRIS, t.PENSTOCK).rounds = [summary(15_000), summary(4_600), summary(9_000)]
    assert mark_of(results, "scikit-learn, 1 row, 64 connections: rate / MLflow's") == (46, "stretch")


def test_overload_is_judged_by_goodput_and_rightly_refused_requests(results: Results) -> None:
    found = results.overloads[0]
    assert (found.capacity, found.goodput, found.refused_rightly, found.growth) == (1000, 0.95, 1, 0)
    assert mark_of(results, "forest at 2 × capacity: goodput / capacity") == (0.95, "pass")
    lost = {**found.during, "errors": 950}
    assert overload(during=lost).refused_rightly == 0.5
    assert overload(during=summary(950, 20, s200=950, s500=50)).refused_rightly == 0


def test_memory_that_grows_is_seen_and_its_warm_up_is_not() -> None:
    assert growth([50, 80, 90, 95] + [100] * 12) == 0
    assert growth([100 + i for i in range(40)]) > 0.15
    assert math.isnan(growth([1, 2, 3]))


def test_troubles_are_named() -> None:
    bad = Measurement("s", "x", [summary(1, s200=5, s503=2), {**summary(1, s200=5, s503=1), "unanswered": 3}])
    assert bad.troubles == "3 × 503, 3 × unanswered"
    assert Measurement("s", "x", [summary(1)]).troubles == ""


def test_results_survive_json(results: Results) -> None:
    assert Results.from_json(json.loads(json.dumps(results.as_json()))) == results


def test_the_report_is_complete_and_needs_no_network(results: Results, tmp_path: Path) -> None:
    text = write_report(results, tmp_path)
    assert text == as_markdown(results) == (tmp_path / "result.md").read_text()
    assert "| scikit-learn, 1 row, 64 connections: rate / MLflow's | 42.00 | ≥ 35 (stretch 45) | pass | 42.00 |" in text
    assert "| iris, 1 row, 64 connections | Penstock | 10,000 |" in text
    assert "950 × 200, 950 × 429" in text
    page = (tmp_path / "result.html").read_text()
    assert "python &lt;bench&gt;" in page
    assert page.count("<svg") == 3
    for outside in ("<script", "<link", 'src="http', "@import"):
        assert outside not in page
    assert {p.name for p in tmp_path.glob("*.png")} == {"throughput.png", "latency-closed.png", "overload-1.png"}
    assert "<svg" not in as_html(results, [])
