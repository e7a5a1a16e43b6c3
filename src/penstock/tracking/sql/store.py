"""SqlTrackingStore: tracking in SQL tables, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from penstock.sql.database import Database
from penstock.tracking.charts import sample
from penstock.tracking.datasets import DatasetSummary
from penstock.tracking.experiments import Experiment
from penstock.tracking.interface import OnDone, TrackingStore
from penstock.tracking.logged_models import LoggedModel
from penstock.tracking.metrics import Bucket, Points, SeriesSummary
from penstock.tracking.paging import first_of, page_of
from penstock.tracking.queries import ExperimentQuery, HistoryPage, LoggedModelQuery, Page, RunQuery
from penstock.tracking.runs import Run, RunRef
from penstock.tracking.sql import experiments, inputs, logged_models, run_reads
from penstock.tracking.sql.change_watch import ChangeWatch
from penstock.tracking.sql.group_commit import GroupCommit, OnCommit
from penstock.tracking.sql.group_writer import GroupWriter
from penstock.tracking.sql.keys import read_counter
from penstock.tracking.sql.points import history
from penstock.tracking.sql.search.experiments import find_experiments
from penstock.tracking.sql.search.logged_models import find_logged_models
from penstock.tracking.sql.search.runs import find_runs
from penstock.tracking.writes import Write

R = TypeVar("R")


class SqlTrackingStore(TrackingStore):
    """See `TrackingStore` for what each method does. Files of experiments go below `artifact_root`, a URI; `observe` is
    told of every commit."""

    def __init__(self, database: Database, *, artifact_root: str, observe: OnCommit | None = None) -> None:
        self._database = database
        database.write(lambda c: experiments.create_default(c, artifact_root))
        writer = GroupWriter(database, artifact_root)
        self._watch = ChangeWatch(self.changes)
        self._commits = GroupCommit(writer.apply, writer.tidy, observe)

    def __repr__(self) -> str:
        return f"<SqlTrackingStore {self._database!r}>"

    @property
    def place(self) -> str:
        return self._database.place

    def write(self, change: Write[R]) -> R:
        return self._commits.write(change)

    def submit(self, change: Write[Any], ticket: object, on_done: OnDone) -> None:
        self._commits.submit(change, ticket, on_done)

    def experiment(self, experiment_id: str) -> Experiment:
        return self._database.read(lambda c: experiments.read_experiment(c, experiment_id))

    def experiment_by_name(self, name: str) -> Experiment:
        return self._database.read(lambda c: experiments.read_experiment_by_name(c, name))

    def find_experiments(self, query: ExperimentQuery) -> Page[Experiment]:
        return self._database.read(lambda c: find_experiments(c, query))

    def find_runs(self, query: RunQuery) -> Page[RunRef]:
        return self._database.read(lambda c: find_runs(c, query))

    def runs(self, run_ids: Sequence[str]) -> list[Run]:
        return self._database.read(lambda c: run_reads.read_runs(c, run_ids))

    def refs(self, run_ids: Sequence[str]) -> list[RunRef]:
        return self._database.read(lambda c: run_reads.read_refs(c, run_ids))

    def datasets(self, experiment_ids: Sequence[str], limit: int) -> list[DatasetSummary]:
        numbers = [number for each in experiment_ids if (number := experiments.number_of(each)) is not None]
        return self._database.read(lambda c: inputs.read_datasets(c, numbers, limit))

    def series(self, run_id: str) -> list[SeriesSummary]:
        return self._database.read(lambda c: run_reads.read_series(c, run_id))

    def history(self, run_id: str, key: str, *, limit: int, page_token: str = "") -> HistoryPage:
        return page_of(
            self._database.read(lambda c: history.read_history(c, run_id, key)), run_id, key, limit, page_token
        )

    def histories(self, run_ids: Sequence[str], key: str, *, limit: int) -> list[tuple[str, Points]]:
        return self._database.read(lambda c: first_of(history.read_histories(c, run_ids, key), limit))

    def sampled(
        self, run_ids: Sequence[str], key: str, *, limit: int, steps: tuple[int, int] | None = None
    ) -> list[tuple[str, Points]]:
        return self._database.read(
            lambda c: [
                (run_id, sample(points, limit)) for run_id, points in history.read_histories(c, run_ids, key, steps)
            ]
        )

    def chart(
        self, run_ids: Sequence[str], key: str, *, buckets: int, steps: tuple[int, int] | None = None
    ) -> list[tuple[str, list[Bucket]]]:
        return self._database.read(lambda c: history.read_chart(c, run_ids, key, buckets, steps))

    def logged_model(self, model_id: str) -> LoggedModel:
        return self._database.read(lambda c: logged_models.read_logged_model(c, model_id))

    def find_logged_models(self, query: LoggedModelQuery) -> Page[LoggedModel]:
        return self._database.read(lambda c: find_logged_models(c, query))

    def changes(self) -> int:
        return self._database.read(read_counter)

    def wait_for_change(self, after: int, timeout: float) -> int:
        return self._watch.wait(after, timeout)

    def changed_runs(self, experiment_ids: Sequence[str], after: int, limit: int) -> list[RunRef]:
        numbers = [number for each in experiment_ids if (number := experiments.number_of(each)) is not None]
        return self._database.read(lambda c: run_reads.read_changed(c, numbers, after, limit))

    def close(self) -> None:
        self._watch.close()
        self._commits.close()
        self._database.close()
