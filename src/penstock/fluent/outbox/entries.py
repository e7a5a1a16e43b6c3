"""What is logged, as values, and as the lines of the spool.

An entry is one thing that was logged. A line holds many points of one run, or some of its params and tags, or one other
change; the entries of a run stay in their order. Points are written as a server takes them: whoever delivers them joins
bytes, and reads no JSON while the program trains.

    [2,"RUN",[{"key":"loss","value":0.5,"timestamp":1,"step":1},{"key":"loss","value":0.4,"timestamp":2,"step":2}]]
    ["RUN",{"params":[["depth","8"]],"tags":[["team","risk"]]}]
    ["RUN",{"call":{"path":"runs/update","fields":{"status":"FINISHED"}}}]
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from math import isfinite, isnan
from typing import Any, NamedTuple

# MLflow's limits for one call; together they may have as many as there may be points.
LIMITS: Mapping[str, int] = {"metrics": 1000, "params": 100, "tags": 100}
MAX_TOGETHER = 1000

encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class LogEntry(NamedTuple):
    """`kind` is metrics, params or tags, with the cells of one of them: (key, value, timestamp, step), (key, value);
    or `create`, `call` or `file`, with what these need by name."""

    kind: str
    run_id: str
    item: Any


class _Gathered:
    """What of one run is to be written next."""

    def __init__(self) -> None:
        self.points: list[tuple[str, float, int, int]] = []
        self.pairs: dict[str, list[tuple[str, str]]] = {}

    def lines(self, run_id: str) -> Iterable[str]:
        for first in range(0, len(self.points), LIMITS["metrics"]):
            points = self.points[first : first + LIMITS["metrics"]]
            yield f"[{len(points)},{encode(run_id)},[{_encoded(points)}]]\n"
        if self.pairs:
            yield f"{encode([run_id, self.pairs])}\n"


def lines_of(entries: Iterable[tuple[str, str, Any]]) -> bytes:
    """Few lines for many entries, or tuples like them. Only what stands in different runs, or is of kinds that do not
    touch each other, changes places."""
    gathered: dict[str, _Gathered] = {}
    lines: list[str] = []
    for kind, run_id, item in entries:
        mine = gathered.get(run_id)
        if mine is None:
            mine = gathered[run_id] = _Gathered()
        if kind == "metrics":
            mine.points.append(item)
        elif kind in LIMITS:
            mine.pairs.setdefault(kind, []).append(item)
        else:
            lines += gathered.pop(run_id).lines(run_id)
            lines.append(f"{encode([run_id, {kind: item}])}\n")
    for run_id, rest in gathered.items():
        lines += rest.lines(run_id)
    return "".join(lines).encode()


def _encoded(points: Iterable[tuple[str, float, int, int]]) -> str:
    """By hand, since a training loop pays for it: this takes half the time of the encoder."""
    names: dict[str, str] = {}
    texts = []
    for key, value, timestamp, step in points:
        name = names.get(key)
        if name is None:
            name = names[key] = encode(key)
        number = value if isfinite(value) else f'"{json_number(value)}"'
        texts.append(f'{{"key":{name},"value":{number},"timestamp":{timestamp},"step":{step}}}')
    return ",".join(texts)


def json_number(value: float) -> float | str:
    """JSON has none for some; MLflow's servers read them from texts."""
    if isfinite(value):
        return value
    return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"
