"""The proof that versions change under live traffic and no caller notices: real processes, real registries.

    python loadtests/prove_rollout.py [--registry sqlite|postgresql|mlflow] [--workers N] [--requests 10000] [--moves 20] [--kill]

A `penstock serve` process follows the model `adds`, whose versions answer differently: each adds a number of its own.
Requests of 1 to 8 random rows come in an open loop, while versions are promoted and rolled back in other processes: by
`penstock registry promote` and `rollback`, or, where the registry is an MLflow server, by MLflow's own client. With
`--kill` a run with several workers is repeated, and one of them dies by SIGKILL after half of the moves.

It fails on any request that is not answered well (with --kill: any but those that the dead worker held), on an answer
of which one row is not what the version in its header makes of it, on a move that does not show, on a roll-back that
loads anything or takes longer than the poll interval, and where what is served in the end is not what was named last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from bisect import bisect
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from time import perf_counter

import psutil
from answers import misfit, random_rows
from models import make_adds, register
from servers import ROOT
from steady import Asked, Check, Steady, percentile, request_bytes
from watched import Watched, watched

MODEL = "adds"
PATH = f"/models/{MODEL}/invocations"
SHOWN_WITHIN = 60.0

# On top of the poll interval, which is spread by a tenth: the questions to the registry, and a machine that is busy, as
# far as its answers do not show that.
_SLACK = 2.0


@dataclass(frozen=True)
class Plan:
    """`rate` requests a second and `moves` moves, until there were so many requests too."""

    registry: str = "postgresql"
    workers: int = 1
    requests: int = 10_000
    moves: int = 20
    rate: float = 250.0
    poll_interval: float = 0.5
    kill: bool = False


@dataclass(frozen=True)
class Standing:
    """A registry in which `adds` has versions 1 and 2, 1 being served; how a server is told of it, how it is moved.
    Moving gives the moment, on perf_counter."""

    serve: tuple[str, ...]
    promote: Callable[[str], Awaitable[float]]
    rollback: Callable[[], Awaitable[float]]
    environment: dict[str, str] = field(default_factory=dict)


@dataclass
class Found:
    """What was seen. `problems` is empty where all went well; times in seconds."""

    plan: Plan
    requests: int = 0
    versions: Counter[str] = field(default_factory=Counter)
    p50: float = 0.0
    p99: float = 0.0
    longest: float = 0.0
    promotions: list[float] = field(default_factory=list)
    rollbacks: list[float] = field(default_factory=list)
    lost: int = 0
    swaps: dict[str, float] = field(default_factory=dict)
    back_after: float | None = None
    problems: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        plan = self.plan
        yield f"{plan.registry}, {plan.workers} worker{'s' if plan.workers > 1 else ''}: {self.requests:,} requests at {plan.rate:g} a second"
        yield f"  answers by version  {dict(sorted(self.versions.items()))}"
        yield f"  milliseconds        p50 {self.p50 * 1e3:.1f}, p99 {self.p99 * 1e3:.1f}, longest {self.longest * 1e3:.1f}"
        for name, delays in (("promotions", self.promotions), ("roll-backs", self.rollbacks)):
            if delays:
                yield f"  {name:12}        {len(delays)}, seen after {percentile(delays, 0.5):.2f} s, at most {max(delays):.2f} s"
        yield f"  swaps               {self.swaps}"
        if self.back_after is not None:
            yield f"  killed worker       {self.lost} requests lost with it; back after {self.back_after:.1f} s"
        yield from (f"  FAIL: {problem}" for problem in self.problems)


def ask() -> tuple[bytes, Check]:
    rows = random_rows(1 + os.urandom(1)[0] % 8)

    def check(version: str, body: bytes) -> str | None:
        return misfit(rows, version, json.loads(body))

    return request_bytes("POST", PATH, json.dumps({"inputs": rows}).encode()), check


async def prove(server: Watched, standing: Standing, plan: Plan) -> Found:
    """The whole run against a server that serves version 1."""
    found = Found(plan)
    async with Steady("127.0.0.1", server.port, ask, rate=plan.rate) as load:
        killed: Killed | None = None
        for number in range(plan.moves):
            if plan.kill and number == plan.moves // 2:
                killed = await _kill(server, load, "12"[number % 2], found)
            await _move(number, server, standing, load, found)
        while len(load.asked) < plan.requests:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    _judge(load.asked, killed, found)
    for kind in ("load", "swap", "revert"):
        found.swaps[kind] = server.metric("penstock_swaps_total", model=MODEL, kind=kind)
    return found


async def _move(number: int, server: Watched, standing: Standing, load: Steady, found: Found) -> None:
    """An even move promotes version 2, an odd one rolls back to 1."""
    version = "12"[(number + 1) % 2]
    loads = await _loads(server)
    moved = await (standing.rollback() if number % 2 else standing.promote("2"))
    try:
        delay = await _shown(load, version, moved)
    except TimeoutError:
        found.problems.append(f"Move {number + 1}, to version {version}, was not seen within {SHOWN_WITHIN:.0f} s.")
        return
    (found.rollbacks if number % 2 else found.promotions).append(delay)
    if number and (more := await _loads(server) - loads) and not found.plan.kill:
        found.problems.append(f"Move {number + 1}, to version {version}, loaded {more:g} times; it was warm.")
    held_up = max(a.seconds for a in load.asked[bisect(load.asked, moved, key=lambda asked: asked.due) :] if a.done)
    limit = found.plan.poll_interval * 1.1 + _SLACK + held_up
    if number and delay > limit:
        found.problems.append(
            f"Move {number + 1}, to version {version}, was seen after {delay:.2f} s, not {limit:.2f}."
        )


async def _loads(server: Watched) -> float:
    return await asyncio.to_thread(server.metric, "penstock_loads_total", model=MODEL)


async def _shown(load: Steady, version: str, since: float) -> float:
    """Seconds until all answers are of this version: until the first of sixteen in a row. Raises TimeoutError."""
    first = since
    looked, row = bisect(load.asked, since, key=lambda asked: asked.due), 0
    while perf_counter() < since + SHOWN_WITHIN:
        while looked < len(load.asked) and load.asked[looked].done:
            answer = load.asked[looked]
            looked += 1
            if answer.version != version:
                row = 0
                continue
            row += 1
            first = answer.done if row == 1 else first
            if row >= 16:
                return first - since
        await asyncio.sleep(0.01)
    raise TimeoutError


@dataclass(frozen=True)
class Killed:
    """A worker that was killed: when, and the connections that it held by their ports on our side."""

    at: float
    ports: frozenset[int]


async def _kill(server: Watched, load: Steady, version: str, found: Found) -> Killed:
    """Kills a worker and waits until the one in its place answers, with `version`."""
    before = server.workers()
    victim = psutil.Process(before[0])
    ports = _ports_of(victim)
    at = perf_counter()
    victim.send_signal(signal.SIGKILL)
    while len(now := set(server.workers()) - {victim.pid}) < len(before):
        if perf_counter() > at + SHOWN_WITHIN:
            found.problems.append("The killed worker did not come back.")
            return Killed(at, ports)
        await asyncio.sleep(0.05)
    (new,) = now - set(before)
    while not (answers := _answers_of(psutil.Process(new), load, at)):
        if perf_counter() > at + SHOWN_WITHIN:
            found.problems.append("The new worker answers nobody.")
            return Killed(at, ports)
        for connection in list(load.connections)[:8]:  # those that stayed sit with the other worker
            connection.close_when_free()
        await asyncio.sleep(0.2)
    if {a.version for a in answers if not a.failed} != {version}:
        found.problems.append(
            f"The new worker answered with {answers[0].version!r}, not {version!r}: {answers[0].wrong}"
        )
    found.back_after = perf_counter() - at
    return Killed(at, ports)


def _ports_of(process: psutil.Process) -> frozenset[int]:
    return frozenset(c.raddr.port for c in process.net_connections() if c.raddr)


def _answers_of(process: psutil.Process, load: Steady, since: float) -> list[Asked]:
    ports = _ports_of(process)
    return [
        a for a in load.asked[bisect(load.asked, since, key=lambda asked: asked.due) :] if a.done and a.port in ports
    ]


def _judge(asked: list[Asked], killed: Killed | None, found: Found) -> None:
    bad = [a for a in asked if a.failed]
    if killed is not None:
        lost = [
            a for a in bad if a.status == 0 and a.port in killed.ports and a.sent < killed.at + 1 and a.done > killed.at
        ]
        found.lost = len(lost)
        if len({a.port for a in lost}) < len(lost):
            found.problems.append("A connection of the killed worker lost two requests.")
        bad = [a for a in bad if a not in lost]
    for what, times in Counter(f"{a.status}: {a.wrong}" for a in bad).most_common(5):
        found.problems.append(f"{times} of {len(asked)} requests failed: {what}")
    found.requests = len(asked)
    found.versions = Counter(a.version for a in asked if not a.failed)
    seconds = [a.seconds for a in asked]
    found.p50, found.p99, found.longest = percentile(seconds, 0.5), percentile(seconds, 0.99), max(seconds)


async def _cli(*arguments: str) -> str:
    """What a command printed, in a process of its own. Raises RuntimeError with what it said of its failure."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "penstock", *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    said, complaint = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"penstock {' '.join(arguments)}: {complaint.decode()}")
    return said.decode()


