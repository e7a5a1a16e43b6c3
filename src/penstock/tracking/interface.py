"""The contract that every tracking store meets. One suite of tests runs over all of them.

Reading is done by methods; changing by `write` and `submit`, which take a `Write`. A store is synchronous and safe to
use from several threads. What a write says is on disk when `write` returns, or when `done` is called with no error.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

from penstock.errors import PenstockError
from penstock.tracking.datasets import DatasetSummary
from penstock.tracking.experiments import Experiment
from penstock.tracking.logged_models import LoggedModel
from penstock.tracking.metrics import Bucket, Points, SeriesSummary
from penstock.tracking.queries import ExperimentQuery, HistoryPage, LoggedModelQuery, Page, RunQuery
from penstock.tracking.runs import Run, RunRef
from penstock.tracking.writes import Write

R = TypeVar("R")


class Done(NamedTuple):
    """How a submitted write ended: with a result, or with an error of Penstock's tree."""

    ticket: object
    result: Any
    error: PenstockError | None


# Called with all writes of one caller that a commit ended, in a thread of the store: it must be quick and not raise.
OnDone: TypeAlias = Callable[[Sequence[Done]], None]


class TrackingStore(ABC):
    """Experiments, runs and logged models. Every method may raise RegistryUnavailable and RegistryOutdated where there
    is a database behind it; writing may raise RegistryReadOnly."""

    @property
    @abstractmethod
    def place(self) -> str:
        """Names the store to people, without credentials."""

    # -- changing -----------------------------------------------------------------------------------------------------

    @abstractmethod
    def write(self, change: Write[R]) -> R:
        """Makes the change, and returns once it is kept. Raises what the change's class says."""

    @abstractmethod
    def submit(self, change: Write[Any], ticket: object, on_done: OnDone) -> None:
        """The same without waiting: `on_done` is told how it ended, together with others that ended with it."""

    # -- experiments --------------------------------------------------------------------------------------------------

    @abstractmethod
    def experiment(self, experiment_id: str) -> Experiment:
        """Deleted ones, too. Raises ExperimentNotFound."""

    @abstractmethod
    def experiment_by_name(self, name: str) -> Experiment:
        """Deleted ones, too. Raises ExperimentNotFound."""

    @abstractmethod
    def find_experiments(self, query: ExperimentQuery) -> Page[Experiment]:
        """Raises SearchInvalid."""

    # -- runs ---------------------------------------------------------------------------------------------------------

    def run(self, run_id: str) -> Run:
        """Deleted ones, too. Raises RunNotFound."""
        return self.runs([run_id])[0]

    @abstractmethod
    def runs(self, run_ids: Sequence[str]) -> list[Run]:
        """These runs with all that they hold, in this order. Raises RunNotFound."""

    @abstractmethod
    def refs(self, run_ids: Sequence[str]) -> list[RunRef]:
        """The state of these runs, in this order, for those who keep what they made of them. Raises RunNotFound."""

    @abstractmethod
    def find_runs(self, query: RunQuery) -> Page[RunRef]:
        """Raises SearchInvalid."""

    @abstractmethod
    def datasets(self, experiment_ids: Sequence[str], limit: int) -> list[DatasetSummary]:
        """Which datasets the active runs of these experiments took, each context once, by name, digest and context."""

    # -- metrics ------------------------------------------------------------------------------------------------------

    @abstractmethod
    def series(self, run_id: str) -> list[SeriesSummary]:
        """All series of a run, by key. Raises RunNotFound."""

    @abstractmethod
    def history(self, run_id: str, key: str, *, limit: int, page_token: str = "") -> HistoryPage:
        """Points of one series by timestamp, step and value; none for a key that was never logged. Raises RunNotFound,
        SearchInvalid for a token that is none of ours."""

    @abstractmethod
    def histories(self, run_ids: Sequence[str], key: str, *, limit: int) -> list[tuple[str, Points]]:
        """The first `limit` points of one key over several runs: runs by id, their points by timestamp, step and value.
        Unknown runs have none."""

    @abstractmethod
    def sampled(
        self, run_ids: Sequence[str], key: str, *, limit: int, steps: tuple[int, int] | None = None
    ) -> list[tuple[str, Points]]:
        """Real points for a chart: of each run at most about `limit`, taken evenly by MLflow's rule over the steps that
        the runs have between `steps` (both included), the first and last one of each run kept."""

    @abstractmethod
    def chart(
        self, run_ids: Sequence[str], key: str, *, buckets: int, steps: tuple[int, int] | None = None
    ) -> list[tuple[str, list[Bucket]]]:
        """The same as buckets, evenly over the steps of all the runs together: no spike is lost."""

    # -- logged models ------------------------------------------------------------------------------------------------

    @abstractmethod
    def logged_model(self, model_id: str) -> LoggedModel:
        """Raises LoggedModelNotFound, also for a deleted one."""

    @abstractmethod
    def find_logged_models(self, query: LoggedModelQuery) -> Page[LoggedModel]:
        """Raises SearchInvalid."""

    # -- changes ------------------------------------------------------------------------------------------------------

    @abstractmethod
    def changes(self) -> int:
        """The change counter: greater after every commit that changed anything in the database, by whomever, the
        registry's included."""

    @abstractmethod
    def wait_for_change(self, after: int, timeout: float) -> int:
        """The change counter as soon as it is greater than `after`, or what it is after `timeout` seconds."""

    @abstractmethod
    def changed_runs(self, experiment_ids: Sequence[str], after: int, limit: int) -> list[RunRef]:
        """Runs that changed since the counter was `after`, those that changed first first, deleted ones included."""

    @abstractmethod
    def close(self) -> None:
        """Writes what was submitted, then releases threads and connections."""
