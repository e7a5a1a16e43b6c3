"""make prove-resume: a scoring job killed at random moments goes on to the same bytes, every row once and in order.

The job scores two files, one packed, with bad rows in them, into a directory of many parts. It runs once to the end. Then,
for every moment: the same job is started, killed with SIGKILL somewhere between its first write and its end, resumed,
now and then killed and resumed again, and every file it left is compared with those of the first run. Moments are drawn
from --seed, counted in parts, so that they do not depend on how fast the machine is just then; and every third job has
two worker processes. Jobs with one output file are killed too: nothing may be left in its place.
"""

from __future__ import annotations

import argparse
import gzip
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import models
import numpy as np

_HEADER = "id,sepal_length,sepal_width,petal_length,petal_width\n"
_PATIENCE = 300.0


def main() -> int:
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    models.make(options.out / "packages")
    proof = Proof(options.out, options.rows, random.Random(options.seed))
    print(f"seed {options.seed}: the whole job wrote for {proof.seconds:.2f} s, {len(proof.whole)} files", flush=True)
    wrong = 0
    for number in range(options.moments):
        told, right = proof.directory(number) if number % 5 != 4 else proof.file(number)
        wrong += not right
        print(f"{number + 1:3} {told}: {'the same bytes' if right else 'DIFFERENT'}", flush=True)
    print(f"{options.moments - wrong} of {options.moments} moments left what no kill would have.")
    return 1 if wrong else 0


class Proof:
    """The inputs, the uninterrupted run, and jobs that are killed."""

    def __init__(self, out: Path, rows: int, draw: random.Random) -> None:
        self._out, self._draw = out, draw
        self._inputs = _inputs(out / "in", rows)
        target = out / "whole"
        shutil.rmtree(target, ignore_errors=True)
        job = self._start(f"{target}/", 1)
        began = _until(job, lambda: (target / "_manifest.jsonl").exists())
        _ended(job)
        self.seconds = time.monotonic() - began
        self.whole = _files(target)
        self._parts = len(list(target.glob("part-*")))

    def directory(self, number: int) -> tuple[str, bool]:
        target = self._out / "killed"
        shutil.rmtree(target, ignore_errors=True)
        told, workers = [], 2 if number % 3 == 2 else 1
        job = self._start(f"{target}/", workers)
        while True:
            told.append(self._kill(job, target))
            job = self._start(f"{target}/", workers, "--resume")
            if self._draw.random() > 0.3 or len(told) > 3:
                break
        _ended(job)
        return f"{workers} worker{'s' * (workers > 1)}, killed {' and '.join(told)}", _files(target) == self.whole

    def file(self, number: int) -> tuple[str, bool]:
        target = self._out / "one" / "scored.csv"
        shutil.rmtree(target.parent, ignore_errors=True)
        target.parent.mkdir()
        job = self._start(str(target), 1)
        size = self._draw.randrange(sum(len(data) for name, data in self.whole.items() if name[:4] == "part"))
        beside = target.with_name(".scored.csv.part")
        _until(job, lambda: beside.exists() and beside.stat().st_size >= size)
        job.send_signal(signal.SIGKILL)
        done = job.wait() == 0
        if target.exists() and not done:
            done = target.stat().st_size == sum(len(data) for name, data in self.whole.items() if name[:4] == "part")
        return f"one file, {'whole' if done else 'killed'}", target.exists() == done

    def _kill(self, job: subprocess.Popen[bytes], target: Path) -> str:
        """Kills a job somewhere after it began to write; what there was by then."""
        before = len(list(target.glob("part-*"))) if target.exists() else 0
        moment = self._draw.uniform(before, self._parts)
        _until(job, lambda: (target / "_manifest.jsonl").exists() and len(list(target.glob("part-*"))) >= int(moment))
        time.sleep((moment % 1) * self.seconds / self._parts)
        job.send_signal(signal.SIGKILL)
        job.wait()
        parts = len(list(target.glob("part-*")))
        return f"at {parts} of {self._parts} parts" + (" (it had ended)" if (target / "_SUCCESS").exists() else "")

    def _start(self, target: str, workers: int, *more: str) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-m", "penstock", "score", str(self._out / "packages" / "iris"), *self._inputs]
        shaping = ["--keep", "*", "--part-rows", "20000", "--on-error", "skip", "--workers", str(workers)]
        return subprocess.Popen(
            [*words, "-o", target, "--output-format", "csv", *shaping, *more], stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )  # fmt: skip


def _inputs(place: Path, rows: int) -> list[str]:
    place.mkdir(exist_ok=True)
    cells = np.random.default_rng(0).uniform(0.1, 8, (rows, 4)).round(1)
    lines = [f"{i},{a},{b},{c},{d}\n" for i, (a, b, c, d) in enumerate(cells.tolist())]
    for i in range(0, rows, 9973):
        lines[i] = f"{i},x,1,1,1\n" if i % 2 else f"{i},1,1\n"
    half = rows * 2 // 3
    (place / "a.csv").write_text(_HEADER + "".join(lines[:half]))
    with gzip.GzipFile(place / "b.csv.gz", "wb", 1, mtime=0) as packed:
        packed.write((_HEADER + "".join(lines[half:])).encode())
    return [str(place / "a.csv"), str(place / "b.csv.gz")]


def _files(target: Path) -> dict[str, bytes]:
    """What a job left, but for its manifest, which holds times; hidden files too."""
    return {p.name: p.read_bytes() for p in target.iterdir() if p.name != "_manifest.jsonl"}


def _until(job: subprocess.Popen[bytes], condition: Callable[[], bool]) -> float:
    """When something came to be, or the job had ended."""
    end = time.monotonic() + _PATIENCE
    while not condition() and job.poll() is None:
        if time.monotonic() > end:
            job.kill()
            raise SystemExit(f"Nothing happened for {_PATIENCE:.0f} s.")
        time.sleep(0.001)
    return time.monotonic()


def _ended(job: subprocess.Popen[bytes]) -> None:
    _, said = job.communicate(timeout=_PATIENCE)
    if job.returncode:
        raise SystemExit(f"The job failed ({job.returncode}): {said.decode()}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/prove-resume"), help="where inputs and outputs go")
    parser.add_argument("--moments", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=600_000)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
