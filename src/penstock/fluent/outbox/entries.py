"""What is logged, as values, and how single values become few large calls.

An entry is one thing that was logged. A record is what one line of the spool holds and one call delivers: either
points, params and tags of one run together, or one other change. The entries of a run stay in their order.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

# MLflow's limits for one call; together they may have as many as there may be points.
LIMITS: Mapping[str, int] = {"metrics": 1000, "params": 100, "tags": 100}
MAX_TOGETHER = 1000

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False, allow_nan=True).encode


class LogEntry(NamedTuple):
    """`kind` is metrics, params or tags, with the cells of one of them: (key, value, timestamp, step), (key, value);
    or `create`, `call` or `file`, with what these need by name."""

    kind: str
    run_id: str
    item: Any


class Record(NamedTuple):
    """`content` has lists of cells by kind, or the one item of another kind."""

    run_id: str
    content: dict[str, Any]

    def line(self) -> bytes:
        return f"{_encode([self.run_id, self.content])}\n".encode()

    @classmethod
    def of_line(cls, line: bytes) -> Record:
        """Raises ValueError for a line that is none, as the end of one that was cut off."""
        run_id, content = json.loads(line)
        if not isinstance(run_id, str) or not isinstance(content, dict):
            raise ValueError("no record")
        return cls(run_id, content)

    def entries(self) -> Iterator[LogEntry]:
        for kind, content in self.content.items():
            if kind in LIMITS:
                for item in content:
                    yield LogEntry(kind, self.run_id, item)
            else:
                yield LogEntry(kind, self.run_id, content)


class _Gathered:
    """Points, params and tags of one run that fit into one call."""

    def __init__(self) -> None:
        self.content: dict[str, list[Any]] = {}
        self._count = 0
        self._keys: set[tuple[str, str]] = set()

    def take(self, kind: str, item: Any) -> bool:
        """Whether it fits. Of a param or a tag a call has one value: MLflow refuses two."""
        items = self.content.get(kind)
        if items is None:
            items = self.content[kind] = []
        if self._count >= MAX_TOGETHER or len(items) >= LIMITS[kind]:
            return False
        if kind != "metrics":
            if (kind, item[0]) in self._keys:
                return False
            self._keys.add((kind, item[0]))
        items.append(item)
        self._count += 1
        return True


def records_of(entries: Iterable[tuple[str, str, Any]]) -> Iterator[Record]:
    """Few records for many entries, or tuples like them. Only what stands in different runs changes places."""
    gathered: dict[str, _Gathered] = {}
    for kind, run_id, item in entries:
        if kind not in LIMITS:
            if (before := gathered.pop(run_id, None)) is not None:
                yield Record(run_id, before.content)
            yield Record(run_id, {kind: item})
            continue
        mine = gathered.get(run_id)
        if mine is None:
            mine = gathered[run_id] = _Gathered()
        if not mine.take(kind, item):
            yield Record(run_id, mine.content)
            mine = gathered[run_id] = _Gathered()
            mine.take(kind, item)
    for run_id, rest in gathered.items():
        yield Record(run_id, rest.content)


def batch_fields(run_id: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """A record of points, params and tags as `runs/log-batch` takes it."""
    fields: dict[str, Any] = {"run_id": run_id}
    if metrics := content.get("metrics"):
        fields["metrics"] = [
            {"key": key, "value": value if math.isfinite(value) else _word(value), "timestamp": timestamp, "step": step}
            for key, value, timestamp, step in metrics
        ]
    for kind in ("params", "tags"):
        if pairs := content.get(kind):
            fields[kind] = [{"key": key, "value": value} for key, value in pairs]
    return fields


def halves(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a call had, in two calls; one that had a single thing, as it is."""
    flat = [(kind, item) for kind in LIMITS for item in content.get(kind, ())]
    if len(flat) < 2:
        return [dict(content)]
    found = []
    for part in (flat[: len(flat) // 2], flat[len(flat) // 2 :]):
        half: dict[str, Any] = {}
        for kind, item in part:
            half.setdefault(kind, []).append(item)
        found.append(half)
    return found


def _word(value: float) -> str:
    """JSON has no number for these; MLflow's servers read them from texts."""
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
