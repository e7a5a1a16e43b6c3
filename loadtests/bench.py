"""make bench: Penstock with its shipped defaults, MLflow's scoring server and the constant-bytes floor, the same load.

One core serves, the other sends. The servers of a section stand side by side and are loaded in turn, round after round,
so that all of them see the same noise; a ratio is the median of the rounds' ratios. Writes result.json, result.md,
result.html and the plots as PNG.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import targets as t
import wrk
from extras import more_sections, run_locust
from loads import ALL, ARROW, OURS, Load, connections
from models import make
from report import write_report
from results import Measurement, Overload, Results, Summary
from servers import (
    LOAD_CORE,
    MLFLOW_PYTHON,
    SERVER_CORE,
    MemoryWatch,
    Server,
    allow_many_files,
    floor,
    mlflow,
    penstock,
)

from machine import describe

HERE = Path(__file__).parent
OVERLOAD_CONNECTIONS = 2000


Beside = tuple[str, Callable[[dict[str, Server]], float]]
NOTHING: Mapping[str, Beside] = {}


class Bench:
    """Starts servers, loads them in rounds and collects what comes of it."""

    def __init__(self, directory: Path, seconds: float, rounds: int, with_mlflow: bool, command: str) -> None:
        self.directory = directory
        self.seconds = seconds
        self.rounds = rounds
        self.with_mlflow = with_mlflow
        self.results = Results(machine=describe(command, f"{rounds} rounds of {seconds:g} s", with_mlflow))

    def all(self, overload_seconds: float) -> None:
        iris = [
            Load(t.IRIS, ALL, "iris-1.json", connections(64)),
            Load(t.ONE, ALL, "iris-1.json", connections(1)),
            Load(t.IRIS_64, ALL, "iris-64.json", connections(16)),
        ]
        onnx = [
            Load(t.FOREST_ONNX, OURS, "forest-1.json", connections(64)),
            Load(t.ONNX_ONE, OURS, "forest-1.json", connections(1)),
            Load(t.WIDE, (t.PENSTOCK,), "forest-1000.json", connections(4)),
        ]
        empty = [
            Load(t.EMPTY, (t.PENSTOCK,), "forest-1000.json", connections(4)),
            Load(t.EMPTY_ARROW, (t.PENSTOCK,), "rows-1000.arrow", (*connections(4), *ARROW)),
        ]
        by_wrk = {t.IRIS: (t.FLOOR_BY_WRK, self._wrk)} if wrk.is_there() else {}
        alone = {t.WIDE: (t.WIDE_LOOP, lambda _: bare_loop(self.directory))}
        self.section("iris", iris, open_loops=True, beside=by_wrk)
        self.section("forest", [Load(t.FOREST, ALL, "forest-1.json", connections(64))])
        self.section("forest-onnx", onnx, beside=alone)
        self.section("row-max", empty)
        self.overload(t.FOREST_OVERLOAD, "forest", overload_seconds)
        self.overload(t.IRIS_OVERLOAD, "iris", overload_seconds / 4)

    def section(
        self, package: str, loads: list[Load], *, open_loops: bool = False, beside: Mapping[str, Beside] = NOTHING
    ) -> None:
        """Serves one package on every server that the loads name, and runs the loads in rounds."""
        names = {name for each in loads for name in each.servers}
        with ExitStack() as stack:
            servers: dict[str, Server] = {}
            if t.FLOOR in names:
                servers[t.FLOOR] = stack.enter_context(floor())
            if t.PENSTOCK in names:
                servers[t.PENSTOCK] = stack.enter_context(penstock(self.directory / package))
            if t.MLFLOW in names and self.with_mlflow:
                servers[t.MLFLOW] = stack.enter_context(mlflow(self.directory / package))
            self.in_rounds(servers, loads, beside)
            if open_loops:
                self.in_rounds(servers, self._open_loops())

    def in_rounds(self, servers: dict[str, Server], loads: list[Load], beside: Mapping[str, Beside] = NOTHING) -> None:
        """`beside` names a rate that is measured in each round of a scenario, too."""
        for each in loads:
            for _ in range(self.rounds):
                for name in each.servers:
                    if name in servers:
                        self._measure(servers[name], name, each)
                if each.scenario in beside:
                    name, measure = beside[each.scenario]
                    self.results.loops.setdefault(name, []).append(measure(servers))
            for name in each.servers:
                if name in servers:
                    _say(self.results.find(each.scenario, name))

    def _wrk(self, servers: dict[str, Server]) -> float:
        return wrk.rate(servers[t.FLOOR].url, self.directory / "iris-1.json", self.seconds)

    def _open_loops(self) -> list[Load]:
        """The same rate for all, that MLflow can bear, and one that only the other two can."""
        loads = []
        for scenario, of, names in ((t.OPEN_SLOW, t.MLFLOW, ALL), (t.OPEN_FAST, t.PENSTOCK, OURS)):
            if self.results.has(t.IRIS, of):
                rate = self.results.find(t.IRIS, of).median(t.RATE) / 3
                loads.append(Load(scenario, names, "iris-1.json", (*connections(256), "--rate", f"{rate:.0f}")))
        return loads

    def _measure(self, server: Server, name: str, each: Load) -> None:
        used = server.cpu_seconds()
        summary = load(server, self.directory / each.body, self.seconds, *each.options)
        summary[t.CPU] = (server.cpu_seconds() - used) / max(summary["answered"], 1) * 1e6
        if not self.results.has(each.scenario, name):
            self.results.measurements.append(Measurement(each.scenario, name, [], server.seconds_to_ready))
        found = self.results.find(each.scenario, name)
        found.rounds.append(summary)
        found.megabytes = max(found.megabytes, server.memory())

    def overload(self, scenario: str, package: str, seconds: float) -> None:
        """Open loop at twice the capacity: how much good work is still done, and what the rest is told."""
        body = self.directory / f"{package}-1.json"
        with penstock(self.directory / package) as server:
            before = float(load(server, body, 3 * self.seconds, *connections(64))[t.RATE])
            with MemoryWatch(server) as watch:
                options = ("--rate", f"{2 * before:.0f}", *connections(OVERLOAD_CONNECTIONS))
                during = load(server, body, seconds, *options)
            after = float(load(server, body, 3 * self.seconds, *connections(64))[t.RATE])
        found = Overload(scenario, before, during, after, watch.samples)
        self.results.overloads.append(found)
        print(
            f"{scenario:44} goodput {found.goodput:.0%} of {found.capacity:,.0f}/s  p99 {during['p99']:.0f} ms"
            f"  {during['statuses']}  memory {found.growth:+.1%}",
            flush=True,
        )


def load(server: Server, body: Path, seconds: float, *options: str) -> Summary:
    """Runs the generator on the other core and returns its summary."""
    command = ["taskset", "-c", LOAD_CORE, sys.executable, str(HERE / "generator.py"), f"{server.url}/invocations"]
    command += ["--body", str(body), "--seconds", str(seconds), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"The generator failed: {shlex.join(command)}\n{done.stderr}")
    result: Summary = json.loads(done.stdout)
    return result


def bare_loop(directory: Path) -> float:
    """Bodies a second that orjson, numpy and onnxruntime reach alone, on the server's core, in a loop."""
    paths = [str(directory / "forest-1000.json"), str(directory / "forest-onnx" / "model.onnx")]
    command = ["taskset", "-c", SERVER_CORE, sys.executable, str(HERE / "bare_loop.py"), *paths]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _say(found: Measurement) -> None:
    print(
        f"{found.scenario:44} {found.server:9} {found.median(t.RATE):9,.0f} ok/s  p50 {found.median('p50'):7.2f} ms"
        f"  p99 {found.median('p99'):7.2f} ms  {found.megabytes:.0f} MB  {found.troubles}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    parser.add_argument("--seconds", type=float, default=2, help="of each measurement in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--overload-seconds", type=float, default=60)
    parser.add_argument("--without-mlflow", action="store_true")
    parser.add_argument("--all", action="store_true", help="more scenarios, and every locust file")
    parser.add_argument("--report", action="store_true", help="write the report of an earlier run's result.json anew")
    options = parser.parse_args()
    out: Path = options.out
    if options.report:
        print(write_report(Results.from_json(json.loads((out / "result.json").read_text())), out))
        return
    with_mlflow = not options.without_mlflow
    if with_mlflow and not MLFLOW_PYTHON.exists():
        sys.exit("MLflow's environment is missing: make mlflow-env, or --without-mlflow.")
    if not {int(SERVER_CORE), int(LOAD_CORE)} <= os.sched_getaffinity(0):
        sys.exit("Two cores are needed: one serves, the other sends.")
    began = time.perf_counter()
    allow_many_files()
    make(out / "models")
    command = shlex.join(["python", "loadtests/bench.py", *sys.argv[1:]])
    bench = Bench(out / "models", options.seconds, options.rounds, with_mlflow, command)
    bench.all(options.overload_seconds)
    if options.all:
        more_sections(bench)
        run_locust(bench)
    (out / "result.json").write_text(json.dumps(bench.results.as_json()))
    print(write_report(bench.results, out))
    print(f"{time.perf_counter() - began:.0f} s; written to {out}")


if __name__ == "__main__":
    main()
