"""make bench-score: how near scoring files comes to its limit, and how far it is from `mlflow models predict`.

Ratios of runs that alternate; each run is a process of its own. Rows are drawn at random from
the iris measurements, and for the forest from the breast cancer ones. What a figure is measured from:

limit      rows/s of `penstock score` from the first scored rows on, over those of score_loop.py; one worker
mlflow     whole commands, start to end, CSV in, predictions out as CSV; beside it the same with -m -i -o -t csv, which
           writes MLflow's own document
memory     the most resident memory at the larger number of rows over that at the smaller
workers    the same rows/s of a random forest with two workers over those with one on one core; left to itself, one
           worker reads and decodes on the other core while it predicts, so that ratio is printed beside it
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import models
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
MLFLOW = ROOT / ".venv-mlflow" / "bin" / "mlflow"
_BLOCK = 1_000_000
# Both sides start as installed: with their modules compiled, whatever this shell says.
_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
_IRIS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]


def main() -> int:
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    models.make(options.out / "packages")
    bench = Bench(options.out, options.rounds)
    lines = []
    for name, measure in _MEASURES.items():
        if name in options.only:
            lines += measure(bench, options)
            print(lines[-1] if len(lines) == 1 else "\n".join(lines[-2:]), flush=True)
    text = "\n".join(["| measured | figures | ratio | target | reached |", "|---|---|---|---|---|", *lines])
    (options.out / "score.md").write_text(text + "\n")
    print(f"\n{text}")
    return 0 if all("| yes |" in line or "| - |" in line for line in lines) else 1


class Bench:
    """Makes inputs, runs commands, compares."""

    def __init__(self, out: Path, rounds: int) -> None:
        self.out, self.rounds = out, rounds

    def iris(self, rows: int, ending: str) -> Path:
        """A file of iris rows, made once."""
        from sklearn.datasets import load_iris

        known = load_iris().data
        draw = np.random.default_rng(0)
        return self._made(rows, ending, "iris", _IRIS, lambda n: known[draw.integers(0, len(known), n)])

    def cancer(self, rows: int) -> Path:
        """A file of breast cancer rows, 30 numbers each, made once."""
        from sklearn.datasets import load_breast_cancer

        known = load_breast_cancer().data
        draw, names = np.random.default_rng(0), [f"c{i}" for i in range(30)]
        return self._made(rows, ".parquet", "cancer", names, lambda n: known[draw.integers(0, len(known), n)])

    def _made(self, rows: int, ending: str, kind: str, names: list[str], block: Callable[[int], Any]) -> Path:
        path = self.out / f"{kind}-{rows}{ending}"
        if path.exists():
            return path
        beside = path.with_suffix(".making")
        schema = pa.schema([(name, pa.float64()) for name in names])
        writer: Any = (pq.ParquetWriter if ending == ".parquet" else pyarrow.csv.CSVWriter)(str(beside), schema)
        for start in range(0, rows, _BLOCK):
            cells = block(min(_BLOCK, rows - start))
            writer.write_table(pa.table({name: cells[:, i] for i, name in enumerate(names)}))
        writer.close()
        beside.rename(path)
        return path

    def penstock(self, model: str, source: Path, target: str, *more: str, cores: int = 0) -> dict[str, Any]:
        """One command, on so many cores if that is said; its own summary, and the seconds from start to end."""
        command = [sys.executable, "-m", "penstock", "score", str(self.out / "packages" / model), str(source)]
        began = perf_counter()
        ran = subprocess.run(
            [*command, "-o", str(self.out / target), "--json", *more],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_ENVIRONMENT,
            preexec_fn=(lambda: os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])) if cores else None,
        )
        return json.loads(ran.stdout) | {"whole": perf_counter() - began}

    def loop(self, source: Path, target: str) -> float:
        """Seconds of the bare loop."""
        command = [sys.executable, str(ROOT / "loadtests" / "score_loop.py"), str(self.out / "packages" / "iris")]
        ran = subprocess.run(
            [*command, str(source), str(self.out / target)],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        return float(ran.stdout)

    def like_mlflow(self, source: Path) -> float:
        """Seconds of the command that writes the same document as MLflow's."""
        words = ["-m", str(self.out / "packages" / "iris"), "-i", str(source), "-t", "csv"]
        began = perf_counter()
        subprocess.run(
            [sys.executable, "-m", "penstock", "score", *words, "-o", str(self.out / "like.json")], check=True,
            capture_output=True, env=_ENVIRONMENT,
        )  # fmt: skip
        return perf_counter() - began

    def mlflow(self, source: Path) -> float:
        """Seconds of `mlflow models predict`, from start to end."""
        words = ["-m", str(self.out / "packages" / "iris"), "-i", str(source), "-t", "csv", "--env-manager", "local"]
        began = perf_counter()
        subprocess.run(
            [MLFLOW, "models", "predict", *words, "-o", str(self.out / "mlflow.json")], check=True, capture_output=True,
            env=_ENVIRONMENT,
        )  # fmt: skip
        return perf_counter() - began


def _line(what: str, figures: str, ratio: float, target: float, *, most: bool = False) -> str:
    reached = ratio <= target if most else ratio >= target
    return f"| {what} | {figures} | {ratio:.2f} | {'≤' if most else '≥'} {target} | {'yes' if reached else 'NO'} |"


