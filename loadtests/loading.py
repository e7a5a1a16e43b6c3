"""What callers notice while a server loads a large model: a random forest of 250 MB comes in under steady load.

    python loadtests/loading.py [--runs 3] [--workers 1] [--format skops] [--current light] [--share 0.3] [--apart]

For each format (skops is data alone, pickle carries code) and each current version (a light one, and such a forest
itself) a server follows a registry; requests come in an open loop at a share of what both can do; the forest is promoted.
Looked at is the time from the beginning of the load to the swap, and a second more. *longest* is the longest time that
a request took from when it was due; *loop* the same for /livez, which the event loop answers by itself; *before* the
same in the seconds before the load. Then the event loop alone, without requests (loop_alone.py): the longest that it
waited, counting no more than the processor time that the process itself used meanwhile, which a busy machine does not
change; *hard* is the same without the rests that loads take. Fails on any failed request.

With --apart the models run in processes of their own, and the gateway's event loop has nothing to do with a load. What
counts then is *slower*: the 99th percentile during load and swap over the one before.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import numpy as np
from servers import LOAD_CORE, ROOT, SERVER_CORE
from steady import Asked, Steady, always, percentile, request_bytes
from watched import Watched, watched

TREES, ROWS, COLUMNS = 200, 60_000, 10
MODEL = "moving"
_LIVEZ_RATE = 200
_LOADED_WITHIN = 120.0
_STALL_LIMIT = 0.150
_SLOWER_LIMIT = 1.5
_STEADY = 5.0


def make(directory: Path) -> None:
    """The packages, once: `light`, `forest-skops`, `forest-pickle`, and a request's body."""
    if (directory / "done").exists():
        return
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    from penstock.package.save import save_model

    draw = np.random.default_rng(0)
    data = draw.random((ROWS, COLUMNS)).astype(np.float32).astype(np.float64)
    target = (data[:, :8].sum(1) + draw.normal(0, 0.07, ROWS) > 4).astype(int)
    directory.mkdir(parents=True, exist_ok=True)
    forest = RandomForestClassifier(TREES, random_state=0, n_jobs=-1, max_features=1).fit(data, target)
    save_model(LogisticRegression().fit(data, target), directory / "light", example=data[:5])
    save_model(forest, directory / "forest-skops", example=data[:5])
    save_model(forest, directory / "forest-pickle", example=data[:5], serialization="cloudpickle")
    (directory / "body.json").write_text(json.dumps({"inputs": data[:1].tolist()}))
    (directory / "done").touch()


def register(registry: str, packages: list[Path]) -> None:
    """Versions 1, 2 … in this order; 1 is in production."""
    from penstock import open_registry, publish

    opened = open_registry(registry)
    try:
        for package in packages:
            publish(opened, MODEL, package)
        opened.promote(MODEL, "1", by="loadtests")
    finally:
        opened.close()


@dataclass
class Measured:
    """One load. Seconds; `quiet` names the same before anything was promoted."""

    load: float
    longest: float
    p50: float
    p99: float
    loop_longest: float
    loop_p99: float
    quiet_longest: float
    quiet_p99: float
    rate: float
    requests: int
    failures: list[str] = field(default_factory=list)

    @property
    def slower(self) -> float:
        return self.p99 / self.quiet_p99


async def capacity(server: Watched, body: bytes) -> float:
    """Answers a second in a closed loop of 64 connections."""
    from generator import measure

    run = await measure("127.0.0.1", server.port, request_bytes("POST", "/invocations", body), 64, 2.0, None)
    return run.tally.statuses[200] / 2.0


async def one(server: Watched, registry: str, body: bytes, share: float, most: float) -> Measured:
    """`most` is what the version to come can answer in a second: more than that would wait for it, not for its load."""
    rate = share * min(await capacity(server, body), most)
    ask = always(request_bytes("POST", "/invocations", body))
    live = always(request_bytes("GET", "/livez"))
    address = ("127.0.0.1", server.port)
    async with Steady(*address, ask, rate=rate) as load, Steady(*address, live, rate=_LIVEZ_RATE) as probe:
        await asyncio.sleep(_STEADY + 0.5)
        promoted = perf_counter()
        await asyncio.to_thread(promote, registry, "2")
        swapped = await _version_answers(load, promoted)
        await asyncio.sleep(1)
        end = perf_counter()
    begin = server.moments("loading version 2")[0]
    during, quiet = _between(load.asked, begin, end), _between(load.asked, promoted - _STEADY, promoted)
    loop = [a.seconds for a in _between(probe.asked, begin, end)]
    seconds = [a.seconds for a in during]
    return Measured(
        swapped - begin, max(seconds), percentile(seconds, 0.5), percentile(seconds, 0.99), max(loop), percentile(loop, 0.99),
        max(a.seconds for a in quiet), percentile([a.seconds for a in quiet], 0.99), rate, len(during),
        [f"{a.status}: {a.wrong}" for a in [*load.asked, *probe.asked] if a.failed],
    )  # fmt: skip


def promote(registry: str, version: str) -> None:
    from penstock import open_registry

    opened = open_registry(registry)
    try:
        opened.promote(MODEL, version, by="loadtests")
    finally:
        opened.close()


async def _version_answers(load: Steady, since: float) -> float:
    """When an answer of version 2 was first there."""
    looked = 0
    while perf_counter() < since + _LOADED_WITHIN:
        while looked < len(load.asked) and load.asked[looked].done:
            if load.asked[looked].version == "2":
                return load.asked[looked].done
            looked += 1
        await asyncio.sleep(0.01)
    raise SystemExit(f"Version 2 did not answer within {_LOADED_WITHIN:.0f} s.")


