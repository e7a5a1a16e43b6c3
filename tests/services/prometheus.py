"""A real Prometheus for tests: scrapes once a second, and runs the alert rules with their times made short."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from services.mlflow_servers import free_port
from support.observability import ALERTS

# What hours are in the test's copy of the rules.
WINDOWS = {"6h": "25s", "1h": "20s", "30m": "10s", "15m": "60s", "5m": "10s", "1m": "5s"}


def quick_rules() -> str:
    """The rules as they are, with shorter windows and waits."""
    text = re.sub(r"\[(\d+[mh])\]", lambda found: f"[{WINDOWS[found[1]]}]", ALERTS.read_text())
    text, waits = re.subn(r"for: \d+m", "for: 1s", text)
    assert waits > 10
    return text


# What it shows to those that it scrapes.
TOKEN = "scrapers-token"


class Prometheus:
    """One process; `watch` tells it what to scrape, `fired` has what alerts it ever raised."""

    def __init__(self, program: str, place: Path) -> None:
        self.place = place
        self.url = f"http://127.0.0.1:{free_port()}"
        self._targets: list[dict[str, Any]] = []
        (place / "targets.json").write_text("[]")
        (place / "alerts.yaml").write_text(quick_rules())
        (place / "prometheus.yml").write_text(
            "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
            "rule_files: [alerts.yaml]\n"
            "scrape_configs:\n"
            "  - job_name: penstock\n"
            f"    authorization: {{credentials: {TOKEN}}}\n"  # which only some servers ask for
            "    file_sd_configs: [{files: [targets.json], refresh_interval: 1s}]\n"
        )
        command = [
            program, f"--config.file={place}/prometheus.yml", f"--storage.tsdb.path={place}/data",
            f"--web.listen-address={self.url.removeprefix('http://')}", "--log.level=warn",
        ]  # fmt: skip
        with (place / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self._client = httpx.Client(base_url=self.url, timeout=30)
        self.fired: dict[str, list[dict[str, Any]]] = {}
        self._ending = threading.Event()
        self._poller = threading.Thread(target=self._poll, daemon=True)
        self.until(lambda: self._get("/-/ready") is not None, "Prometheus is ready")
        self._poller.start()

    def _get(self, path: str, **query: str) -> httpx.Response | None:
        try:
            answer = self._client.get(path, params=query)
        except httpx.TransportError:
            return None
        return answer if answer.status_code == 200 else None

    def watch(self, url: str, **labels: str) -> None:
        """Scrapes this gateway from now on, and waits until that has worked."""
        address = url.removeprefix("http://")
        self._targets.append({"targets": [address], "labels": labels})
        draft = self.place / "targets.new"
        draft.write_text(json.dumps(self._targets))
        draft.replace(self.place / "targets.json")
        self.until(lambda: bool(self.query(f'up{{instance="{address}"}} == 1')), f"{url} is scraped")

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples now. Raises AssertionError with what Prometheus says of a bad expression."""
        answer = self._client.get("/api/v1/query", params={"query": expression})
        assert answer.status_code == 200, f"{expression}\n{answer.text}"
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found

    def firing(self) -> set[str]:
        alerts = self._client.get("/api/v1/alerts").json()["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def until_evaluated(self) -> None:
        """Waits until every rule has seen what is known now, and has had its time to wait."""

        def last() -> list[str]:
            groups = self._client.get("/api/v1/rules").json()["data"]["groups"]
            return [group["lastEvaluation"] for group in groups]

        def all_later(than: list[str]) -> bool:
            return all(a > b for a, b in zip(last(), than, strict=True))

        for _ in range(3):
            self.until(partial(all_later, last()), "rules have run")

    def _poll(self) -> None:
        while not self._ending.wait(0.3):
            answer = self._get("/api/v1/alerts")
            for alert in answer.json()["data"]["alerts"] if answer is not None else ():
                seen = self.fired.setdefault(alert["labels"]["alertname"], [])
                if alert["state"] == "firing" and alert["labels"] not in [other["labels"] for other in seen]:
                    seen.append(alert)

    def until_fired(self, alert: str, seconds: float = 90, **labels: str) -> dict[str, Any]:
        """The alert with these labels, once it has fired."""

        self.until(lambda: bool(self.seen(alert, **labels)), f"{alert} {labels} fires", seconds)
        return self.seen(alert, **labels)[0]

    def seen(self, alert: str, **labels: str) -> list[dict[str, Any]]:
        """Those with these labels that have fired."""
        return [a for a in list(self.fired.get(alert, ())) if labels.items() <= a["labels"].items()]

    def until(self, true: Callable[[], bool], what: str, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not true():
            assert self._process.poll() is None, (self.place / "prometheus.log").read_text()
            assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
            time.sleep(0.1)

    def close(self) -> None:
        self._ending.set()
        if self._poller.is_alive():
            self._poller.join(10)
        self._client.close()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
