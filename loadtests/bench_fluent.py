"""make bench-fluent: what logging costs a training loop of 10,000 steps, `penstock.tracking` beside MLflow's client.

Both log to the same hub, and to MLflow's own server, too; `penstock.tracking` also to the embedded store, without any
server. Two kinds of steps: `training`, four milliseconds of NumPy and three metrics, and `harsh`, a millisecond of Python
and one. See train_loop.py for what is measured: the time that a loop lost beside itself without logging, which on a machine
that others use wavers by some per cent, and the processor time that logging took, in all threads, which does not.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import NamedTuple

from hub_process import free_port, hub_process, server_process

_HERE = Path(__file__).resolve().parent
_LIMIT = 2.0  # per cent that penstock.tracking may cost, over a hub


class Loop(NamedTuple):
    """A kind of step with a client that logs to a place, from a Python that has it."""

    kind: str
    client: str
    place: str
    python: str
    uri: str
    steps: int

    @property
    def name(self) -> str:
        return f"{self.kind} | {self.client} | {self.place}"


class LoopCost(NamedTuple):
    """Per cent of the time and of the processor time of the steps alone; and microseconds of processor time that the
    calls of a step took, and all other threads for it."""

    lost: float
    used: float
    call: float
    thread: float


def main() -> int:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the servers end with it
    options.out.mkdir(parents=True, exist_ok=True)
    found: dict[Loop, list[LoopCost]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-fluent-", dir=options.out) as directory, ExitStack() as stack:
        hub, server, store = (Path(directory, name) for name in ("hub", "mlflow", "store"))
        hub.mkdir()
        server.mkdir()
        port = free_port()
        mlflow = [str(options.mlflow.with_name("mlflow")), "server", "--port", str(port), "--workers", "1"]
        mlflow += ["--backend-store-uri", f"sqlite:///{server}/mlflow.db"]
        places = {"hub": stack.enter_context(hub_process(hub, str(hub / "store")))[0]}
        if not options.only_hub:
            places["MLflow's server"] = stack.enter_context(server_process(mlflow, server, port))[0]
            places["no server"] = str(store)
        for number in range(options.rounds):
            for loop in _loops(options, places):
                cost = _cost(loop, directory)
                found.setdefault(loop, []).append(cost)
                print(f"round {number + 1} {_row(loop, [cost])}", flush=True)
    lines = ["| step | client | logs to | processor time | time of the loop | calls of a step | threads | rounds |"]
    lines += ["|---|---|---|---|---|---|---|---|", *(_row(loop, figures) for loop, figures in found.items())]
    (options.out / "fluent.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    ours = [figures for loop, figures in found.items() if (loop.client, loop.place) == ("penstock.tracking", "hub")]
    return 0 if all(median(cost.used for cost in figures) <= _LIMIT for figures in ours) else 1


def _row(loop: Loop, figures: list[LoopCost]) -> str:
    lost, used, call, thread = (median(column) for column in zip(*figures, strict=True))
    return f"| {loop.name} | {used:.1f} % | {lost:.1f} % | {call:.0f} µs | {thread:.0f} µs | {len(figures)} |"


def _loops(options: argparse.Namespace, places: dict[str, str]) -> Iterator[Loop]:
    """MLflow's own way of logging takes so long that a tenth of the steps is enough."""
    own, theirs = sys.executable, str(options.mlflow)
    for kind in options.kinds.split(","):
        for place, uri in places.items():
            yield Loop(kind, "penstock.tracking", place, own, uri, options.steps)
            if place != "no server" and not options.without_mlflow:
                yield Loop(kind, "mlflow", place, theirs, uri, options.steps // 10)
        if not options.without_mlflow:
            yield Loop(kind, "mlflow-async", "hub", theirs, places["hub"], options.steps)


def _cost(loop: Loop, directory: str) -> LoopCost:
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": loop.uri,
        "PENSTOCK_SPOOL": f"{directory}/spool",
        "OPENBLAS_NUM_THREADS": "1",  # else threads that wait for each other are most of the processor time
        "OMP_NUM_THREADS": "1",
    }
    command = [loop.python, str(_HERE / "train_loop.py"), loop.client.partition(".")[0], loop.kind, str(loop.steps)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=directory)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    spent = json.loads(done.stdout.splitlines()[-1])
    lost = median(logged / bare for logged, bare in spent["seconds"])
    took = spent["calls"] + spent["threads"]
    return LoopCost(
        100 * (lost - 1),
        100 * took / spent["steps"],
        1e6 * spent["calls"] / loop.steps,
        1e6 * spent["threads"] / loop.steps,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/bench-fluent"))
    parser.add_argument("--mlflow", type=Path, default=_HERE.parent / ".venv-mlflow" / "bin" / "python")
    parser.add_argument("--without-mlflow", action="store_true")
    parser.add_argument("--only-hub", action="store_true")
    parser.add_argument("--kinds", default="training,harsh", help="of steps, with a comma between")
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