def _limit(bench: Bench, options: argparse.Namespace) -> list[str]:
    lines = []
    for ending in (".parquet", ".csv"):
        source, ours, theirs = bench.iris(options.rows, ending), [], []
        for _ in range(bench.rounds):
            theirs.append(options.rows / bench.loop(source, f"loop{ending}"))
            ours.append(bench.penstock("iris", source, f"scored{ending}", "--workers", "1")["steady"])
        ratio = median(o / t for o, t in zip(ours, theirs, strict=True))
        figures = f"{median(ours):,.0f} rows/s, the loop {median(theirs):,.0f}"
        lines.append(_line(f"{options.rows:,} iris rows, {ending[1:]} to {ending[1:]}", figures, ratio, 0.6))
    return lines


def _mlflow(bench: Bench, options: argparse.Namespace) -> list[str]:
    if not MLFLOW.exists():
        return ["| 1,000,000 rows against mlflow models predict | make mlflow-env first | - | ≥ 6 | - |"]
    source = bench.iris(1_000_000, ".csv")
    bench.mlflow(source)  # once each, uncounted: modules are compiled, files are in memory
    bench.penstock("iris", source, "scored.csv")
    bench.like_mlflow(source)
    if (bench.out / "like.json").read_bytes() != (bench.out / "mlflow.json").read_bytes():
        raise SystemExit("The two commands wrote other documents.")
    ours: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    like: list[tuple[float, float]] = []
    for _ in range(bench.rounds):
        theirs.append(_timed(lambda: bench.mlflow(source)))
        ours.append(_timed(lambda: bench.penstock("iris", source, "scored.csv", "--workers", "1")["whole"]))
        like.append(_timed(lambda: bench.like_mlflow(source)))
    (clock, cpu), (same_clock, same_cpu) = _times_faster(ours, theirs), _times_faster(like, theirs)
    figures = (
        f"{median(c for c, _ in ours):.2f} s, mlflow models predict {median(c for c, _ in theirs):.2f} s; by processor "
        f"time {cpu:.1f} ×; writing the same document {same_clock:.1f} × and {same_cpu:.1f} ×"
    )
    return [_line("1,000,000 rows of CSV, whole commands", figures, clock, 6)]


def _timed(run: Callable[[], float]) -> tuple[float, float]:
    """A command's seconds, by the clock and of processor time."""
    began = _processor()
    return run(), _processor() - began


def _times_faster(ours: list[tuple[float, float]], theirs: list[tuple[float, float]]) -> tuple[float, ...]:
    """By the clock and by processor time: the median of the rounds' ratios."""
    return tuple(median(t[i] / o[i] for o, t in zip(ours, theirs, strict=True)) for i in range(2))


def _processor() -> float:
    """Seconds of processor time that commands run from here have taken: a neighbour disturbs them less than the clock."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _memory(bench: Bench, options: argparse.Namespace) -> list[str]:
    lines = []
    for ending in (".parquet", ".csv"):
        few, many = (
            bench.penstock("iris", bench.iris(rows, ending), f"scored{ending}", "--workers", "1")["peak_memory_bytes"]
            for rows in (options.memory_rows, options.memory_rows * 20)
        )
        what = f"peak memory, {ending[1:]}, {options.memory_rows * 20:,} rows over {options.memory_rows:,}"
        lines.append(_line(what, f"{many / 1e6:.0f} MB, {few / 1e6:.0f} MB", many / few, 1.2, most=True))
    return lines


def _workers(bench: Bench, options: argparse.Namespace) -> list[str]:
    """Rates by the clock, and, for a machine that others use, what the processor time allows: two cores can do no more
    than twice one core's work in the time. What starting takes is measured with few rows and taken away."""
    source, few = bench.cancer(options.forest_rows), ["--limit", "1000"]
    one, two, alone, by_cpu = [], [], [], []
    for _ in range(bench.rounds):
        work = []
        for rates, words, cores in ((one, ["--workers", "1"], 1), (two, ["--workers", "2"], 2)):
            marks = [_processor()]
            bench.penstock("forest", source, "forest.parquet", *words, *few, cores=cores)
            marks.append(_processor())
            rates.append(bench.penstock("forest", source, "forest.parquet", *words, cores=cores)["steady"])
            marks.append(_processor())
            work.append(marks[2] - marks[1] - (marks[1] - marks[0]))
        by_cpu.append(2 * work[0] / work[1])
        alone.append(bench.penstock("forest", source, "forest.parquet", "--workers", "1")["steady"])
    ratio = median(b / a for a, b in zip(one, two, strict=True))
    beside = median(b / a for a, b in zip(alone, two, strict=True))
    what = f"random forest, {options.forest_rows:,} × 30, two workers over one on one core"
    figures = f"{median(two):,.0f} rows/s, {median(one):,.0f}; over one that reads on the other core {beside:.2f} ×"
    return [_line(what, f"{figures}; by processor time at most {median(by_cpu):.2f} ×", ratio, 1.7)]


_MEASURES = {"limit": _limit, "mlflow": _mlflow, "memory": _memory, "workers": _workers}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, default=Path("build/bench-score"), help="where inputs, outputs and score.md go"
    )
    parser.add_argument("--rows", type=int, default=20_000_000, help="iris rows for `limit`")
    parser.add_argument(
        "--memory-rows", type=int, default=5_000_000, help="the smaller number; the larger is 20 times that"
    )
    parser.add_argument("--forest-rows", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=list(_MEASURES), default=list(_MEASURES))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
