"""make bench-fluent: what logging a point a step costs a training loop, `penstock.tracking` beside MLflow's client.

Both log to the same hub, and MLflow's client to its own server, too. A step is about a millisecond of Python, the same
number of rounds for all; the loop without logging runs before each of the others, and is what they are compared with. On
a machine that others use, processor time says more than the time that went by; what a client waits is in the latter.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from hub_process import free_port, hub_process, server_process
from train_loop_work import work

_HERE = Path(__file__).resolve().parent
_LIMIT = 2.0  # per cent that penstock.tracking may cost


def main() -> int:
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    rounds = _rounds_of_a_millisecond()
    found: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-fluent-", dir=options.out) as directory:
        hub, server = Path(directory, "hub"), Path(directory, "mlflow")
        hub.mkdir()
        server.mkdir()
        port = free_port()
        mlflow = [str(options.mlflow.with_name("mlflow")), "server", "--port", str(port), "--workers", "1"]
        mlflow += ["--backend-store-uri", f"sqlite:///{server}/mlflow.db"]
        with hub_process(hub, str(hub / "store")) as (hub_url, *_), server_process(mlflow, server, port) as (url, *_):
            for number in range(options.rounds):
                for name, python, client, where, steps in _loops(options, hub_url, url):
                    bare, bare_cpu, _ = _run(python, "bare", where, steps, rounds, directory)
                    loop, cpu, end = _run(python, client, where, steps, rounds, directory)
                    found.setdefault(name, []).append((100 * (loop / bare - 1), 100 * (cpu / bare_cpu - 1)))
                    print(
                        f"round {number + 1}, {name}: bare {bare:.2f} s ({bare_cpu:.2f} s of processor), "
                        f"logged {loop:.2f} s ({cpu:.2f} s), end {end:.2f} s",
                        flush=True,
                    )
    lines = ["| client | loop loses | of processor time, all threads | rounds |", "|---|---|---|---|"]
    for name, figures in found.items():
        lost, used = (median(column) for column in zip(*figures, strict=True))
        lines.append(f"| {name} | {lost:.1f} % | {used:.1f} % | {len(figures)} |")
    (options.out / "fluent.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    return 0 if median(lost for lost, _ in found["penstock.tracking, hub"]) <= _LIMIT else 1


def _loops(options: argparse.Namespace, hub: str, server: str) -> list[tuple[str, str, str, str, int]]:
    own, theirs, few = sys.executable, str(options.mlflow), options.steps // 10
    return [
        ("penstock.tracking, hub", own, "penstock", hub, options.steps),
        ("penstock.tracking, MLflow's server", own, "penstock", server, options.steps),
        ("mlflow, hub", theirs, "mlflow", hub, few),
        ("mlflow, MLflow's server", theirs, "mlflow", server, few),
        ("mlflow with async logging, hub", theirs, "mlflow-async", hub, options.steps),
    ]


def _run(python: str, client: str, url: str, steps: int, rounds: int, directory: str) -> tuple[float, float, float]:
    environment = {**os.environ, "MLFLOW_TRACKING_URI": url, "PENSTOCK_SPOOL": f"{directory}/spool"}
    command = [python, str(_HERE / "train_loop.py"), client, str(steps), str(rounds)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    loop, cpu, end = map(float, done.stdout.split()[-3:])
    return loop, cpu, end


def _rounds_of_a_millisecond() -> int:
    times = []
    for _ in range(50):
        begun = perf_counter()
        work(10_000)
        times.append(perf_counter() - begun)
    return round(10_000 * 0.001 / median(times))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/bench-fluent"))
    parser.add_argument("--mlflow", type=Path, default=_HERE.parent / ".venv-mlflow" / "bin" / "python")
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
