"""What a step of train_loop.py does besides logging."""

from __future__ import annotations


def work(rounds: int) -> float:
    value = 1.0
    for _ in range(rounds):
        value = value * 1.000001 + 0.5
    return value
