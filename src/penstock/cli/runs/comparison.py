"""Runs side by side: the rows in which they differ, and how far each metric is from that of the first run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from penstock.cli.runs.columns import INNER_TAGS
from penstock.cli.runs.reading.source import ReadRun

RowKind: TypeAlias = Literal["run", "metrics", "params", "tags"]

# Notes of clients that tell why two runs differ.
_TELLING_TAGS = {"mlflow.source.name": "source", "mlflow.source.git.commit": "commit"}


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """One thing of each run; None where a run has it not. `deltas` are there for metrics: what is more than in the
    first run, None where one of the two has no number."""

    kind: RowKind
    key: str
    values: Sequence[Any]
    deltas: Sequence[float | None] = ()

    @property
    def differs(self) -> bool:
        first = self.values[0]
        return any(not _same(value, first) for value in self.values[1:])


def compared(runs: Sequence[ReadRun], experiments: Mapping[str, str]) -> list[ComparedRow]:
    """All rows, whether they differ or not: what the runs are, metrics, params, tags."""
    rows = [ComparedRow("run", name, [read(run) for run in runs]) for name, read in _attributes(experiments)]
    for kind in ("metrics", "params", "tags"):
        held = [getattr(run.run.data, kind) for run in runs]
        for key in sorted({key for values in held for key in values if not _is_inner(kind, key)}):
            values = [each.get(key) for each in held]
            rows.append(ComparedRow(kind, key, values, _deltas(values) if kind == "metrics" else ()))
    return [row for row in rows if row.kind != "run" or any(value not in (None, "") for value in row.values)]


def _attributes(experiments: Mapping[str, str]) -> list[tuple[str, Callable[[ReadRun], Any]]]:
    return [
        ("experiment", lambda read: experiments.get(read.run.info.experiment_id, read.run.info.experiment_id)),
        ("status", lambda read: read.run.info.status.lower()),
        ("seconds", _seconds),
        ("user", lambda read: read.run.info.user_id),
        *((name, _tag(tag)) for tag, name in _TELLING_TAGS.items()),
        ("datasets", lambda read: ", ".join(map(str, read.links.datasets))),
    ]


def _seconds(read: ReadRun) -> float | None:
    info = read.run.info
    return None if info.end_time is None else (info.end_time - info.start_time) / 1000


def _tag(tag: str) -> Callable[[ReadRun], Any]:
    return lambda read: read.run.data.tags.get(tag)


def _is_inner(kind: str, key: str) -> bool:
    return kind == "tags" and key.startswith(INNER_TAGS)


def _deltas(values: Sequence[float | None]) -> list[float | None]:
    first = values[0]
    return [None, *(_delta(value, first) for value in values[1:])]


def _delta(value: float | None, first: float | None) -> float | None:
    if value is None or first is None or math.isnan(value) or math.isnan(first):
        return None
    return value - first


def _same(one: Any, other: Any) -> bool:
    both_nan = isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other)
    return both_nan or one == other
