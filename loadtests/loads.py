"""How a scenario is described."""

from __future__ import annotations

from dataclasses import dataclass

import targets as t


@dataclass(frozen=True)
class Load:
    """A scenario: its name, the servers that get it, the body, and the generator's options."""

    scenario: str
    servers: tuple[str, ...]
    body: str
    options: tuple[str, ...]


ALL, OURS = (t.FLOOR, t.PENSTOCK, t.MLFLOW), (t.FLOOR, t.PENSTOCK)
ARROW = ("--content-type", "application/vnd.apache.arrow.stream")


def connections(number: int) -> tuple[str, str]:
    return ("--connections", str(number))
