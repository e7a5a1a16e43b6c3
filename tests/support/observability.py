"""What the dashboard and the alert rules ask, taken apart; and the list of metrics that they may ask for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser as promql
import yaml

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "helm" / "penstock" / "dashboards" / "penstock.json"
ALERTS = ROOT / "helm" / "penstock" / "files" / "alerts.yaml"
RUNBOOK = ROOT / "docs" / "runbook.md"

# What Prometheus itself adds, and what stands beside our own metrics.
ADDED = {"job", "instance", "namespace"}
FOREIGN = {
    "up": set[str](),
    "process_resident_memory_bytes": {"worker"},
    "process_cpu_seconds_total": {"worker"},
    "process_open_fds": {"worker"},
    "process_max_fds": {"worker"},
    "process_start_time_seconds": {"worker"},
    "python_gc_collections_total": {"worker", "generation"},
}


@dataclass(frozen=True)
class Question:
    """One expression, and where it stands."""

    where: str
    expression: str

    def filled(self, rate_interval: str = "5m", interval: str = "5m") -> str:
        """With the dashboard's variables put in, as Grafana does where All is chosen."""
        text = re.sub(r"\$(namespace|model|version)", ".*", self.expression)
        return text.replace("$__rate_interval", rate_interval).replace("$__interval", interval)


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return found


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def alerts() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def questions() -> list[Question]:
    asked = [Question(f"panel {p['title']}", target["expr"]) for p in panels() for target in p["targets"]]
    marks = [Question(f"annotation {a['name']}", a["expr"]) for a in dashboard()["annotations"]["list"]]
    return [*asked, *marks, *(Question(f"alert {rule['alert']}", rule["expr"]) for rule in alerts())]


def hub_questions() -> list[Question]:
    """Those that only a hub's metrics answer."""
    return [asked for asked in questions() if "penstock_hub_" in asked.expression]


def gateway_questions() -> list[Question]:
    return [asked for asked in questions() if "penstock_hub_" not in asked.expression]


def hub_alerts() -> list[dict[str, Any]]:
    return [rule for rule in alerts() if "penstock_hub_" in rule["expr"]]


def gateway_alerts() -> list[dict[str, Any]]:
    return [rule for rule in alerts() if "penstock_hub_" not in rule["expr"]]


def documented() -> dict[str, set[str]]:
    """Every metric of docs/metrics.md with its labels, histograms and summaries by the names of their series."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / "docs" / "metrics.md").read_text().splitlines():
        row = re.fullmatch(r"\| `(penstock_\w+)` \| (\w+) \| (.*?) \| .* \|", line)
        if row:
            labels = set(re.findall(r"`(\w+)`", row[3]))
            if row[2] in ("histogram", "summary"):
                found |= {f"{row[1]}_sum": labels, f"{row[1]}_count": labels}
                if row[2] == "histogram":
                    found[f"{row[1]}_bucket"] = labels | {"le"}
            else:
                found[row[1]] = labels
    assert len(found) > 20
    return found


def selectors(expression: str) -> list[promql.VectorSelector]:
    return [node for node in _nodes(promql.parse(expression)) if isinstance(node, promql.VectorSelector)]


def labels_named(expression: str) -> set[str]:
    """Labels that an expression groups or joins by."""
    found: set[str] = set()
    for node in _nodes(promql.parse(expression)):
        if isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            found |= set(node.modifier.labels)
        if isinstance(node, promql.BinaryExpr) and node.modifier is not None and node.modifier.matching is not None:
            found |= set(node.modifier.matching.labels)
    return found


def _nodes(expression: promql.Expr) -> Iterator[Any]:
    found: list[Any] = []
    promql.walk(expression, found.append)
    return iter(found)
