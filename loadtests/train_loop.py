"""A training loop for bench_fluent.py, in a process of its own: `train_loop.py CLIENT KIND STEPS`.

CLIENT is `penstock`, `mlflow` or `mlflow-async`. KIND is `training`, with three metrics a step, or `harsh`, with one; see
train_steps.py. Stretches of about one and a half seconds with logging and without take turns, so that what else goes on at a
machine meets both. What is still to be delivered after a stretch is delivered before the next one.

Prints, as JSON: for each pair of stretches, the seconds with logging and without; and, together, the processor time of the
calls that log, that of all other threads, and that of the steps without logging. The first says what a loop lost, and
wavers with everything that goes on beside it; the others say what logging took, and hardly waver.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from time import perf_counter, process_time, thread_time, thread_time_ns
from typing import Any, NamedTuple

from train_steps import TrainStep, harsh_step, training_step

Log = Callable[[int], object]


def main() -> None:
    client, kind, steps = sys.argv[1], sys.argv[2], int(sys.argv[3])
    step, stretch = (harsh_step(), 1500) if kind == "harsh" else (training_step(), 400)
    module, flush = _opened(client)
    log = _one(module.log_metric) if kind == "harsh" else _three(module.log_metrics)
    with module.start_run():
        log(0)
        flush()
        stretches: dict[bool, list[Stretch]] = {True: [], False: []}
        for number, first in enumerate(range(0, steps, stretch)):
            for logs in (True, False) if number % 2 else (False, True):
                numbers = range(first, min(first + stretch, steps))
                stretches[logs].append(_run(step, log if logs else lambda _: None, flush, numbers))
    logged, bare = stretches[True], stretches[False]
    found = {
        "seconds": [(one.seconds, other.seconds) for one, other in zip(logged, bare, strict=True)],
        "calls": sum(each.calls for each in logged) - sum(each.calls for each in bare),
        "threads": sum(each.threads for each in logged) - sum(each.threads for each in bare),
        "steps": sum(each.own for each in bare),
    }
    print(json.dumps(found))


class Stretch(NamedTuple):
    """Seconds that went by, and of processor time: of the calls that log, of other threads until all is delivered, and of
    this thread altogether."""

    seconds: float
    calls: float
    threads: float
    own: float


def _run(step: TrainStep, log: Log, flush: Callable[[], object], numbers: range) -> Stretch:
    calls = 0
    everything, own, begun = process_time(), thread_time(), perf_counter()
    for number in numbers:
        step()
        before = thread_time_ns()
        log(number)
        calls += thread_time_ns() - before
    seconds, looped = perf_counter() - begun, thread_time() - own
    flush()
    threads = process_time() - everything - (thread_time() - own)
    return Stretch(seconds, calls / 1e9, threads, looped)


def _opened(client: str) -> tuple[Any, Callable[[], object]]:
    if client == "penstock":
        from penstock import tracking

        return tracking, tracking.flush_async_logging
    import mlflow

    if client == "mlflow":
        return mlflow, lambda: None
    mlflow.config.enable_async_logging()
    return mlflow, mlflow.flush_async_logging


def _one(log_metric: Callable[..., object]) -> Log:
    return lambda number: log_metric("loss", 1.0 / (number + 1), step=number)


def _three(log_metrics: Callable[..., object]) -> Log:
    def log(number: int) -> object:
        metrics: Mapping[str, float] = {"loss": 1.0 / (number + 1), "accuracy": 0.9, "rate": 0.001}
        return log_metrics(metrics, step=number)

    return log


main()
