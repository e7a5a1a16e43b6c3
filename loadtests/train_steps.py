"""What a step of train_loop.py does besides logging; with NumPy and the standard library alone."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter

TrainStep = Callable[[], object]


def harsh_step() -> TrainStep:
    """A millisecond of Python, which holds the interpreter all the time."""
    rounds = round(10_000 * 0.001 / _seconds(lambda: _arithmetic(10_000)))
    return lambda: _arithmetic(rounds)


def training_step() -> TrainStep:
    """Four milliseconds of a small network: forward and back, in NumPy, which gives the interpreter up meanwhile."""
    import numpy as np

    random = np.random.default_rng(7)
    batch, first, second = (random.random(shape, np.float32) for shape in ((64, 256), (256, 256), (256, 10)))

    def learn() -> None:
        hidden = np.maximum(batch @ first, 0.0)
        error = hidden @ second - 1.0
        back = (error @ second.T) * (hidden > 0.0)
        second.__isub__(1e-6 * (hidden.T @ error))
        first.__isub__(1e-6 * (batch.T @ back))

    rounds = max(round(0.004 / _seconds(learn)), 1)

    def step() -> None:
        for _ in range(rounds):
            learn()

    return step


def _arithmetic(rounds: int) -> float:
    value = 1.0
    for _ in range(rounds):
        value = value * 1.000001 + 0.5
    return value


def _seconds(step: TrainStep) -> float:
    times = []
    for _ in range(50):
        begun = perf_counter()
        step()
        times.append(perf_counter() - begun)
    return median(times)
