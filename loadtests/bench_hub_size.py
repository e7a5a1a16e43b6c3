"""make bench-hub-size: `penstock hub` with ten million points, on SQLite and on PostgreSQL.

Ten thousand runs are logged through REST (params, tags, nine metrics of a hundred steps in one request, ended), and ten
of them have one metric of a hundred thousand steps besides. Then the size of the database on the disk is taken, once
the points are packed, and what a page asks is asked.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from time import monotonic, perf_counter, sleep
from typing import NamedTuple

from hub_client import HubClient, at_once
from hub_process import PENSTOCK, cpu_seconds, hub_process, memory_mb
from own_postgres import postgres

_T0 = 1_700_000_000_000
_KEYS, _STEPS, _LONG, _BATCH = 9, 100, 100_000, 1000
_CHART = "/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval"
_CONNECTIONS = 2


class Store(NamedTuple):
    """A database: what the hub is told, its bytes on the disk, and how many points are not packed."""

    url: str
    size: Callable[[], int]
    unpacked: Callable[[], int]


class Row(NamedTuple):
    name: str
    value: float
    most: float


def main() -> int:
    options = _options()
    options.out = options.out.resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    found = {name: _measure(_STORES[name], options) for name in options.only}
    table = _table(found)
    (options.out / "hub-size.md").write_text(table + "\n")
    print(f"\n{table}")
    return 0 if all(row.value <= row.most for rows in found.values() for row in rows) else 1


def _measure(opened: Callable[[Path], Iterator[Store]], options: argparse.Namespace) -> list[Row]:
    with (
        tempfile.TemporaryDirectory(prefix="bench-hub-size-", dir=options.out) as made,
        contextmanager(opened)(Path(made)) as store,
        hub_process(Path(made), store.url, "--artifacts", str(Path(made) / "artifacts")) as (url, process, _),
    ):
        before = store.size()
        client = HubClient(url)
        experiment = json.loads(client.post("experiments/create", {"name": "size"}))["experiment_id"]
        points, loading = at_once(url, _CONNECTIONS, lambda c, n: _load(c, experiment, options.runs, n))
        print(f"{points:,} points in {loading:.0f} s, {cpu_seconds(process):.0f} s of CPU", flush=True)
        begun = monotonic()
        while store.unpacked() >= options.runs:
            sleep(0.2)
        print(f"packed after {monotonic() - begun:.1f} s", flush=True)
        bytes_each = (store.size() - before) / points
        loaded = memory_mb(process)
        questions = _ask(client, experiment, options)
        client.close()
        return [
            Row("loading, s", loading * options.wanted, 240),
            Row("bytes a point on the disk, all tables", bytes_each, 30),
            *questions,
            Row("memory after loading, MB", loaded, float("inf")),
            Row("memory after the questions, of that after loading", memory_mb(process) / loaded, 1.5),
        ]


def _load(client: HubClient, experiment: str, runs: int, number: int) -> int:
    points = 0
    for each in range(number, runs, _CONNECTIONS):
        start = _T0 + 1000 * each
        made = client.post("runs/create", {"experiment_id": experiment, "user_id": "bench", "start_time": start})
        run_id = json.loads(made)["run"]["info"]["run_id"]
        metrics = [
            {"key": f"m{key}", "value": (each * 7 + key * step) % 1000 / 1000 + 1e-7 * step, "timestamp": start + step,
             "step": step}
            for step in range(_STEPS)
            for key in range(_KEYS)
        ]  # fmt: skip
        params = [{"key": f"p{key}", "value": f"{(each * (key + 3)) % 97}"} for key in range(5)]
        tags = [{"key": "team", "value": f"team {each % 10}"}]
        client.post("runs/log-batch", {"run_id": run_id, "metrics": metrics, "params": params, "tags": tags})
        points += len(metrics)
        if each * 10 // runs != (each - 1) * 10 // runs:  # ten of them, evenly
            points += _log_long(client, run_id, start)
        client.post("runs/update", {"run_id": run_id, "status": "FINISHED", "end_time": start + 500})
    return points


def _log_long(client: HubClient, run_id: str, start: int) -> int:
    for first in range(0, _LONG, _BATCH):
        metrics = [
            {"key": "long", "value": 1 / (step + 1), "timestamp": start + 10 * step, "step": step}
            for step in range(first, first + _BATCH)
        ]
        client.post("runs/log-batch", {"run_id": run_id, "metrics": metrics})
    return _LONG


def _ask(client: HubClient, experiment: str, options: argparse.Namespace) -> list[Row]:
    """What a page asks, many times, each time for something else."""
    search = {"experiment_ids": [experiment], "max_results": 100}
    filtered = []
    for each in range(options.questions):
        wanted = {
            "filter": f"metrics.m3 > {each % 10 / 10} and params.p2 = '{each % 97}'",
            "order_by": [f"metrics.m{each % _KEYS} DESC"],
        }
        filtered.append(_milliseconds(lambda asked=wanted: client.post("runs/search", {**search, **asked})))
    newest = [_milliseconds(lambda: client.post("runs/search", search)) for _ in range(options.questions)]
    with_long = {**search, "filter": "metrics.long > 0", "max_results": 10}
    runs = [each["info"]["run_id"] for each in json.loads(client.post("runs/search", with_long))["runs"]]
    history, chart = [], []
    for each in range(max(options.questions // 5, len(runs))):
        long = {"run_id": runs[each % len(runs)], "metric_key": "long", "max_results": _LONG}
        history.append(_milliseconds(lambda asked=long: client.get("metrics/get-history", **asked)))
        interval = {"run_ids": runs[each % len(runs)], "metric_key": "long", "max_results": 320}
        chart.append(_milliseconds(lambda asked=interval: client.get(_CHART, **asked)))
    return [
        Row("filtered and ordered search, p95 in ms", _p95(filtered), 50),
        Row("search of the 100 newest, p95 in ms", _p95(newest), 50),
        Row("history of 100,000 points, median in ms", median(history), 150),
        Row("chart of 320 points from them, median in ms", median(chart), 10),
    ]


def _milliseconds(ask: Callable[[], bytes]) -> float:
    start = perf_counter()
    ask()
    return 1000 * (perf_counter() - start)


def _p95(times: list[float]) -> float:
    return quantiles(times, n=20)[-1]


def _sqlite(place: Path) -> Iterator[Store]:
    import sqlite3

    directory = place / "store"

    def size() -> int:
        return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())

    def unpacked() -> int:
        database = next(directory.glob("*.db"))
        connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=60)
        try:
            return int(connection.execute("SELECT count(*) FROM penstock_points").fetchone()[0])
        finally:
            connection.close()

    yield Store(str(directory), size, unpacked)


def _postgresql(place: Path) -> Iterator[Store]:
    from sqlalchemy import create_engine, text

    with postgres(place / "postgres") as url:
        subprocess.run([PENSTOCK, "hub", "--store", url, "migrate"], check=True)
        engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))

        def one(question: str) -> int:
            with engine.connect() as connection:
                return int(connection.execute(text(question)).scalar_one())

        yield Store(
            url,
            lambda: one("SELECT pg_database_size(current_database())"),
            lambda: one("SELECT count(*) FROM penstock_points"),
        )
        engine.dispose()


_STORES: dict[str, Callable[[Path], Iterator[Store]]] = {"sqlite": _sqlite, "postgresql": _postgresql}


def _table(found: dict[str, list[Row]]) -> str:
    lines = [f"| measured | {' | '.join(found)} | wanted |", f"|---|{'---|' * len(found)}---|"]
    for rows in zip(*found.values(), strict=True):
        values = " | ".join(f"{row.value:,.3g}{'' if row.value <= row.most else ' **no**'}" for row in rows)
        most = rows[0].most
        lines.append(f"| {rows[0].name} | {values} | {'' if most == float('inf') else f'≤ {most:g}'} |")
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/bench-hub"))
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--questions", type=int, default=100, help="of each kind")
    parser.add_argument("--only", nargs="+", choices=tuple(_STORES), default=tuple(_STORES))
    options = parser.parse_args()
    options.wanted = 10_000 / options.runs  # what a shorter loading would have taken at full length, about
    return options


if __name__ == "__main__":
    sys.exit(main())
