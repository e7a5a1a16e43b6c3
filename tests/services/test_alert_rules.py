"""The alert rules by promtool: well-formed, and each fires when it should and not otherwise, on given series."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from penstock.errors import error_code
from penstock.metrics import HubMetrics
from server.asgi import Bench
from services.alert_cases import CASES, Case
from services.tools import require_tool
from support.observability import ALERTS, ROOT, alerts

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def promtool() -> str:
    return require_tool("promtool", debian="prometheus")


def test_the_rules_are_well_formed(promtool: str) -> None:
    done = subprocess.run([promtool, "check", "rules", ALERTS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"{len(alerts())} rules found" in done.stdout


def test_every_alert_is_tried_both_ways() -> None:
    names = {rule["alert"] for rule in alerts()}
    assert {case.alert for case in CASES if case.firing} == names
    assert {case.alert for case in CASES if not case.firing} == names


def test_each_alert_fires_when_it_should_and_not_otherwise(promtool: str, tmp_path: Path) -> None:
    """All cases in one run; promtool names those that are wrong."""

    def as_test(case: Case) -> dict[str, Any]:
        samples = [{"labels": "{}", "value": case.firing}] if case.firing else []
        expression = f'count(ALERTS{{alertname="{case.alert}", alertstate="firing"}})'
        return {
            "name": f"{case.alert}: {case.name}",
            "interval": "1m",
            "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
            "promql_expr_test": [{"expr": expression, "eval_time": f"{case.minutes}m", "exp_samples": samples}],
        }

    file = tmp_path / "cases.yaml"
    cases = {"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": [as_test(case) for case in CASES]}
    file.write_text(yaml.safe_dump(cases))
    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_exposed_is_as_prometheus_likes_it(promtool: str, identity_onnx_package: Path) -> None:
    text = asyncio.run(_exposed(identity_onnx_package))
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_a_hub_exposes_is_as_prometheus_likes_it(promtool: str) -> None:
    metrics = HubMetrics(process=False)
    metrics.request("/health", 200, 0.1)
    metrics.commit(3, 0.1, 1)
    metrics.watch_disk("store", ROOT)
    done = subprocess.run([promtool, "check", "metrics"], input=metrics.render(), capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


async def _exposed(package: Path) -> bytes:
    bench = Bench(package)
    bench.serve()
    bench.metrics.expect_model("m")
    bench.metrics.workers.labels("serving").set(1)
    bench.metrics.worker_restarts.labels("1")
    with bench.metrics.loading("m", error_code), bench.metrics.load_stages("m")("load"):
        pass
    async with bench.open() as client:
        answer: httpx.Response = await client.post("/invocations", json={"inputs": [[1, 2, 3]]})
        assert answer.status_code == 200
        text = (await client.get("/metrics")).content
    await bench.close()
    assert b"penstock_batch_rows_count" in text
    return text
