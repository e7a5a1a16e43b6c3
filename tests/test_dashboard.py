"""The dashboard and the alert rules: made by their generator, asking only for what exists, complete, explained."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import promql_parser as promql
import pytest

from support.observability import (
    ADDED,
    DASHBOARD,
    FOREIGN,
    ROOT,
    RUNBOOK,
    Question,
    alerts,
    dashboard,
    documented,
    labels_named,
    panels,
    questions,
    selectors,
)

KNOWN = {**documented(), **FOREIGN}
ASKED = questions()


def headings() -> set[str]:
    return set(re.findall(r"^## (\w+)$", RUNBOOK.read_text(), re.MULTILINE))


def test_the_json_is_what_its_generator_makes() -> None:
    code = "import sys; sys.path.insert(0, 'docs'); import make_dashboard; sys.stdout.write(make_dashboard.build())"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert made.returncode == 0, made.stderr
    assert made.stdout == DASHBOARD.read_text(), "make dashboards"


@pytest.mark.parametrize("asked", ASKED, ids=lambda q: q.where)
def test_every_metric_and_label_that_is_asked_for_exists(asked: Question) -> None:
    expression = asked.filled()
    promql.parse(expression)
    labels = set(ADDED)
    found = selectors(expression)
    assert found
    for selector in found:
        assert selector.name in KNOWN, f"{selector.name} is no metric in docs/metrics.md"
        own = KNOWN[selector.name] | ADDED
        labels |= own
        for matcher in selector.matchers.matchers:
            assert matcher.name in own, f"{selector.name} has no label {matcher.name}"
    assert labels_named(expression) <= labels


def test_a_name_that_does_not_exist_would_be_found() -> None:
    (selector,) = selectors('sum by (model) (rate(penstock_nonsense_total{mode="x"}[5m]))')
    assert selector.name not in KNOWN
    assert [m.name for m in selector.matchers.matchers] == ["mode"]
    assert labels_named("sum by (a) (x) / on (b) y") == {"a", "b"}


@pytest.mark.parametrize("panel", panels(), ids=lambda p: p["title"])
def test_every_panel_says_what_it_is(panel: dict) -> None:  # type: ignore[type-arg]
    defaults = panel["fieldConfig"]["defaults"]
    assert panel["description"].endswith(".")
    assert defaults["unit"]
    assert defaults["thresholds"]["steps"][0]["value"] is None
    assert panel["targets"]
    for part in (panel, *panel["targets"]):
        assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    for target in panel["targets"]:
        assert 'namespace=~"$namespace"' in target["expr"]
    for link in panel.get("links", ()):
        anchor = link["url"].removeprefix("${runbook}#")
        assert anchor in {heading.lower() for heading in headings()}


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    every = dashboard()["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    taken: set[tuple[int, int]] = set()
    for panel in every:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells


def test_the_rows_and_variables_are_the_agreed_ones() -> None:
    rows = [panel["title"] for panel in dashboard()["panels"] if panel["type"] == "row"]
    assert rows == [
        "Overview", "Traffic", "Latency", "Saturation and batching", "Versions and swaps", "Workers and processes",
        "Process", "Hub",
    ]  # fmt: skip
    variables = {v["name"]: v for v in dashboard()["templating"]["list"]}
    assert variables.keys() == {"datasource", "namespace", "model", "version", "runbook"}
    for name in ("namespace", "model", "version"):
        assert variables[name]["allValue"] == ".*"  # which also matches series without that label
        assert variables[name]["multi"]


@pytest.mark.parametrize("rule", alerts(), ids=lambda r: r["alert"])
def test_every_alert_is_explained(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("warning", "critical")
    notes = rule["annotations"]
    assert notes.keys() == {"summary", "description", "runbook_url"}
    assert notes["runbook_url"].endswith(f"/runbook#{rule['alert'].lower()}")
    assert rule["alert"] in headings()
    assert rule["alert"] in (ROOT / "docs" / "observability.md").read_text()
    named = set(re.findall(r"\$labels\.(\w+)", notes["summary"] + notes["description"]))
    grouped = labels_named(rule["expr"])
    kept = ADDED | {label for s in selectors(rule["expr"]) for label in KNOWN[str(s.name)]}
    assert named <= (grouped or kept), "a label that the expression does not keep"


def test_nothing_in_the_runbook_is_about_an_alert_that_is_gone() -> None:
    assert headings() == {rule["alert"] for rule in alerts()}
