"""What callers of one row notice of a client that sends large bodies without pause, and what that client waits.

    python loadtests/beside.py [--model scaled|iris] [--rounds 5] [--seconds 5] [--megabytes 20] [--before PENSTOCK]

The server and its readers have one core, everything that sends has the other. 16 callers send 320 requests of one row a
second in all (an open loop: a request's time counts from when it was due), alone, and beside one client that sends the
same large body again and again on one connection: as JSON, then as CSV. Rounds interleave, ratios are within a round,
and what is printed is their median. `--before` is the `penstock` command of another version: the large request's time
is compared with what it takes there, beside the same callers and without them; rounds whose requests fail there do not count. Fails where a target is missed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from time import perf_counter

import numpy as np
from models import make as make_models
from servers import LOAD_CORE, ROOT, Server, penstock

CALLERS, RATE = 16, 320
MEDIA = {"json": "application/json", "csv": "text/csv"}

# How many times as long as alone the callers may wait, by percentile; and the large request as long as before.
TARGETS = {"p50": 3.0, "p99": 4.0}
LARGE_TARGET = 2.0

# Large requests that are measured without callers, after one that does not count: it starts the readers.
_LONE = 3


@dataclass
class Beside:
    """Milliseconds: of callers alone and beside each kind of body (`p50`, `p99`, `max`), of a large request beside them
    and without them; and the share of its core that the server took, by the callers' company."""

    callers: dict[str, dict[str, float]] = field(default_factory=dict)
    large: dict[str, float] = field(default_factory=dict)
    lone: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)

    def slower(self, media: str, percentile: str) -> float:
        return self.callers[media][percentile] / self.callers["alone"][percentile]


def make(directory: Path, model: str, megabytes: float) -> dict[str, Path]:
    """The package, a body of one row (`one`), and the large ones by their kind."""
    made = {"package": directory / model, "one": directory / f"{model}-1.json"}
    if model == "iris":
        make_models(directory)
        known = json.loads((directory / "iris-64.json").read_text())["dataframe_split"]
        rows, names = np.array(known["data"]), known["columns"]
    else:
        rows, names = _scaled(directory)
    line = len(json.dumps(rows[:64].tolist())) / 64
    rows = np.tile(rows, (int(megabytes * 1e6 / line / len(rows)) + 1, 1))[: int(megabytes * 1e6 / line)]
    split = {"columns": names, "data": rows.tolist()}
    made["json"], made["csv"] = directory / f"{model}-large.json", directory / f"{model}-large.csv"
    made["json"].write_text(json.dumps({"dataframe_split": split}))
    lines = "\n".join(",".join(map(repr, row)) for row in rows.tolist())
    made["csv"].write_text(f"{','.join(names)}\n{lines}\n")
    return made


def _scaled(directory: Path) -> tuple[np.ndarray, list[str]]:
    """A scaler and a logistic regression over 30 named floats, and rows for it with as many digits as sensors
    and databases give."""
    import pandas as pd
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from penstock.package.save import save_model

    names = [f"x{number}" for number in range(30)]
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(4096, 30))
    if not (directory / "scaled").exists():
        frame = pd.DataFrame(rows, columns=names)
        pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, rows.sum(1) > 0)
        save_model(pipeline, directory / "scaled", example=frame.iloc[:5])
    one = {"dataframe_split": {"columns": names, "data": rows[:1].tolist()}}
    (directory / "scaled-1.json").write_text(json.dumps(one))
    return rows, names


def callers(server: Server, made: Mapping[str, Path], seconds: float, must_be_answered: bool) -> dict[str, float]:
    """The callers' percentiles. Raises SystemExit where a request failed that must not."""
    command = [sys.executable, str(ROOT / "loadtests" / "generator.py"), f"{server.url}/invocations"]
    command += ["--body", str(made["one"]), "--connections", str(CALLERS), "--rate", str(RATE)]
    command += ["--seconds", str(seconds)]
    said = subprocess.run(["taskset", "-c", LOAD_CORE, *command], stdout=subprocess.PIPE, check=True).stdout
    seen = json.loads(said)
    if not must_be_answered:
        return {}
    if seen["errors"] or seen["unanswered"] or set(seen["statuses"]) != {"200"}:
        raise SystemExit(
            f"Requests failed: {seen['statuses']}, {seen['errors']} errors, {seen['unanswered']} unanswered."
        )
    return {name: seen[name] for name in ("p50", "p99", "max", "late_p99")}


