"""make bench-all: what make bench leaves out. More bodies and models, two workers, and every locust file once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import targets as t
from loads import ALL, OURS, Load, connections
from servers import BOTH_CORES, penstock

if TYPE_CHECKING:
    from bench import Bench

HERE = Path(__file__).parent
LOCUST_FILES = ("steady", "mixed", "slow", "swap", "ramp")


def more_sections(bench: Bench) -> None:
    iris_onnx = [
        Load("iris as ONNX, 1 row, 64 connections", OURS, "iris-onnx-1.json", connections(64)),
        Load("iris as ONNX, 1 row, 1 connection", OURS, "iris-onnx-1.json", connections(1)),
    ]
    bench.section("iris-onnx", iris_onnx)
    bench.section("forest", [Load("forest, 64 rows, 16 connections", ALL, "forest-64.json", connections(16))])
    two_workers(bench)


def two_workers(bench: Bench) -> None:
    """Both cores serve and both send: what a second worker brings on a machine that has no core to spare."""
    if not workers_allowed(2):
        print("--workers 2 is not to be had in this release: left out.", flush=True)
        return
    for number in (1, 2):
        arguments = ("--workers", str(number))
        with penstock(bench.directory / "forest", arguments=arguments, cores=BOTH_CORES) as server:
            scenario = f"forest, 1 row, 64 connections, workers: {number}, both cores"
            bench.in_rounds({t.PENSTOCK: server}, [Load(scenario, (t.PENSTOCK,), "forest-1.json", connections(64))])


def workers_allowed(number: int) -> bool:
    from pydantic import ValidationError

    from penstock.config import Settings

    try:
        Settings(workers=number)
    except ValidationError:
        return False
    return True


def run_locust(bench: Bench, seconds: int = 30) -> None:
    """Each locust file once, against a server that it starts itself; what it said last and whether it passed."""
    for name in LOCUST_FILES:
        command = [sys.executable, "-m", "locust", "-f", str(HERE / f"locust_{name}.py"), "--json"]
        command += ["--loglevel", "WARNING"]
        if name in ("steady", "mixed", "swap"):
            command += ["-t", f"{seconds}s"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        bench.results.runs[f"locust: {name}"] = f"{'pass' if done.returncode == 0 else 'FAIL'}: {said(done.stdout)}"
        print(f"locust {name}: {bench.results.runs[f'locust: {name}']}", flush=True)
        if done.returncode:
            print(done.stderr[-3000:], file=sys.stderr)


def said(output: str) -> str:
    """Requests and failures out of locust's JSON, in words."""
    try:
        entries = json.loads(output[output.index("[") : output.rindex("]") + 1])
    except ValueError:
        return "no figures"
    requests = sum(e["num_requests"] for e in entries)
    failures = sum(e["num_failures"] for e in entries)
    return f"{requests:,} requests, {failures:,} failed"
