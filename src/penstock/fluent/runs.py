"""Runs as they happen: started, active in the thread that started them, and ended."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from penstock.errors import TrackingInvalid, TrackingUnavailable
from penstock.fluent.context import context_tags, user_name
from penstock.fluent.experiments import current_experiment
from penstock.fluent.outbox.delivery import create_run
from penstock.fluent.outbox.outbox import Outbox
from penstock.fluent.session import FLUSH_SECONDS, Destination, current_session
from penstock.fluent.transport.shape import shape_of_answers
from penstock.fluent.views import RunData, RunInfo, TrackedRun

_NAME_TAG = "mlflow.runName"
_PARENT_TAG = "mlflow.parentRunId"
_NOTE_TAG = "mlflow.note.content"


class ActiveRun(TrackedRun):
    """A run that is being logged to. `with` ends it, as failed where an error leaves the block."""

    def __init__(self, info: RunInfo, data: RunData, uri: str, *, is_new: bool = False) -> None:
        super().__init__(info, data)
        self._uri = uri
        self.is_new = is_new  # begun here: nothing was logged to it before
        # The mutable state: params that were logged here, since each has one value; what its tables hold, by their
        # files; the models that it logged, by step; names and digests of the data that
        # it took; and the outbox that it logs to.
        self._params: dict[str, str] = {}
        self.tables: dict[str, Any] = {}
        self.models: dict[int, list[str]] = {}
        self.datasets: set[tuple[str, str]] = set()
        self._outbox: Outbox | None = None

    @property
    def destination(self) -> Destination:
        """Where it is logged to, wherever later runs go."""
        return current_session().destination(self._uri)

    @property
    def outbox(self) -> Outbox:
        """What it logs to."""
        found = self._outbox
        if found is None or found.is_closed:
            found = self._outbox = self.destination.outbox
        return found

    @property
    def logged_params(self) -> Mapping[str, str]:
        """Those that were logged here."""
        return self._params

    def check_param(self, key: str, value: str) -> None:
        """Raises TrackingInvalid where it has another value already."""
        before = self._params.setdefault(key, value)
        if before != value:
            raise TrackingInvalid(
                f"Changing param values is not allowed. The param {key!r} of run {self.info.run_id} was logged with "
                f"value {before[:100]!r}, and now with {value[:100]!r}.",
                hint="Log what changes as a metric or a tag.",
                field="params",
            )

    def end(self, status: str = "FINISHED", *, wait: bool = True) -> None:
        """`wait` for what was logged to be delivered, unless nobody takes it."""
        runs = current_session().active
        if self in runs:
            runs.remove(self)
        current_session().last_run_id = self.info.run_id
        outbox = self.outbox
        fields = {"status": status, "end_time": now_ms()}
        outbox.put("call", self.info.run_id, {"path": "runs/update", "fields": fields})
        if wait:
            outbox.flush(FLUSH_SECONDS, ask_again=False)
            outbox.say_losses()

    def __enter__(self) -> ActiveRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self in current_session().active:
            self.end("FINISHED" if kind is None else "FAILED")


def start_run(
    run_id: str | None = None,
    experiment_id: str | None = None,
    run_name: str | None = None,
    nested: bool = False,
    parent_run_id: str | None = None,
    tags: Mapping[str, Any] | None = None,
    description: str | None = None,
    log_system_metrics: bool | None = None,
) -> ActiveRun:
    """Starts a run, or goes on with one by its id (`MLFLOW_RUN_ID` counts, too), as MLflow does. Where no server
    answers, the run begins all the same, under an id made here, and is delivered later. What earlier programs left in
    the spool for the same place is delivered in the background.

    `log_system_metrics` is taken for MLflow's sake, and nothing is logged for it. Raises TrackingInvalid, and
    TrackingRefused for what the server does not allow."""
    runs = current_session().active
    if runs and not nested:
        raise TrackingInvalid(
            f"Run with UUID {runs[-1].info.run_id} is already active.",
            hint="To start a new run, first end the current run with end_run(). To start a nested run, call "
            "start_run with nested=True.",
        )
    given = {key: str(value) for key, value in (tags or {}).items()}
    if description:
        if _NOTE_TAG in given:
            raise TrackingInvalid(f"The description is already set via the tag {_NOTE_TAG}.", field="description")
        given[_NOTE_TAG] = description
    run_id = run_id or (os.environ.pop("MLFLOW_RUN_ID", "") if not runs else "")
    destination = current_session().destination()
    if not destination.outbox.is_failing:
        destination.leftovers.start()
    if run_id:
        # What it was given before, by a program that was killed, comes before what it is given now.
        destination.leftovers.wait(FLUSH_SECONDS)
        started = _resumed(destination, run_id, run_name, given)
    else:
        parent = parent_run_id or (runs[-1].info.run_id if runs else "")
        started = _created(
            destination, experiment_id, run_name or "", {**given, **({_PARENT_TAG: parent} if parent else {})}
        )
    runs.append(started)
    return started


def end_run(status: str = "FINISHED") -> None:
    """Ends the innermost active run, and waits for what it logged to be delivered. Without one, nothing happens."""
    if runs := current_session().active:
        runs[-1].end(status)


def active_run() -> ActiveRun | None:
    """The innermost run of this thread that is active."""
    runs = current_session().active
    return runs[-1] if runs else None


def run_in_use() -> ActiveRun:
    """The active run; one is started where there is none, as MLflow does."""
    # What training loops do at every step: few functions, since the caches are full of the step before.
    runs = current_session().threads.runs
    return runs[-1] if runs else start_run()


def target_of(run_id: str | None) -> tuple[str, Outbox]:
    """The id of what is logged to and its outbox: of a run that was named, or of the one in use."""
    if run_id is not None:
        return run_id, current_session().destination().outbox
    run = run_in_use()
    return run.info.run_id, run.outbox


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def _created(destination: Destination, experiment_id: str | None, name: str, tags: dict[str, str]) -> ActiveRun:
    run_id, started, user = uuid.uuid4().hex, now_ms(), user_name()
    tags = {**context_tags(), **tags, **({_NAME_TAG: name} if name else {})}
    fields: dict[str, Any] = {"user_id": user, "start_time": started, "run_name": name or tags.get(_NAME_TAG, "")}
    experiment, experiment_name = (experiment_id, "") if experiment_id else current_experiment(destination)
    outbox = destination.outbox
    try:
        if outbox.is_failing or not experiment:
            raise TrackingUnavailable("What was logged before is delivered first.")
        where = {"experiment_id": experiment, "tags": tags}
        made = create_run(destination.transport, run_id, {**fields, **where}, is_new=True)
    except TrackingUnavailable:
        pairs = [{"key": key, "value": value} for key, value in tags.items()]
        place = {"experiment_id": experiment} if experiment else {"experiment_name": experiment_name}
        outbox.put("create", run_id, {**fields, **place, "tags": pairs})
        made = run_id
    info = RunInfo(made, experiment or "", fields["run_name"], user, "RUNNING", started)
    return ActiveRun(info, RunData(tags=tags), destination.settings.uri, is_new=True)


def _resumed(destination: Destination, run_id: str, name: str | None, tags: dict[str, str]) -> ActiveRun:
    outbox = destination.outbox
    try:
        if outbox.is_failing:
            raise TrackingUnavailable("What was logged before is delivered first.")
        with shape_of_answers(destination.transport):
            found = TrackedRun.of_json(destination.transport.get("runs/get", {"run_id": run_id})["run"])
    except TrackingUnavailable:
        found = TrackedRun(RunInfo(run_id, ""), RunData())
    if found.info.lifecycle_stage == "deleted":
        raise TrackingInvalid(
            f"Cannot start run with ID {run_id} because it is in the deleted state.",
            hint="Restore it with restore_run().",
            field="run_id",
        )
    fields = {"status": "RUNNING", **({"run_name": name} if name else {})}
    outbox.put("call", run_id, {"path": "runs/update", "fields": fields})
    for pair in tags.items():
        outbox.put("tags", run_id, pair)
    return ActiveRun(found.info, found.data, destination.settings.uri)