async def _cli_move(*arguments: str) -> float:
    """The moment of the move, as the registry's history has it, on perf_counter."""
    moved = json.loads(await _cli("registry", *arguments, "--json"))
    return datetime.fromisoformat(moved["at"]).timestamp() - (time.time() - perf_counter())


@contextmanager
def penstocks_own(url: str, place: Path, packages: Path) -> Iterator[Standing]:
    """A registry in SQL, moved by the command line."""
    at = ("--registry", url, "--artifacts", str(place / "artifacts"))
    asyncio.run(_cli("registry", "migrate", *at))
    register(url, packages, MODEL, str(place / "artifacts"))
    yield Standing(
        (MODEL, *at),
        lambda version: _cli_move("promote", MODEL, version, *at),
        lambda: _cli_move("rollback", MODEL, *at),
    )


@contextmanager
def standing_for(kind: str, place: Path, packages: Path) -> Iterator[Standing]:
    if kind == "mlflow":
        with mlflows(place, packages) as standing:
            yield standing
    elif kind == "postgresql":
        from own_postgres import postgres

        with postgres(place / "postgres") as url, penstocks_own(url, place, packages) as standing:
            yield standing
    else:
        with penstocks_own(str(place / "registry"), place, packages) as standing:
            yield standing


@contextmanager
def mlflows(place: Path, packages: Path) -> Iterator[Standing]:
    """A real MLflow server; its own client registers and moves the alias."""
    sys.path.insert(0, str(ROOT / "tests"))
    from services.mlflow_servers import client_of, running

    artifacts = ("--artifacts-destination", str(place / "artifacts"))
    with running(place, *artifacts) as server, client_of(server.url) as client:
        for number in (1, 2):
            client.log_package(name=MODEL, package=str(packages / f"adds-{number}"))

        async def move(version: str) -> float:
            await asyncio.to_thread(partial(client.alias, name=MODEL, alias="champion", version=version))
            return perf_counter()

        client.alias(name=MODEL, alias="champion", version="1")
        yield Standing(
            (f"models:/{MODEL}@champion", "--registry", server.url), move, lambda: move("1"),
            {"PENSTOCK_CACHE": str(place / "cache")},
        )  # fmt: skip


