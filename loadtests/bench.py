"""make bench: Penstock with its shipped defaults, MLflow's scoring server and the constant-bytes floor, the same load.

One core serves, the other sends. Every row of the result is measured in turn within one run, so that ratios mean
something on a noisy machine. Writes result.json, result.md, and the plots as PNG and as one HTML page.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from models import make
from report import write_report
from servers import LOAD_CORE, MLFLOW_PYTHON, Server, floor, mlflow, penstock

GENERATOR = Path(__file__).parent / "generator.py"


@dataclass
class Row:
    """One measurement: which server under which load, and what came of it."""

    scenario: str
    server: str
    result: dict[str, Any]
    seconds_to_ready: float = 0.0
    megabytes: float = 0.0


@dataclass
class Results:
    """Everything of one run. `notes` are figures that are no load: loops without a server."""

    machine: str
    rows: list[Row] = field(default_factory=list)
    notes: dict[str, float] = field(default_factory=dict)

    def rate(self, scenario: str, server: str) -> float:
        return float(self._find(scenario, server).result["ok_per_second"])

    def value(self, scenario: str, server: str, key: str) -> float:
        return float(self._find(scenario, server).result[key])

    def has(self, scenario: str, server: str) -> bool:
        return any(r.scenario == scenario and r.server == server for r in self.rows)

    def _find(self, scenario: str, server: str) -> Row:
        return next(r for r in self.rows if r.scenario == scenario and r.server == server)


def load(server: Server, body: Path, seconds: float, *options: str) -> dict[str, Any]:
    """Runs the generator on the other core and returns its summary."""
    command = ["taskset", "-c", LOAD_CORE, sys.executable, str(GENERATOR), f"{server.url}/invocations"]
    command += ["--body", str(body), "--seconds", str(seconds), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


class Bench:
    """Runs scenarios and collects rows."""

    def __init__(self, directory: Path, seconds: float, with_mlflow: bool) -> None:
        self.directory = directory
        self.seconds = seconds
        self.with_mlflow = with_mlflow
        self.results = Results(machine=f"{platform.machine()}, Python {platform.python_version()}, one core a server")

    def body(self, name: str) -> Path:
        return self.directory / name

    def run(self, scenario: str, package: str, body: str, servers: str, *options: str) -> None:
        """One scenario on each of the servers named: f(loor), p(enstock), m(lflow)."""
        starts: dict[str, tuple[str, Callable[[], AbstractContextManager[Server]]]] = {
            "f": ("floor", floor),
            "p": ("Penstock", lambda: penstock(self.directory / package)),
            "m": ("MLflow", lambda: mlflow(self.directory / package)),
        }
        for letter in servers:
            if letter == "m" and not self.with_mlflow:
                continue
            name, start = starts[letter]
            with start() as server:
                result = load(server, self.body(body), self.seconds, *options)
                row = Row(scenario, name, result, server.seconds_to_ready, server.memory())
            self.results.rows.append(row)
            _say(row)

    def all(self, overload_seconds: float) -> None:
        many, few, one = ("--connections", "64"), ("--connections", "16"), ("--connections", "1")
        self.run("iris, 1 row, 64 connections", "iris", "iris-1.json", "fpm", *many)
        self.run("iris, 1 row, 1 connection", "iris", "iris-1.json", "fpm", *one)
        self.run("iris, 64 rows, 16 connections", "iris", "iris-64.json", "fpm", *few)
        self.run("forest, 1 row, 64 connections", "forest", "forest-1.json", "fpm", *many)
        self.run("forest as ONNX, 1 row, 64 connections", "forest-onnx", "forest-1.json", "fp", *many)
        self.run("forest as ONNX, 1 row, 1 connection", "forest-onnx", "forest-1.json", "fp", *one)
        self.run("forest as ONNX, 1000 × 30 JSON", "forest-onnx", "forest-1000.json", "p", "--connections", "4")
        self.run("no model, 1000 × 30 JSON", "row-max", "forest-1000.json", "p", "--connections", "4")
        arrow = ("--connections", "4", "--content-type", "application/vnd.apache.arrow.stream")
        self.run("no model, 1000 × 30 Arrow", "row-max", "rows-1000.arrow", "p", *arrow)
        self.results.notes["forest as ONNX, 1000 × 30, bare loop"] = bare_loop(self.directory)
        self.steady()
        self.overload(overload_seconds)

    def steady(self) -> None:
        """Open loop at a third of what each could do."""
        for letter, name in (("p", "Penstock"), ("m", "MLflow")):
            if self.results.has("iris, 1 row, 64 connections", name):
                rate = self.results.rate("iris, 1 row, 64 connections", name) / 3
                options = ("--rate", f"{rate:.0f}", "--connections", "256")
                self.run("iris, 1 row, open loop at a third", "iris", "iris-1.json", letter, *options)

    def overload(self, seconds: float) -> None:
        """Open loop at twice the capacity: how much good work is still done, and what the rest is told."""
        capacity = self.results.rate("forest, 1 row, 64 connections", "Penstock")
        seconds, self.seconds = self.seconds, seconds
        rate = ("--rate", f"{2 * capacity:.0f}", "--connections", "512")
        self.run("forest, overload at 2 × capacity", "forest", "forest-1.json", "p", *rate)
        capacity = self.results.rate("iris, 1 row, 64 connections", "Penstock")
        self.seconds = seconds
        rate = ("--rate", f"{2 * capacity:.0f}", "--connections", "512")
        self.run("iris, overload at 2 × capacity", "iris", "iris-1.json", "p", *rate)


def bare_loop(directory: Path) -> float:
    """Bodies a second that orjson, numpy and onnxruntime reach alone, on the server's core, in a loop."""
    code = (
        "import sys,time,orjson,numpy as np,onnxruntime as o\n"
        "body=open(sys.argv[1],'rb').read();opt=o.SessionOptions();opt.intra_op_num_threads=1\n"
        "s=o.InferenceSession(sys.argv[2],opt,providers=['CPUExecutionProvider']);times=[]\n"
        "for _ in range(150):\n"
        " t=time.perf_counter();x=np.array(orjson.loads(body)['inputs'],dtype=np.float32)\n"
        " r=s.run(None,{s.get_inputs()[0].name:x})\n"
        " orjson.dumps({'predictions':dict(zip([i.name for i in s.get_outputs()],r))},option=orjson.OPT_SERIALIZE_NUMPY)\n"
        " times.append(time.perf_counter()-t)\n"
        "print(sorted(times)[75])"
    )
    paths = [str(directory / "forest-1000.json"), str(directory / "forest-onnx" / "model.onnx")]
    command = ["taskset", "-c", "0", sys.executable, "-c", code, *paths]
    times = [float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(3)]
    return 1 / statistics.median(times)


def _say(row: Row) -> None:
    r = row.result
    print(
        f"{row.scenario:42} {row.server:9} {r['ok_per_second']:9.0f} ok/s  p50 {r['p50']:7.2f} ms  p99 {r['p99']:7.2f} ms"
        f"  {r['statuses']}  {row.megabytes:.0f} MB",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement")
    parser.add_argument("--overload-seconds", type=float, default=60)
    parser.add_argument("--without-mlflow", action="store_true")
    options = parser.parse_args()
    with_mlflow = not options.without_mlflow
    if with_mlflow and not MLFLOW_PYTHON.exists():
        sys.exit("MLflow's environment is missing: make mlflow-env, or --without-mlflow.")
    began = time.perf_counter()
    make(options.out / "models")
    bench = Bench(options.out / "models", options.seconds, with_mlflow)
    bench.all(options.overload_seconds)
    (options.out / "result.json").write_text(json.dumps(asdict(bench.results), indent=1))
    print(write_report(bench.results, options.out))
    print(f"{time.perf_counter() - began:.0f} s; written to {options.out}")


if __name__ == "__main__":
    main()
