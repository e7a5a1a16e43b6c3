"""When a ramp has found a server's limit. Pure."""

from __future__ import annotations

from dataclasses import dataclass

# Twice the callers that bring less than so much more mean that the server is full; two such steps, to be sure.
_GAIN = 1.05


@dataclass(frozen=True)
class Step:
    """So many callers at once got so many answers a second, 99 of 100 within `p99` milliseconds."""

    callers: int
    rate: float
    p99: float


def full(steps: list[Step]) -> bool:
    """Whether the last two doublings brought nothing."""
    return len(steps) >= 3 and max(s.rate for s in steps[-2:]) < _GAIN * max(s.rate for s in steps[:-2])


def knee(steps: list[Step]) -> Step:
    """The fewest callers that get within 5 % of the best rate: more of them only wait longer."""
    best = max(step.rate for step in steps)
    return next(step for step in steps if step.rate * _GAIN >= best)


def table(steps: list[Step]) -> str:
    lines = ["callers  answers/s    p99 ms"]
    lines += [f"{s.callers:7}  {s.rate:9,.0f}  {s.p99:8,.0f}" for s in steps]
    if steps:
        lines.append(f"full from {knee(steps).callers} callers" if full(steps) else "not full yet")
    return "\n".join(lines)
