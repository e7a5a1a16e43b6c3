"""Points over REST. One question is for a metric of many runs where the server has such a question and the answer is
whole; long series come a page at a time."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from penstock.errors import ImportFailed
from penstock.moving.mlflow_database.cells import number, text
from penstock.moving.mlflow_server.asking import ServerAsker
from penstock.moving.mlflow_server.paging import endless
from penstock.moving.records import Broken, PointBlock, SourceRun
from penstock.tracking.metrics import Points

# MLflow's own limits of get-history-bulk.
MOST_POINTS = 25_000
MOST_RUNS = 100
# Metrics of a group of runs that are asked together, and held: as many whole answers at the most.
_MOST_KEYS = 40
# Pages of one series with next to nothing on them: those of a server that ends are full.
_THIN_PAGES, _THIN = 200, 100


class HistoryReader:
    """`keys` has the metrics of each run by its id."""

    def __init__(self, server: ServerAsker) -> None:
        self._server = server
        # Mutable state: whether the server has the question about many runs, until it has said no.
        self._in_bulk = True

    def read(self, runs: Sequence[SourceRun], keys: Mapping[str, Sequence[str]]) -> Iterator[PointBlock | Broken]:
        for group in _groups([each.run.run_id for each in runs], keys):
            found = self._together(group, keys) if len(group) > 1 and self._in_bulk else {}
            for run_id in group:
                missing = [key for key in keys[run_id] if (run_id, key) not in found]
                for key in keys[run_id]:
                    if (points := found.pop((run_id, key), None)) is not None and len(points):
                        yield PointBlock(run_id, key, points)
                yield from self._each(run_id, missing)

    def _together(self, group: Sequence[str], keys: Mapping[str, Sequence[str]]) -> dict[tuple[str, str], Points]:
        """The series of these runs that came whole."""
        runs_of = defaultdict(list)
        for run_id in group:
            for key in keys[run_id]:
                runs_of[key].append(run_id)
        answers = self._server.several(lambda key: self._asked_in_bulk(key, runs_of[key]), list(runs_of))
        found: dict[tuple[str, str], Points] = {}
        for key, told in zip(runs_of, answers, strict=True):
            if told is None:
                self._in_bulk = False
            elif len(told) < MOST_POINTS:
                by_run = defaultdict(list)
                for each in told:
                    by_run[text(each.get("run_id"))].append(each)
                # One that says nothing of a run which has the metric is asked for it alone.
                found |= {(run_id, key): _points(by_run[run_id])[0] for run_id in runs_of[key] if by_run[run_id]}
        return found

    def _asked_in_bulk(self, key: str, run_ids: Sequence[str]) -> list[dict[str, Any]] | None:
        if not self._in_bulk:
            return None
        fields = {"run_id": list(run_ids), "metric_key": key, "max_results": MOST_POINTS}
        answer = self._server.page_of("metrics/get-history-bulk", **fields)
        told = None if answer is None else answer.get("metrics", [])
        return [each for each in told if isinstance(each, dict)] if isinstance(told, list) else None

    def _each(self, run_id: str, keys: Sequence[str]) -> Iterator[PointBlock | Broken]:
        """The first pages of several series are asked for at once."""
        for start in range(0, len(keys), _MOST_KEYS):
            some = list(keys[start : start + _MOST_KEYS])
            for key, first in zip(some, self._server.several(partial(self._page, run_id), some), strict=True):
                told, token = first
                thin = 0
                while True:
                    points, broken = _points(told)
                    if len(points):
                        yield PointBlock(run_id, key, points)
                    if broken:
                        yield Broken("metric points", f"{run_id}/{key}"[:300], "its value is no number", broken)
                    if not token:
                        break
                    thin += len(told) < _THIN
                    if thin > _THIN_PAGES:
                        raise endless(self._server.place, f"points of {key[:80]!r} of run {run_id[:80]}")
                    told, after = self._page(run_id, key, token)
                    token = "" if after == token else after

    def _page(self, run_id: str, key: str, token: str = "") -> tuple[list[dict[str, Any]], str]:
        fields: dict[str, Any] = {"run_id": run_id, "metric_key": key, "max_results": MOST_POINTS}
        answer = self._server.get("metrics/get-history", **fields, **({"page_token": token} if token else {}))
        told = answer.get("metrics") or []
        if not isinstance(told, list):
            raise ImportFailed(f"{self._server.place} answers with metrics that are not MLflow's.")
        return [each for each in told if isinstance(each, dict)], text(answer.get("next_page_token"))


def _groups(run_ids: Sequence[str], keys: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
    """Runs that have few metrics together."""
    group: list[str] = []
    held: set[str] = set()
    for run_id in run_ids:
        more = held | set(keys[run_id])
        if group and (len(group) == MOST_RUNS or len(more) > _MOST_KEYS):
            yield group
            group, more = [], set(keys[run_id])
        group.append(run_id)
        held = more
    if group:
        yield group


def _points(told: Sequence[Mapping[str, Any]]) -> tuple[Points, int]:
    """In the order of step, timestamp and value; and how many are none."""
    import numpy as np

    steps, timestamps, values = array("q"), array("q"), array("d")
    broken = 0
    for each in told:
        try:
            value = float(each.get("value") or 0.0)
        except (TypeError, ValueError, OverflowError):
            broken += 1
            continue
        steps.append(number(each.get("step")))
        timestamps.append(number(each.get("timestamp")))
        values.append(value)
    kept, whole, times = np.array(values), np.array(steps), np.array(timestamps)
    np.nan_to_num(kept, copy=False, nan=np.nan)
    order = np.lexsort((kept, times, whole))
    return (
        Points(
            array("q", whole[order].tobytes()), array("q", times[order].tobytes()), array("d", kept[order].tobytes())
        ),
        broken,
    )
