"""make bench-processes: what it costs that a model's code runs in a process of its own.

A python function of one row, unjoined and batchable, is served three ways, loaded in turn, round after round: in a model
process (Penstock's default for code), in a thread of the gateway (--isolation none), and by MLflow's scoring server. A
server and all its processes share one core, the generator has the other. Then, without HTTP: how long 1,000 rows of 30
floats take to a model process and back, and what an idle one holds beside its libraries.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from bench import load
from loads import connections
from servers import MLFLOW_PYTHON, allow_many_files, mlflow, penstock

from penstock.loading import LoadOptions
from penstock.machine.memory import resident_bytes
from penstock.metrics import Metrics
from penstock.package.save import save_model
from penstock.payload import Tensors
from penstock.serving.runners.isolation import IsolatedModel, Isolation, load_served
from penstock.serving.runners.process_runner import ProcessRunner

SOURCE = """
import numpy as np

def predict(inputs, params):
    return np.asarray(inputs, dtype=np.float64).sum(axis=1)
"""
_LIBRARIES = "import {}; print(open('/proc/self/statm').read().split()[1])"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/bench-processes"))
    parser.add_argument("--seconds", type=float, default=2, help="of each measurement in each round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    allow_many_files()
    packages = make(options.out / "models")
    found: dict[str, float] = {}
    found |= asyncio.run(crossing(packages["arrays"]))
    found |= memory(packages["apart"])
    for name in ("apart", "joined"):
        found |= rates(packages[name], name, options.seconds, options.rounds)
    (options.out / "result.json").write_text(json.dumps(found, indent=1))
    print("\n" + table(found))


def make(directory: Path) -> dict[str, Path]:
    """The packages, made once: two of frames, one of them batchable, and one of arrays."""
    import pandas as pd

    directory.mkdir(parents=True, exist_ok=True)
    source = directory / "sums.py"
    source.write_text(SOURCE)
    frame = pd.DataFrame({name: [1.0, 2.0, 4.0] for name in "abcd"})
    examples = {"apart": (frame, False), "joined": (frame, True), "arrays": (np.zeros((3, 30)), False)}
    for name, (example, batchable) in examples.items():
        if not (directory / name).exists():
            save_model(source, directory / name, example=example, batchable=batchable)
    body = {"dataframe_split": {"columns": list("abcd"), "data": [[1.0, 2.0, 3.0, 4.0]]}}
    (directory / "row.json").write_text(json.dumps(body))
    return {name: directory / name for name in examples}


def rates(package: Path, name: str, seconds: float, rounds: int) -> dict[str, float]:
    """Answers a second at 64 connections, and the median time at one."""
    body = package.parent / "row.json"
    trust = ("--trust-code",)
    with ExitStack() as stack:
        servers = {
            "process": stack.enter_context(penstock(package, arguments=trust)),
            "thread": stack.enter_context(penstock(package, arguments=(*trust, "--isolation", "none"))),
        }
        if MLFLOW_PYTHON.exists():
            servers["MLflow"] = stack.enter_context(mlflow(package))
        found: dict[str, list[float]] = {}
        for _ in range(rounds):
            for who, server in servers.items():
                used = server.cpu_seconds()
                many = load(server, body, seconds, *connections(64))
                used = (server.cpu_seconds() - used) / max(many["answered"], 1) * 1e6
                found.setdefault(f"{name}, {who}: processor, µs an answer", []).append(used)
                p50, p10 = one_by_one(server.url, body.read_bytes())
                found.setdefault(f"{name}, {who}: answers/s", []).append(float(many["ok_per_second"]))
                found.setdefault(f"{name}, {who}: p50 of one, ms", []).append(p50)
                found.setdefault(f"{name}, {who}: p10 of one, ms", []).append(p10)
    result = {what: median(figures) for what, figures in found.items()}
    for other in ("MLflow", "thread"):
        if other in servers:
            pairs = zip(found[f"{name}, process: answers/s"], found[f"{name}, {other}: answers/s"], strict=True)
            result[f"{name}: process / {other}, rate"] = median(a / max(b, 1e-9) for a, b in pairs)
            used = "processor, µs an answer"
            pairs = zip(found[f"{name}, {other}: {used}"], found[f"{name}, process: {used}"], strict=True)
            result[f"{name}: process / {other}, by processor time"] = median(a / b for a, b in pairs)
    for what in ("p50", "p10"):
        figures = [found[f"{name}, {who}: {what} of one, ms"] for who in ("process", "thread")]
        result[f"{name}: process - thread, {what} of one, ms"] = median(a - b for a, b in zip(*figures, strict=True))
    say(result)
    return result


def one_by_one(url: str, body: bytes, count: int = 400) -> tuple[float, float]:
    """Milliseconds of a lone caller: the median, and the tenth percentile, which neighbours on the machine disturb
    least."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    times = []
    for _ in range(count):
        began = perf_counter()
        connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
        connection.getresponse().read()
        times.append((perf_counter() - began) * 1e3)
    connection.close()
    times = sorted(times[count // 10 :])
    return median(times), times[len(times) // 10]


async def crossing(package: Path) -> dict[str, float]:
    """1,000 rows of 30 floats to the process, and one float each back, without what the model takes."""
    loaded = await asyncio.to_thread(
        load_served, package, LoadOptions(trust_code=True), Isolation(mode="process", slots=1)
    )
    assert isinstance(loaded, IsolatedModel)
    runner = ProcessRunner(loaded, "arrays", Metrics(process=False).version("arrays", "1"), print)
    rows = Tensors.single(np.random.default_rng(0).normal(size=(1000, 30)))
    row = Tensors.single(rows.arrays[0][:1])
    found = {}
    try:
        for what, payload in (("1,000 × 30 floats", rows), ("1 × 30 floats", row)):
            times = []
            for _ in range(1000):
                began = perf_counter()
                _, seconds = await runner.run(payload, None)
                times.append((perf_counter() - began - seconds) * 1e3)
            found[f"{what} there and the answer back, ms"] = median(times[100:])
    finally:
        await runner.close()
    say(found)
    return found


def memory(package: Path) -> dict[str, float]:
    """Resident megabytes of an idle process and its keeper, over those of an interpreter with the same libraries."""
    loaded = load_served(package, LoadOptions(trust_code=True), Isolation(mode="process", slots=1))
    assert isinstance(loaded, IsolatedModel)
    process = loaded.started[0].process
    try:
        held = resident_bytes(process.model_pid() or 0) + resident_bytes(process.keeper)
        pages = subprocess.run(
            [sys.executable, "-c", _LIBRARIES.format("numpy, pandas")], capture_output=True, text=True
        )
        bare = int(pages.stdout) * 4096
    finally:
        loaded.close()
    found = {"idle process and keeper, MB": held / 1e6, "over python, numpy and pandas, MB": (held - bare) / 1e6}
    say(found)
    return found


def say(found: dict[str, float]) -> None:
    for what, figure in found.items():
        print(f"{what:60} {figure:10.3f}", flush=True)


# What was set out to reach: the figure, the goal, whether it is the most.
TARGETS: Sequence[tuple[str, float, bool]] = (
    ("apart: process / MLflow, rate", 12, False),
    ("joined: process / MLflow, rate", 12, False),
    ("apart: process - thread, p50 of one, ms", 0.35, True),
    ("1,000 × 30 floats there and the answer back, ms", 0.3, True),
    ("over python, numpy and pandas, MB", 60, True),
)


def table(found: dict[str, Any]) -> str:
    lines = ["| figure | measured | wanted | reached |", "|---|---|---|---|"]
    for what, goal, most in TARGETS:
        if what in found:
            reached = found[what] <= goal if most else found[what] >= goal
            lines.append(
                f"| {what} | {found[what]:.3f} | {'≤' if most else '≥'} {goal:g} | {'yes' if reached else 'no'} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
