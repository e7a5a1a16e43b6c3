"""make bench-hub: `penstock hub` beside `mlflow server`, one worker each, on SQLite, in turn.

Raw HTTP over kept connections, one client for both; its own time is in every figure. 1,000 runs of 20 params, 20 metrics
and 5 tags. Both sides keep SQLite's default `synchronous` setting (FULL); the hub's database is in WAL mode, MLflow's is
as MLflow makes it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import psutil
from hub_client import HubClient, at_once
from hub_process import cpu_seconds, free_port, hub_process, memory_mb, server_process

ROOT = Path(__file__).resolve().parents[1]
_T0 = 1_700_000_000_000


@dataclass
class Figures:
    """What was measured of one server. Rates are a second, times in milliseconds, memory in MB."""

    start: float = 0.0
    runs: float = 0.0
    log_metric: float = 0.0
    points: float = 0.0
    search_100: float = 0.0
    filtered: float = 0.0
    search_1000: float = 0.0
    history: float = 0.0
    chart: float = 0.0
    memory: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)


# Name, what it is called, whether more is better, and by which factor the hub has to be better.
_ROWS = (
    ("runs", "whole runs, 4 connections, runs/s", True, 25.0),
    ("log_metric", "log-metric, 8 connections, requests/s", True, 25.0),
    ("points", "log-batch of 1,000 points, 1 connection, points/s", True, 6.0),
    ("search_100", "search of the 100 newest, ms", False, 20.0),
    ("filtered", "filter by metric and param, order by metric, ms", False, 10.0),
    ("search_1000", "search of 1,000, ms", False, 15.0),
    ("history", "history of 20,000 points, ms", False, 12.0),
    ("chart", "chart of 320 points from them, ms", False, 12.0),
    ("memory", "memory after it, all processes, MB", False, 5.0),
    ("start", "start to /health, s", False, 1.0),
)


def main() -> int:
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[Figures]] = {name: [] for name in options.only}
    for number in range(options.rounds):
        for name in options.only:
            figures = _measure(_SERVERS[name], options)
            found[name].append(figures)
            print(f"round {number + 1}, {name}: {figures}", flush=True)
    middle = {name: _median(all_of) for name, all_of in found.items()}
    table = _table(middle)
    (options.out / "hub.md").write_text(table + "\n")
    (options.out / "hub.json").write_text(json.dumps({name: vars(f) for name, f in middle.items()}, indent=1))
    print(f"\n{table}")
    return 0 if "| no |" not in table else 1


def _measure(serve: Callable[[Path], Any], options: argparse.Namespace) -> Figures:
    figures = Figures()
    with (
        tempfile.TemporaryDirectory(prefix="bench-hub-", dir=options.out) as directory,
        serve(Path(directory)) as started,
    ):
        url, process, figures.start = started
        client = HubClient(url)
        experiment = json.loads(client.post("experiments/create", {"name": "bench"}))["experiment_id"]
        _rate(figures, "runs", process, at_once, url, 4, lambda c, n: _whole_runs(c, experiment, options.runs // 4, n))
        run_id = _new_run(client, experiment)
        each = options.metrics // 8
        _rate(figures, "log_metric", process, at_once, url, 8, lambda c, n: _log_metrics(c, run_id, each, n))
        run_id = _new_run(client, experiment)
        _rate(figures, "points", process, at_once, url, 1, lambda c, n: _log_batches(c, run_id, options.points // 1000))
        _time(figures, "search_100", lambda: _search(client, experiment, 100))
        wanted = {"filter": "metrics.m3 > 0.2 and params.p5 = 'v5'", "order_by": ["metrics.m7 DESC"]}
        _time(figures, "filtered", lambda: _search(client, experiment, 100, **wanted))
        _time(figures, "search_1000", lambda: _search(client, experiment, 1000))
        history = {"run_id": run_id, "metric_key": "long", "max_results": 25_000}
        _time(figures, "history", lambda: client.get("metrics/get-history", **history))
        interval = {"run_ids": run_id, "metric_key": "long", "max_results": 320}
        place = "/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval"
        _time(figures, "chart", lambda: client.get(place, **interval))
        client.close()
        figures.memory = memory_mb(process)
    return figures


def _rate(
    figures: Figures, name: str, process: psutil.Process, ask: Callable[..., tuple[int, float]], *of: Any
) -> None:
    before = cpu_seconds(process)
    done, seconds = ask(*of)
    setattr(figures, name, done / seconds)
    figures.cpu[name] = 1e6 * (cpu_seconds(process) - before) / done


def _time(figures: Figures, name: str, ask: Callable[[], bytes]) -> None:
    """The median of nine, the first one left out."""
    times = []
    ask()
    for _ in range(9):
        start = perf_counter()
        ask()
        times.append(1000 * (perf_counter() - start))
    setattr(figures, name, median(times))


def _whole_runs(client: HubClient, experiment: str, count: int, number: int) -> int:
    for each in range(count):
        run_id = _new_run(client, experiment, _T0 + 1000 * each + number)
        metrics = [
            {"key": f"m{k}", "value": (each % 100) / 100 + k, "timestamp": _T0 + each, "step": 0} for k in range(20)
        ]
        params = [{"key": f"p{k}", "value": f"v{k}" if each % 2 else f"w{each}"} for k in range(20)]
        tags = [{"key": f"t{k}", "value": f"tag {k}"} for k in range(5)]
        client.post("runs/log-batch", {"run_id": run_id, "metrics": metrics, "params": params, "tags": tags})
        client.post("runs/update", {"run_id": run_id, "status": "FINISHED", "end_time": _T0 + each + 500})
    return count


def _new_run(client: HubClient, experiment: str, start: int = _T0) -> str:
    made = client.post("runs/create", {"experiment_id": experiment, "user_id": "bench", "start_time": start})
    return str(json.loads(made)["run"]["info"]["run_id"])


def _log_metrics(client: HubClient, run_id: str, count: int, number: int) -> int:
    for step in range(count):
        point = {"key": f"loss{number}", "value": 1 / (step + 1), "timestamp": _T0 + step, "step": step}
        client.post("runs/log-metric", {"run_id": run_id, **point})
    return count


def _log_batches(client: HubClient, run_id: str, count: int) -> int:
    for batch in range(count):
        steps = range(1000 * batch, 1000 * (batch + 1))
        metrics = [{"key": "long", "value": 1 / (s + 1), "timestamp": _T0 + 10 * s, "step": s} for s in steps]
        client.post("runs/log-batch", {"run_id": run_id, "metrics": metrics})
    return 1000 * count


def _search(client: HubClient, experiment: str, limit: int, **wanted: Any) -> bytes:
    return client.post("runs/search", {"experiment_ids": [experiment], "max_results": limit, **wanted})


@contextmanager
def _hub(directory: Path) -> Iterator[tuple[str, psutil.Process, float]]:
    with hub_process(directory, str(directory / "store")) as started:
        yield started


@contextmanager
def _mlflow(directory: Path) -> Iterator[tuple[str, psutil.Process, float]]:
    port = free_port()
    command = [str(_environment() / "bin" / "mlflow"), "server", "--workers", "1", "--port", str(port)]
    store = ["--backend-store-uri", f"sqlite:///{directory / 'mlflow.db'}", "--artifacts-destination", str(directory)]
    with server_process([*command, *store], directory, port) as started:
        yield started


_SERVERS = {"mlflow": _mlflow, "hub": _hub}


def _environment() -> Path:
    return Path(os.environ.get("MLFLOW_ENVIRONMENT", ROOT / ".venv-mlflow"))


def _median(all_of: list[Figures]) -> Figures:
    middle = {name: median(getattr(f, name) for f in all_of) for name, *_ in _ROWS}
    return Figures(**middle, cpu=all_of[-1].cpu)


def _table(found: dict[str, Figures]) -> str:
    lines = ["| measured | MLflow | hub | ratio | wanted | reached |", "|---|---|---|---|---|---|"]
    for name, title, more, wanted in _ROWS:
        theirs, ours = (getattr(found[side], name) if side in found else float("nan") for side in ("mlflow", "hub"))
        ratio = ours / theirs if more else theirs / ours
        reached = "-" if ratio != ratio else "yes" if ratio >= wanted and (name != "start" or ours <= 1) else "no"
        lines.append(f"| {title} | {theirs:,.3g} | {ours:,.3g} | {ratio:.1f} | {wanted:g} | {reached} |")
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/bench-hub"))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--metrics", type=int, default=2000, help="requests to log-metric")
    parser.add_argument("--points", type=int, default=20_000, help="points logged in batches of 1,000")
    parser.add_argument("--only", nargs="+", choices=("mlflow", "hub"), default=("mlflow", "hub"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
