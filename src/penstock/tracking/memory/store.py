"""MemoryTrackingStore: everything in one process, nothing kept."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, TypeVar

from penstock.errors import ExperimentNotFound, PenstockError
from penstock.mlflow_api.search.entities import EXPERIMENTS, RUNS
from penstock.mlflow_api.search.paging import find
from penstock.mlflow_api.search.parse import parse_order_by
from penstock.tracking.charts import buckets_of, sample
from penstock.tracking.datasets import CONTEXT_TAG, DatasetSummary
from penstock.tracking.experiments import (
    DEFAULT_EXPERIMENT_ID,
    DEFAULT_EXPERIMENT_NAME,
    Experiment,
    ViewType,
)
from penstock.tracking.interface import Done, OnDone, TrackingStore
from penstock.tracking.logged_models import LoggedModel
from penstock.tracking.memory.changing import TrackingRecords, apply
from penstock.tracking.memory.searching import find_logged_models
from penstock.tracking.metrics import Bucket, Points, SeriesSummary
from penstock.tracking.paging import first_of, page_of
from penstock.tracking.queries import ExperimentQuery, HistoryPage, LoggedModelQuery, Page, RunQuery
from penstock.tracking.runs import Run, RunRef
from penstock.tracking.writes import Write

R = TypeVar("R")


class MemoryTrackingStore(TrackingStore):
    """One lock around everything."""

    def __init__(self, *, artifact_root: str = "mlflow-artifacts:") -> None:
        # Mutable state: the records, under the condition, which is told of every change.
        self._records = TrackingRecords(artifact_root)
        self._records.add_experiment(int(DEFAULT_EXPERIMENT_ID), DEFAULT_EXPERIMENT_NAME)
        self._changed = threading.Condition()

    def __repr__(self) -> str:
        return f"<MemoryTrackingStore: {len(self._records.runs)} runs>"

    @property
    def place(self) -> str:
        return "memory:"

    def write(self, change: Write[R]) -> R:
        with self._changed:
            self._records.counter += 1
            result: R = apply(self._records, change)
            self._changed.notify_all()
            return result

    def submit(self, change: Write[Any], ticket: object, on_done: OnDone) -> None:
        try:
            done = Done(ticket, self.write(change), None)
        except PenstockError as error:
            done = Done(ticket, None, error)
        on_done([done])

    def experiment(self, experiment_id: str) -> Experiment:
        with self._changed:
            return self._records.experiment(experiment_id).value

    def experiment_by_name(self, name: str) -> Experiment:
        with self._changed:
            for each in self._records.experiments.values():
                if each.name == name:
                    return each.value
        raise ExperimentNotFound(f"Could not find experiment with name {name[:300]!r}.")

    def find_experiments(self, query: ExperimentQuery) -> Page[Experiment]:
        with self._changed:
            seen = [each for each in self._records.experiments.values() if _in_view(each.deleted, query.view)]
            order = parse_order_by(EXPERIMENTS, query.order_by)
            page = find(EXPERIMENTS, seen, query=query, order=order, mark=[query.view])
            return Page(tuple(each.value for each in page), page.next_token)

    def runs(self, run_ids: Sequence[str]) -> list[Run]:
        with self._changed:
            return [self._records.run(run_id).value for run_id in run_ids]

    def refs(self, run_ids: Sequence[str]) -> list[RunRef]:
        with self._changed:
            return [RunRef(run_id, self._records.run(run_id).changed) for run_id in run_ids]

    def find_runs(self, query: RunQuery) -> Page[RunRef]:
        with self._changed:
            ids = set(query.experiment_ids)
            seen = [
                run
                for run in self._records.runs.values()
                if str(run.experiment) in ids and _in_view(run.deleted, query.view)
            ]
            order = parse_order_by(RUNS, query.order_by)
            page = find(RUNS, seen, query=query, order=order, mark=[query.view, sorted(ids)])
            return Page(tuple(RunRef(run.run_id, run.changed) for run in page), page.next_token)

    def datasets(self, experiment_ids: Sequence[str], limit: int) -> list[DatasetSummary]:
        with self._changed:
            found = {
                (name, digest, given.tags.get(CONTEXT_TAG, ""), str(run.experiment))
                for run in self._records.runs.values()
                if str(run.experiment) in experiment_ids and not run.deleted
                for (name, digest), given in run.inputs.items()
            }
        return [DatasetSummary(at, name, digest, context) for name, digest, context, at in sorted(found)[:limit]]

    def series(self, run_id: str) -> list[SeriesSummary]:
        with self._changed:
            return [found.summary(key) for key, found in sorted(self._records.run(run_id).series.items())]

    def history(self, run_id: str, key: str, *, limit: int, page_token: str = "") -> HistoryPage:
        with self._changed:
            found = self._records.run(run_id).series.get(key)
            return page_of(found.points if found else Points(), run_id, key, limit, page_token)

    def histories(self, run_ids: Sequence[str], key: str, *, limit: int) -> list[tuple[str, Points]]:
        return first_of(self._histories(run_ids, key, None), limit)

    def sampled(
        self, run_ids: Sequence[str], key: str, *, limit: int, steps: tuple[int, int] | None = None
    ) -> list[tuple[str, Points]]:
        return [(run_id, sample(points, limit)) for run_id, points in self._histories(run_ids, key, steps)]

    def chart(
        self, run_ids: Sequence[str], key: str, *, buckets: int, steps: tuple[int, int] | None = None
    ) -> list[tuple[str, list[Bucket]]]:
        histories = self._histories(run_ids, key, steps)
        if not histories:
            return []
        first = min(points.steps[0] for _, points in histories)
        last = max(points.steps[-1] for _, points in histories)
        return [(run_id, buckets_of(points, buckets, first, last)) for run_id, points in histories]

    def logged_model(self, model_id: str) -> LoggedModel:
        with self._changed:
            return self._records.model(model_id).value

    def find_logged_models(self, query: LoggedModelQuery) -> Page[LoggedModel]:
        with self._changed:
            ids = set(query.experiment_ids)
            seen = [m for m in self._records.models.values() if str(m.experiment) in ids and not m.deleted]
            page = find_logged_models(seen, query)
            return Page(tuple(each.value for each in page), page.next_token)

    def changes(self) -> int:
        return self._records.counter

    def wait_for_change(self, after: int, timeout: float) -> int:
        with self._changed:
            self._changed.wait_for(lambda: self._records.counter > after, timeout)
            return self._records.counter

    def changed_runs(self, experiment_ids: Sequence[str], after: int, limit: int) -> list[RunRef]:
        with self._changed:
            found = [
                RunRef(run.run_id, run.changed)
                for run in self._records.runs.values()
                if str(run.experiment) in experiment_ids and run.changed > after
            ]
        return sorted(found, key=lambda ref: ref.changed)[:limit]

    def close(self) -> None:
        """There is nothing to close."""

    def _histories(self, run_ids: Sequence[str], key: str, steps: tuple[int, int] | None) -> list[tuple[str, Points]]:
        """Those with points, by run id."""
        with self._changed:
            found = [
                (run_id, self._records.runs[run_id].series[key].points)
                for run_id in sorted(set(run_ids))
                if run_id in self._records.runs and key in self._records.runs[run_id].series
            ]
        if steps is not None:
            within = range(steps[0], steps[1] + 1)
            found = [
                (run_id, points.take(i for i, s in enumerate(points.steps) if s in within)) for run_id, points in found
            ]
        return [(run_id, points) for run_id, points in found if len(points)]


def _in_view(deleted: bool, view: ViewType) -> bool:
    return view == "ALL" or deleted is (view == "DELETED_ONLY")
