"""make bench-hub-backup: a store of ten million points saved, saved again, restored into both kinds of databases, and
saved from there: seconds, bytes and the most memory of each command; and its runs deleted and collected.

The runs are those of `make bench-hub-size` without the long series: 990 points in ten series each, packed, with
params and a file.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from time import monotonic

from hub_process import PENSTOCK
from own_postgres import postgres

from penstock.assembly.hub import HubOptions, open_stores
from penstock.tracking.metrics import Metric
from penstock.tracking.writes import CreateExperiment, CreateRun, DeleteExperiment, LogBatch, UpdateRun

_KEYS, _STEPS = 10, 99  # with params and tags as many as a batch may have


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000, help="each has 990 points")
    parser.add_argument("--out", type=Path, default=Path("build/bench-hub"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    lines = ["| | s | most memory, MB | bytes a point |", "|---|---|---|---|"]
    points = options.runs * _KEYS * _STEPS
    with tempfile.TemporaryDirectory(prefix="bench-hub-backup-", dir=options.out.resolve()) as made:
        place = Path(made)
        began = monotonic()
        _fill(place, options.runs)
        print(f"{points:,} points in {monotonic() - began:.0f} s", flush=True)

        def measured(what: str, sized: Path | None, *arguments: str) -> None:
            lines.append(_row(what, points, place, sized, *arguments))
            print(lines[-1], flush=True)

        with postgres(place / "postgres") as url:
            files = str(place / "files")
            sqlite = ("--store", str(place / "store"), "--artifacts", files)
            measured("SQLite, saved", place / "saved", *sqlite, "backup", str(place / "saved"))
            measured("saved again", None, *sqlite, "backup", str(place / "saved"))
            new = ("--store", str(place / "new"), "--artifacts", str(place / "files2"))
            measured("restored into SQLite", place / "new", *new, "restore", str(place / "saved"))
            server = ("--store", url, "--artifacts", str(place / "files3"))
            measured("restored into PostgreSQL", None, *server, "restore", str(place / "saved"))
            measured("PostgreSQL, saved", place / "saved2", *server, "backup", str(place / "saved2"))
            measured("SQLite, collected", None, *new, "gc", "--yes")
            _delete_all(place / "new", place / "files2")
            measured("SQLite, all runs collected", None, *new, "gc", "--yes")
    table = "\n".join(lines)
    (options.out / "hub-backup.md").write_text(table + "\n")
    print(f"\n{table}")
    return 0


def _fill(place: Path, runs: int) -> None:
    opened = open_stores(HubOptions(str(place / "store"), str(place / "files")))
    with closing(opened.tracking) as tracking:
        experiment = tracking.write(CreateExperiment("size"))
        done: list[object] = []
        for each in range(runs):
            run_id = tracking.write(CreateRun(experiment, f"run {each}", "bench", each)).run_id
            values = [
                Metric(f"m{key}", (each * 7 + key * step) % 1000 / 1000 + 1e-7 * step, 1_700_000_000_000 + step, step)
                for key in range(_KEYS)
                for step in range(_STEPS)
            ]
            params = [(f"p{key}", f"{(each * (key + 3)) % 97}") for key in range(5)]
            tracking.submit(LogBatch(run_id, values, params, [("team", f"{each % 10}")]), None, done.extend)
            tracking.submit(UpdateRun(run_id, "FINISHED", each + 500), None, done.extend)
            with opened.artifacts.new(f"{experiment}/{run_id}/artifacts/summary.txt") as file:
                file.write(f"run {each}\n".encode() * 100)


def _delete_all(store: Path, files: Path) -> None:
    opened = open_stores(HubOptions(str(store), str(files)))
    with closing(opened.tracking) as tracking:
        tracking.write(DeleteExperiment(tracking.experiment_by_name("size").experiment_id))


def _row(what: str, points: int, place: Path, sized: Path | None, *arguments: str) -> str:
    began = monotonic()
    process = subprocess.Popen([PENSTOCK, "hub", *arguments, *(["--json"])], stdout=subprocess.PIPE)
    assert process.stdout is not None
    told = json.loads(process.stdout.read())
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{what}: {told}")
    size = f"{_bytes(sized) / points:.1f}" if sized is not None else ""
    return f"| {what} | {monotonic() - began:.1f} | {usage.ru_maxrss / 1024:.0f} | {size} |"


def _bytes(place: Path) -> int:
    return sum(file.stat().st_size for file in place.rglob("*") if file.is_file())


if __name__ == "__main__":
    sys.exit(main())
