"""How long an import of MLflow's database takes, and in how much memory: many runs, 10 M points in all by default.

    python loadtests/bench_import.py [--runs 10000] [--keys 10] [--steps 100] [--keep DIRECTORY]

The database is made by MLflow's own migrations (.venv-mlflow), and filled with rows as its server writes them; then it
is imported by the real command, and imported once more, which brings nothing and has to look at everything.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
_POINTS = 'INSERT INTO metrics ("key", value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, 0)'


def make_database(path: Path, runs: int, keys: int, steps: int) -> None:
    """Points of a run come step by step, as training logs them."""
    upgrade = [ROOT / ".venv-mlflow" / "bin" / "mlflow", "db", "upgrade", f"sqlite:///{path}"]
    subprocess.run(upgrade, check=True, capture_output=True, cwd=path.parent)
    rng = random.Random(1)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time) "
            "VALUES (1, 'bench', '/nowhere/1', 'active', 1)"
        )
        for number in range(runs):
            run_id = uuid.UUID(int=rng.getrandbits(128)).hex
            connection.execute(
                "INSERT INTO runs (run_uuid, name, user_id, status, start_time, end_time, lifecycle_stage, artifact_uri, "
                "experiment_id) VALUES (?, ?, 'ann', 'FINISHED', 1, 2, 'active', '/nowhere', 1)",
                (run_id, f"run {number}"),
            )
            held = [(f"k{place}", f"v{place}", run_id) for place in range(10)]
            connection.executemany("INSERT INTO params VALUES (?, ?, ?)", held)
            connection.executemany("INSERT INTO tags VALUES (?, ?, ?)", held)
            connection.executemany(_POINTS, points_of(run_id, keys, steps, rng))
            if number % 200 == 0:
                connection.commit()
        connection.commit()


def points_of(run_id: str, keys: int, steps: int, rng: random.Random) -> Iterator[tuple[Any, ...]]:
    for step in range(steps):
        for key in range(keys):
            yield f"metric {key}", rng.random() / (step + 1), 1_700_000_000_000 + step * 1000, run_id, step


def import_it(source: Path, store: Path) -> dict[str, Any]:
    """The command's report, with the most memory that it had, in megabytes."""
    command = [sys.executable, "-m", "penstock", "hub", "import", str(source), "--store", str(store), "--json"]
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output)
        watched = psutil.Process(process.pid)
        most = 0
        while process.poll() is None:
            try:
                most = max(most, watched.memory_info().rss)
            except psutil.NoSuchProcess:
                break
            time.sleep(0.05)
        process.wait()
        output.seek(0)
        report: dict[str, Any] = json.load(output)
    assert report["agrees"], report
    points = next(each for each in report["counts"] if each["kind"] == "metric points")
    seconds = time.monotonic() - began
    return {
        "seconds": round(seconds, 1),
        "points": points["imported"],
        "points_per_second": round(points["source"] / seconds),
        "memory_mb": round(most / 1e6),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--keys", type=int, default=10)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--keep", type=Path, help="where the database stays, for another time")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        place = given.keep or Path(made)
        place.mkdir(parents=True, exist_ok=True)
        source = place / f"mlflow-{given.runs}-{given.keys}-{given.steps}.db"
        if not source.exists():
            print(f"filling {source} …", file=sys.stderr)
            make_database(source, given.runs, given.keys, given.steps)
        store = Path(made) / "store"
        print(json.dumps({"load": os.getloadavg()[0], "source_mb": round(source.stat().st_size / 1e6)}))
        print(json.dumps({"first": import_it(source, store)}))
        print(json.dumps({"again": import_it(source, store)}))
        print(json.dumps({"store_mb": round(sum(each.stat().st_size for each in store.rglob("*.db*")) / 1e6)}))


if __name__ == "__main__":
    main()