def _between(asked: list[Asked], begin: float, end: float) -> list[Asked]:
    """Those that were on their way at any time between."""
    return [a for a in asked if a.due < end and (not a.done or a.done > begin)]


def capacity_of_the_forest(packages: Path, format: str, options: argparse.Namespace) -> float:
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as place:
        arguments = [f"{MODEL}={packages / f'forest-{format}'}", "--workers", str(options.workers), *options.serve]
        with watched(*arguments, "--trust-code", place=Path(place), cores=options.cores) as server:
            return asyncio.run(capacity(server, (packages / "body.json").read_bytes()))


def measure_one(packages: Path, current: str, format: str, options: argparse.Namespace, most: float) -> Measured:
    first = packages / ("light" if current == "light" else f"forest-{format}")
    arguments = [MODEL, "--poll-interval", "0.5", "--workers", str(options.workers), *options.serve]
    if format == "pickle":
        arguments.append("--trust-code")
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as place:
        registry = f"{place}/registry"
        register(registry, [first, packages / f"forest-{format}"])
        with watched(*arguments, "--registry", registry, place=Path(place), cores=options.cores) as server:
            body = (packages / "body.json").read_bytes()
            import uvloop

            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(one(server, registry, body, options.share, most))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--share", type=float, default=0.3, help="of the capacity of the slower of the two versions")
    parser.add_argument("--format", action="append", choices=("skops", "pickle"), default=None)
    parser.add_argument("--current", action="append", choices=("light", "forest"), default=None)
    parser.add_argument("--cores", default=SERVER_CORE, help="the server's; the load has core 1")
    parser.add_argument("--apart", action="store_true", help="models in processes of their own, and their target")
    parser.add_argument("--serve", action="append", default=[], help="one more argument of penstock serve")
    options = parser.parse_args()
    if options.apart:
        options.serve += ["--isolation", "process"]
    packages = ROOT / "build" / "loadtests" / "loading"
    make(packages)
    size = (packages / "forest-skops" / "model.skops").stat().st_size
    print(f"a forest of {size / 1e6:.0f} MB; {options.workers} workers on cores {options.cores}; milliseconds")
    import os

    os.sched_setaffinity(0, {int(LOAD_CORE)})
    bad = False
    print(f"{'format':8}{'current':9}{'load s':>7}{'rate':>7}{'p50':>7}{'p99':>7}{'longest':>9}{'loop p99':>9}{'loop':>8}{'before: p99':>13}{'longest':>9}{'slower':>8}{'requests':>10}{'failed':>8}")  # fmt: skip
    for format in options.format or ("skops", "pickle"):
        most = capacity_of_the_forest(packages, format, options)
        for current in options.current or ("light", "forest"):
            runs = []
            for _ in range(options.runs):
                runs.append(measure_one(packages, current, format, options, most))
                _row(format, current, runs[-1:])
                for failure in sorted(set(runs[-1].failures)):
                    print(f"FAIL: {failure}", file=sys.stderr)
                bad = bad or bool(runs[-1].failures)
            if options.runs > 1:
                _row(format, "median", runs)
            if options.apart:
                slower = statistics.median(r.slower for r in runs)
                reached = "reached" if slower <= _SLOWER_LIMIT else "NOT REACHED"
                print(
                    f"p99 during load and swap / before: {slower:.2f}, wanted ≤ {_SLOWER_LIMIT}: {reached}", flush=True
                )
            elif statistics.median(r.longest for r in runs) > _STALL_LIMIT:
                print(f"the longest stall is above {_STALL_LIMIT * 1e3:.0f} ms", file=sys.stderr)
    if not options.apart:
        _loop_alone(packages, options)
    sys.exit(bad)


def _loop_alone(packages: Path, options: argparse.Namespace) -> None:
    """Hard and gentle in turn; medians of all runs."""
    print("\nthe event loop alone: the longest wait in milliseconds of own processor time (and by the clock)")
    for format in options.format or ("skops", "pickle"):
        found: dict[tuple[str, ...], list[dict[str, dict[str, float]]]] = {("--hard",): [], (): []}
        for _ in range(options.runs):
            for how, runs in found.items():
                command = [
                    sys.executable,
                    ROOT / "loadtests" / "loop_alone.py",
                    packages / f"forest-{format}",
                    packages / "light",
                    *how,
                ]
                runs.append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
        for how, runs in found.items():
            steps = [
                f"{step} {statistics.median(r[step]['own'] for r in runs):.1f} ({statistics.median(r[step]['wall'] for r in runs):.0f})"
                for step in runs[0]
            ]
            seconds = statistics.median(r["load"]["seconds"] for r in runs)
            print(f"{format:8}{'hard' if how else 'gentle':8} loads in {seconds:.2f} s: {', '.join(steps)}", flush=True)


def _row(format: str, current: str, runs: list[Measured]) -> None:
    def middle(name: str) -> float:
        return statistics.median(getattr(run, name) for run in runs)

    def ms(name: str) -> str:
        return f"{middle(name) * 1e3:.1f}"

    print(
        f"{format:8}{current:9}{middle('load'):>7.2f}{middle('rate'):>7.0f}{ms('p50'):>7}{ms('p99'):>7}{ms('longest'):>9}"
        f"{ms('loop_p99'):>9}{ms('loop_longest'):>8}{ms('quiet_p99'):>13}{ms('quiet_longest'):>9}{middle('slower'):>8.2f}{middle('requests'):>10.0f}"
        f"{sum(len(run.failures) for run in runs):>8}", flush=True,
    )  # fmt: skip


if __name__ == "__main__":
    main()
