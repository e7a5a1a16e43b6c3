"""What every tracking store does with experiments, runs and what is logged to them."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import pytest

from penstock.errors import (
    ExperimentExists,
    ExperimentNotFound,
    ParamChanged,
    RunExists,
    RunNotActive,
    RunNotFound,
    TagNotFound,
    TrackingInvalid,
    TrackingStateInvalid,
)
from penstock.tracking.datasets import Dataset, DatasetInput
from penstock.tracking.interface import Done, TrackingStore
from penstock.tracking.metrics import Metric, Point
from penstock.tracking.runs import ModelOutput
from penstock.tracking.writes import (
    CreateExperiment,
    CreateLoggedModel,
    CreateRun,
    DeleteExperiment,
    DeleteExperimentTag,
    DeleteRun,
    DeleteTag,
    LogBatch,
    LogInputs,
    LogOutputs,
    RenameExperiment,
    RestoreExperiment,
    RestoreRun,
    SetExperimentTag,
    UpdateRun,
    Write,
)


def test_the_default_experiment_is_there(store: TrackingStore) -> None:
    found = store.experiment("0")
    assert (found.name, found.artifact_location, found.lifecycle) == ("Default", "mlflow-artifacts:/0", "active")
    assert store.experiment_by_name("Default") == found


def test_experiments_are_numbered_and_tagged(store: TrackingStore) -> None:
    first = store.write(CreateExperiment("a", tags={"team": "x"}))
    second = store.write(CreateExperiment("b", "s3://bucket/b"))
    assert (first, second) == ("1", "2")
    assert store.experiment(first).tags == {"team": "x"}
    assert store.experiment(second).artifact_location == "s3://bucket/b"
    store.write(SetExperimentTag(first, "team", "y"))
    store.write(SetExperimentTag(first, "kind", "z"))
    assert store.experiment(first).tags == {"kind": "z", "team": "y"}
    store.write(DeleteExperimentTag(first, "team"))
    assert store.experiment(first).tags == {"kind": "z"}
    with pytest.raises(TagNotFound):
        store.write(DeleteExperimentTag(first, "team"))


def test_names_of_experiments_are_unique_among_deleted_ones_too(store: TrackingStore, experiment: str) -> None:
    store.write(DeleteExperiment(experiment))
    with pytest.raises(ExperimentExists):
        store.write(CreateExperiment("trees"))
    with pytest.raises(TrackingStateInvalid):
        store.write(RenameExperiment(experiment, "other"))
    store.write(RestoreExperiment(experiment))
    store.write(RenameExperiment(experiment, "other"))
    assert store.experiment_by_name("other").experiment_id == experiment
    with pytest.raises(ExperimentExists):
        store.write(RenameExperiment(experiment, "Default"))


@pytest.mark.parametrize("unknown", ["7", "x", "", "٣", "9" * 40, "-1"])
def test_unknown_experiments_are_not_found(store: TrackingStore, unknown: str) -> None:
    with pytest.raises(ExperimentNotFound):
        store.experiment(unknown)
    with pytest.raises(ExperimentNotFound):
        store.write(CreateRun(unknown))


def test_deleting_an_experiment_deletes_its_runs_and_restoring_revives_all_of_them(
    store: TrackingStore, experiment: str, run_id: str
) -> None:
    other = store.write(CreateRun(experiment)).run_id
    store.write(DeleteRun(other))
    store.write(DeleteExperiment(experiment))
    assert store.run(run_id).lifecycle == "deleted"
    with pytest.raises(TrackingInvalid):
        store.write(CreateRun(experiment))
    with pytest.raises(ExperimentNotFound):
        store.write(DeleteExperiment(experiment))
    store.write(RestoreExperiment(experiment))
    assert {store.run(run_id).lifecycle, store.run(other).lifecycle} == {"active"}


def test_a_run_is_what_was_asked_for(store: TrackingStore, experiment: str) -> None:
    made = store.write(CreateRun(experiment, user_id="ann", start_time=5, tags={"mlflow.runName": "n", "a": "b"}))
    assert store.run(made.run_id) == made
    assert (made.name, made.user_id, made.status, made.start_time, made.end_time) == ("n", "ann", "RUNNING", 5, None)
    assert made.artifact_uri == f"mlflow-artifacts:/{experiment}/{made.run_id}/artifacts"
    assert made.tags == {"a": "b", "mlflow.runName": "n"}
    assert store.write(CreateRun(experiment, tags={"mlflow.user": "bob"})).user_id == "bob"
    assert store.write(CreateRun(experiment)).name
    with pytest.raises(TrackingInvalid, match="differ"):
        store.write(CreateRun(experiment, name="x", tags={"mlflow.runName": "y"}))


def test_a_run_may_bring_its_id_once(store: TrackingStore, experiment: str) -> None:
    assert store.write(CreateRun(experiment, run_id="mine")).run_id == "mine"
    with pytest.raises(RunExists):
        store.write(CreateRun(experiment, run_id="mine"))


def test_an_update_changes_what_it_names(store: TrackingStore, run_id: str) -> None:
    ended = store.write(UpdateRun(run_id, status="FINISHED", end_time=9))
    assert (ended.status, ended.end_time, ended.name) == ("FINISHED", 9, "first")
    store.write(UpdateRun(run_id, name="other"))
    found = store.run(run_id)
    assert (found.status, found.end_time, found.name, found.tags["mlflow.runName"]) == ("FINISHED", 9, "other", "other")
    store.write(LogBatch(run_id, tags=[("mlflow.runName", "third")]))
    assert store.run(run_id).name == "third"


def test_a_deleted_run_takes_nothing_until_it_is_restored(store: TrackingStore, run_id: str) -> None:
    store.write(DeleteRun(run_id))
    for change in (
        LogBatch(run_id, params=[("a", "b")]),
        UpdateRun(run_id, status="FAILED"),
        DeleteTag(run_id, "mlflow.runName"),
        LogInputs(run_id),
        LogOutputs(run_id),
    ):
        with pytest.raises(RunNotActive):
            store.write(change)
    store.write(RestoreRun(run_id))
    store.write(LogBatch(run_id, params=[("a", "b")]))
    assert store.run(run_id).params == {"a": "b"}


def test_unknown_runs_are_not_found(store: TrackingStore) -> None:
    for change in (LogBatch("x"), UpdateRun("x"), DeleteRun("x"), RestoreRun("x"), DeleteTag("x", "y"), LogInputs("x")):
        with pytest.raises(RunNotFound):
            store.write(change)
    with pytest.raises(RunNotFound):
        store.run("x")
    with pytest.raises(RunNotFound):
        store.history("x", "y", limit=1)


def test_a_param_keeps_its_value(store: TrackingStore, run_id: str) -> None:
    store.write(LogBatch(run_id, params=[("depth", "3"), ("empty", "")]))
    store.write(LogBatch(run_id, params=[("depth", "3")]))
    with pytest.raises(ParamChanged, match="depth"):
        store.write(LogBatch(run_id, [Metric("m", 1.0, 1)], [("new", "1"), ("depth", "4")], [("t", "v")]))
    found = store.run(run_id)
    assert found.params == {"depth": "3", "empty": ""}
    assert (found.metrics, "t" in found.tags) == ((), False)  # all of a batch, or nothing


def test_tags_are_replaced_and_deleted(store: TrackingStore, run_id: str) -> None:
    store.write(LogBatch(run_id, tags=[("a", "1"), ("a", "2"), ("b", "3")]))
    store.write(LogBatch(run_id, tags=[("b", "4")]))
    store.write(DeleteTag(run_id, "a"))
    assert store.run(run_id).tags == {"b": "4", "mlflow.runName": "first"}
    with pytest.raises(TagNotFound):
        store.write(DeleteTag(run_id, "a"))


def test_the_latest_point_is_that_of_the_greatest_step_then_time_then_value(store: TrackingStore, run_id: str) -> None:
    for step, timestamp, value in ((1, 5, 1.0), (2, 3, 7.0), (2, 4, 1.0), (2, 4, 2.0), (0, 9, 9.0)):
        store.write(LogBatch(run_id, [Metric("m", value, timestamp, step)]))
    assert store.run(run_id).metrics == (Metric("m", 2.0, 4, 2),)


def test_the_same_point_twice_is_one(store: TrackingStore, run_id: str) -> None:
    batch = [Metric("m", 1.0, 1, 1), Metric("m", 1.0, 1, 1), Metric("m", 2.0, 1, 1)]
    store.write(LogBatch(run_id, batch))
    store.write(LogBatch(run_id, batch))
    (summary,) = store.series(run_id)
    assert (summary.count, list(store.history(run_id, "m", limit=10).points)) == (
        2,
        [Point(1, 1, 1.0), Point(1, 1, 2.0)],
    )


def test_nan_and_infinities(store: TrackingStore, run_id: str) -> None:
    values = [1.0, math.nan, math.nan, math.inf, -math.inf]
    store.write(LogBatch(run_id, [Metric("m", value, 1, step) for step, value in enumerate(values)]))
    points = store.history(run_id, "m", limit=10).points
    assert [value if value == value else "nan" for value in points.values] == [
        *(1.0, "nan", "nan"),
        *(sys.float_info.max, -sys.float_info.max),
    ]
    (summary,) = store.series(run_id)
    assert (summary.minimum, summary.maximum) == (-sys.float_info.max, sys.float_info.max)
    store.write(LogBatch(run_id, [Metric("only", math.nan, 1, 1)]))
    assert math.isnan(store.run(run_id).metrics[1].value)
    assert math.isnan(store.series(run_id)[1].minimum)


def test_history_is_by_time_and_comes_in_pages(store: TrackingStore, run_id: str) -> None:
    store.write(LogBatch(run_id, [Metric("m", float(step), 100 - step, step) for step in range(10)]))
    first = store.history(run_id, "m", limit=4)
    second = store.history(run_id, "m", limit=4, page_token=first.next_token)
    third = store.history(run_id, "m", limit=4, page_token=second.next_token)
    steps = [point.step for page in (first, second, third) for point in page.points]
    assert (steps, third.next_token) == (list(range(9, -1, -1)), "")
    assert len(store.history(run_id, "none", limit=4).points) == 0


def test_histories_of_several_runs(store: TrackingStore, experiment: str) -> None:
    ids = [store.write(CreateRun(experiment, run_id=name)).run_id for name in ("b", "a", "c")]
    for number, each in enumerate(ids[:2]):
        store.write(LogBatch(each, [Metric("m", float(step), step, step) for step in range(number + 5)]))
    found = store.histories([*ids, "unknown"], "m", limit=8)
    assert [(run_id, len(points)) for run_id, points in found] == [("a", 6), ("b", 2)]


def test_samples_keep_both_ends(store: TrackingStore, run_id: str) -> None:
    store.write(LogBatch(run_id, [Metric("m", float(step), step, step) for step in range(100)]))
    ((_, points),) = store.sampled([run_id], "m", limit=7)
    assert (len(points), points.steps[0], points.steps[-1]) == (7, 0, 99)
    ((_, points),) = store.sampled([run_id], "m", limit=320, steps=(10, 12))
    assert list(points.steps) == [10, 11, 12]


def test_no_spike_is_lost_from_a_chart(store: TrackingStore, run_id: str) -> None:
    values = [1000.0 if step == 57 else float(step % 3) for step in range(200)]
    store.write(LogBatch(run_id, [Metric("m", value, step, step) for step, value in enumerate(values)]))
    ((_, buckets),) = store.chart([run_id], "m", buckets=10)
    assert (len(buckets), sum(bucket.points for bucket in buckets)) == (10, 200)
    assert max(bucket.maximum for bucket in buckets) == 1000.0
    assert (buckets[0].first_step, buckets[-1].last_step, buckets[0].minimum) == (0, 199, 0.0)


@pytest.mark.parametrize(
    "write",
    [
        lambda: CreateLoggedModel("0", "n" * 501),
        lambda: CreateLoggedModel("0", source_run_id="r" * 257),
        lambda: LogInputs("a", models=[ModelOutput("m" * 37)]),
        lambda: LogOutputs("a", [ModelOutput("m" * 37)]),
        lambda: LogBatch("a", [Metric("m", 1.0, 1, 0, "m-1", "d" * 501)]),
        lambda: LogBatch("a", [Metric("m", 1.0, 1, 0, "m-1", "d", "9" * 37)]),
    ],
)
def test_what_is_longer_than_its_column_is_refused(write: Callable[[], Write[object]]) -> None:
    with pytest.raises(TrackingInvalid, match="characters"):
        write()


def test_inputs_and_outputs(store: TrackingStore, experiment: str, run_id: str) -> None:
    wine = Dataset("wine", "1a", "local", "here", "schema", None)
    train, evaluated = {"mlflow.data.context": "train"}, {"mlflow.data.context": "eval"}
    store.write(LogInputs(run_id, [DatasetInput(wine, train)], [ModelOutput("m-1")]))
    store.write(LogInputs(run_id, [DatasetInput(wine, evaluated), DatasetInput(Dataset("other", "2b"))]))
    store.write(LogOutputs(run_id, [ModelOutput("m-2", 4)]))
    found = store.run(run_id)
    assert found.datasets == (DatasetInput(wine, train), DatasetInput(Dataset("other", "2b")))
    assert (found.model_inputs, found.model_outputs) == ((ModelOutput("m-1", 0),), (ModelOutput("m-2", 4),))
    assert [(each.name, each.context) for each in store.datasets([experiment], 10)] == [
        ("other", ""),
        ("wine", "train"),
    ]


def test_every_write_moves_the_counter_on_and_marks_its_run(store: TrackingStore, experiment: str, run_id: str) -> None:
    before = store.changes()
    other = store.write(CreateRun(experiment)).run_id
    store.write(LogBatch(run_id, params=[("a", "b")]))
    assert store.wait_for_change(before, 5.0) > before
    assert [ref.run_id for ref in store.changed_runs([experiment], before, 10)] == [other, run_id]
    refs = store.refs([run_id, other])
    assert refs[0].changed > refs[1].changed > before
    assert store.run(run_id).ref == refs[0]


def test_what_is_submitted_is_told_how_it_ended(store: TrackingStore, run_id: str) -> None:
    done: list[Done] = []
    store.submit(LogBatch(run_id, params=[("a", "b")]), "good", done.extend)
    store.submit(LogBatch("unknown"), "bad", done.extend)
    store.close()
    assert [(each.ticket, type(each.error)) for each in done] == [("good", type(None)), ("bad", RunNotFound)]
