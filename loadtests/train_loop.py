"""A training loop for bench_fluent.py, in a process of its own: `train_loop.py CLIENT STEPS WORK`.

CLIENT is `bare`, `penstock`, `mlflow` or `mlflow-async`. A step is WORK rounds of arithmetic in Python, which hold the
interpreter all the time, and one point of a metric. Prints the seconds that the loop took, those of processor time that the process used
from its start to the end of the run, and those that the end of the run took.
"""

from __future__ import annotations

import contextlib
import sys
from time import perf_counter, process_time

from train_loop_work import work


def main() -> None:
    client, steps, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if client == "bare":
        log, run = (lambda key, value, step: None), contextlib.nullcontext()
    elif client == "penstock":
        from penstock import tracking

        log, run = tracking.log_metric, tracking.start_run()
    else:
        import mlflow

        if client == "mlflow-async":
            mlflow.config.enable_async_logging()
        log, run = mlflow.log_metric, mlflow.start_run()
    with run:
        log("loss", 1.0, step=0)
        begun, used = perf_counter(), process_time()
        for step in range(1, steps + 1):
            work(rounds)
            log("loss", 1.0 / step, step=step)
        looped = perf_counter()
    if client == "mlflow-async":
        mlflow.flush_async_logging()
    print(looped - begun, process_time() - used, perf_counter() - looped)


main()