def run(plan: Plan, directory: Path) -> Found:
    """The whole proof, with everything that it starts ended again."""
    import uvloop

    packages = directory / "packages"
    packages.mkdir()
    for number in (1, 2):
        make_adds(packages, number)
    with standing_for(plan.registry, directory, packages) as standing:
        arguments = (*standing.serve, "--workers", str(plan.workers), "--poll-interval", str(plan.poll_interval))
        with (
            watched(*arguments, place=directory, environment=standing.environment) as server,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            return runner.run(prove(server, standing, plan))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--registry", action="append", choices=("sqlite", "postgresql", "mlflow"))
    parser.add_argument("--workers", action="append", type=int, help="more than once: one run for each")
    parser.add_argument("--requests", type=int, default=Plan.requests)
    parser.add_argument("--moves", type=int, default=Plan.moves)
    parser.add_argument("--rate", type=float, default=Plan.rate)
    parser.add_argument(
        "--kill", action="store_true", help="once more with two workers or more, and one of them killed on the way"
    )
    options = parser.parse_args()
    bad = False
    for registry in options.registry or ("postgresql", "mlflow"):
        for workers in options.workers or (1, 2):
            for kill in (False, True) if options.kill and workers > 1 else (False,):
                plan = Plan(registry, workers, options.requests, options.moves, options.rate, kill=kill)
                with tempfile.TemporaryDirectory() as place:
                    found = run(plan, Path(place))
                print("\n".join(found.lines()), flush=True)
                bad = bad or bool(found.problems)
    sys.exit(bad)


if __name__ == "__main__":
    main()