@contextmanager
def sender(server: Server, body: Path, media: str, most: int = 0) -> Iterator[subprocess.Popen[str]]:
    """A process that sends the body again and again, `most` times or until it is told to end, and prints the times."""
    script, url = ROOT / "loadtests" / "send_again.py", f"{server.url}/invocations"
    with subprocess.Popen(
        ["nice", "-n", "5", "taskset", "-c", LOAD_CORE, sys.executable, script, url, body, MEDIA[media], str(most)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def times_of(process: subprocess.Popen[str], must_be_answered: bool) -> float:
    """The median in milliseconds, once the sender has ended; infinite where a request failed that may. Raises
    SystemExit where one failed that must not."""
    said, _ = process.communicate()
    if process.returncode and must_be_answered:
        raise SystemExit(f"A large request failed: {said}")
    if process.returncode:
        return inf
    return statistics.median(json.loads(said)) * 1e3


def measure(server: Server, made: Mapping[str, Path], seconds: float, ours: bool) -> Beside:
    seen = Beside()
    if ours:
        with _processor(server, seen.cpu, "alone"):
            seen.callers["alone"] = callers(server, made, seconds, ours)
    for media in MEDIA:
        with sender(server, made[media], media, _LONE + 1) as process:
            seen.lone[media] = times_of(process, ours)
        with sender(server, made[media], media) as process:
            with _processor(server, seen.cpu, media):
                seen.callers[media] = callers(server, made, seconds, ours)
            seen.large[media] = times_of(process, ours)
    return seen


@contextmanager
def _processor(server: Server, shares: dict[str, float], company: str) -> Iterator[None]:
    """Notes the share of its core that the server and its readers take, those that end meanwhile among them."""
    import psutil

    def used() -> float:
        top = psutil.Process(server.process.pid)
        return float(sum(sum(p.cpu_times()[:4]) for p in [top, *top.children(recursive=True)]))

    before, began = used(), perf_counter()
    yield
    shares[company] = (used() - before) / (perf_counter() - began)


def report(now: list[Beside], before: list[Beside]) -> bool:
    """Prints medians, and what was set out to reach; whether that was."""
    held = True
    for company in ("alone", *MEDIA):
        line = f"callers {company:6}"
        for name in ("p50", "p99", "max", "late_p99"):
            line += f"  {name} {statistics.median(seen.callers[company][name] for seen in now):7.2f} ms"
        print(f"{line}  server {statistics.median(seen.cpu[company] for seen in now):5.1%} of a core")
    for media in MEDIA:
        for name, target in TARGETS.items():
            held &= _judge(f"{media} {name}", [seen.slower(media, name) for seen in now], target, "alone")
        large, lone = ([getattr(seen, kind)[media] for seen in now] for kind in ("large", "lone"))
        print(
            f"{media} large request: {statistics.median(large):.0f} ms, without callers {statistics.median(lone):.0f} ms"
        )
        for what, beside, known in (
            ("large", large, [seen.large[media] for seen in before]),
            ("large without callers", lone, [seen.lone[media] for seen in before]),
        ):
            ratios = [mine / theirs for mine, theirs in zip(beside, known, strict=bool(before)) if theirs < inf]
            if ratios:
                held &= _judge(f"{media} {what}", ratios, LARGE_TARGET, "before")
            elif before:
                print(f"{media} {what}: was not answered before")
    return held


def _judge(what: str, ratios: list[float], target: float, of: str) -> bool:
    ratio = statistics.median(ratios)
    each = " ".join(f"{one:.2f}" for one in ratios)
    print(
        f"{what}: {ratio:.2f} × {of} (at most {target:g}) {'reached' if ratio <= target else 'MISSED'}; rounds {each}"
    )
    return ratio <= target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("scaled", "iris"), default="scaled", help="30 floats, or iris")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--megabytes", type=float, default=20)
    parser.add_argument("--before", metavar="PENSTOCK", help="the command of another version, to compare with")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        made = make(Path(directory), options.model, options.megabytes)
        now, before = [], []
        server = stack.enter_context(penstock(made["package"]))
        other = options.before and stack.enter_context(penstock(made["package"], command=(options.before,)))
        for number in range(options.rounds):
            now.append(measure(server, made, options.seconds, ours=True))
            if other:
                before.append(measure(other, made, options.seconds, ours=False))
            print(f"round {number + 1} of {options.rounds}: {now[-1]}", file=sys.stderr)
        if not report(now, before):
            raise SystemExit(1)


if __name__ == "__main__":
    main()
