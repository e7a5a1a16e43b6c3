"""Imports from a database of MLflow's: what is kept, what a second one does, and what is refused."""

from __future__ import annotations

import math
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from moving.conftest import Store
from moving.mlflow_tables import OLD, MlflowTables
from penstock.errors import ConfigError, ImportFailed
from penstock.moving.importer import ImportOptions
from penstock.moving.steps import runs as run_step
from penstock.moving.tally import CountedKind, ImportReport
from penstock.moving.target import ImportTarget
from penstock.registry import NewVersion
from penstock.tracking.metrics import Metric
from penstock.tracking.writes import CreateExperiment, CreateRun, LogBatch, SetExperimentTag, UpdateRun

Line = Callable[[ImportReport, str], CountedKind]


def test_ids_names_times_and_states_stay_as_they_are(tables: MlflowTables, store: Store) -> None:
    tables.insert("experiment_tags", {"key": "k", "value": "v", "experiment_id": 1})
    tables.add_experiment(7, "gone", lifecycle_stage="deleted", creation_time=1, last_update_time=2)
    tables.add_run("r1")
    tables.add_run("r2", 7, lifecycle_stage="deleted", deleted_time=99, status="RUNNING", end_time=None)
    tables.insert("params", {"key": "depth", "value": "3", "run_uuid": "r1"})
    tables.insert("tags", {"key": "mlflow.parentRunId", "value": "r2", "run_uuid": "r1"})
    report = store.bring(tables.path)
    assert report.agrees
    with store.opened() as stores:
        default, trees, gone = (stores.tracking.experiment(each) for each in "017")
        assert (default.artifact_location, default.creation_time) == ("/mlruns/0", 5)
        assert (trees.name, trees.tags, trees.creation_time, trees.last_update_time) == ("trees", {"k": "v"}, 7, 8)
        assert gone.lifecycle == "deleted"
        first, second = stores.tracking.runs(["r1", "r2"])
        assert (first.name, first.user_id, first.status, first.start_time, first.end_time) == (
            *("run r1", "ann", "FINISHED"),
            *(10, 20),
        )
        assert (first.params, first.tags) == ({"depth": "3"}, {"mlflow.parentRunId": "r2"})
        assert first.artifact_uri == "/mlruns/1/r1/artifacts"
        assert (second.lifecycle, second.status, second.end_time) == ("deleted", "RUNNING", None)
        assert stores.tracking.write(CreateExperiment("next")) == "8"  # ids go on where they were


def test_points_follow_mlflows_rules(tables: MlflowTables, store: Store) -> None:
    tables.add_run("r1")
    tables.add_points("r1", "loss", [(step, 1000 + step, step / 7) for step in range(5000, 0, -1)])
    tables.add_points("r1", "few", [(3, 5, 1.0), (3, 4, 2.0), (-1, 9, math.inf), (3, 5, 0.5)])
    tables.add_points("r1", "few", [(4, 4, 0.0)], nan=True)
    store.bring(tables.path)
    with store.opened() as stores:
        found = {each.key: each for each in stores.tracking.run("r1").metrics}
        assert (found["loss"].step, found["loss"].value) == (5000, 5000 / 7)
        assert (found["few"].step, math.isnan(found["few"].value)) == (4, True)
        points = list(stores.tracking.history("r1", "few", limit=10).points)
        assert [(each.step, each.timestamp) for each in points] == [(3, 4), (4, 4), (3, 5), (3, 5), (-1, 9)]
        assert points[-1].value == sys.float_info.max
        assert len(stores.tracking.history("r1", "loss", limit=9999).points) == 5000


def test_datasets_and_models_of_runs_come_with_them(tables: MlflowTables, store: Store, line: Line) -> None:
    tables.add_run("r1")
    tables.insert(
        "datasets",
        {"dataset_uuid": "u1", "experiment_id": 1, "name": "iris", "digest": "d"}
        | {"dataset_source_type": "http", "dataset_source": "{}", "dataset_schema": None, "dataset_profile": ""},
    )
    given = {"source_type": "DATASET", "source_id": "u1", "destination_type": "RUN", "destination_id": "r1", "step": 0}
    tables.insert("inputs", {"input_uuid": "i1", **given})
    tables.insert("input_tags", {"input_uuid": "i1", "name": "mlflow.data.context", "value": "train"})
    made = {"source_type": "RUN_OUTPUT", "source_id": "r1", "destination_type": "MODEL_OUTPUT", "step": 4}
    tables.insert("inputs", {"input_uuid": "i2", **made, "destination_id": "m-1"})
    tables.insert(
        "logged_models",
        {"model_id": "m-1", "experiment_id": 1, "name": "echo", "artifact_location": "/m", "creation_timestamp_ms": 1}
        | {"last_updated_timestamp_ms": 2, "status": 2, "lifecycle_stage": "active", "source_run_id": "r1"},
    )
    about = {"model_id": "m-1", "metric_name": "acc", "experiment_id": 1, "run_id": "r1", "dataset_name": "iris"}
    tables.insert(
        "logged_model_metrics",
        *({**about, "metric_timestamp_ms": 5, "metric_step": step, "metric_value": 0.5} for step in range(3)),
    )
    report = store.bring(tables.path)
    assert report.agrees
    assert line(report, "logged model metrics").store == 3
    with store.opened() as stores:
        run = stores.tracking.run("r1")
        assert run.datasets[0].dataset.schema is None
        assert run.datasets[0].dataset.profile == ""
        assert run.datasets[0].tags == {"mlflow.data.context": "train"}
        assert [(each.model_id, each.step) for each in run.model_outputs] == [("m-1", 4)]
        model = stores.tracking.logged_model("m-1")
        assert (model.status, model.artifact_uri, model.source_run_id) == ("LOGGED_MODEL_READY", "/m", "r1")
        assert model.metrics[-1].metric.step == 2
    assert line(store.bring(tables.path), "logged models").present == 1


def test_models_keep_numbers_stages_and_aliases(tables: MlflowTables, store: Store) -> None:
    tables.insert("registered_models", {"name": "iris", "creation_time": 1000, "last_updated_time": 2000})
    version = {"name": "iris", "creation_time": 1500, "source": "/nowhere/m", "status": "READY", "user_id": "ann"}
    tables.insert(
        "model_versions",
        {**version, "version": 2, "current_stage": "Production"},
        {**version, "version": 3, "current_stage": "None"},
        {**version, "version": 5, "current_stage": "Deleted_Internal"},
    )
    tables.insert("registered_model_aliases", {"name": "iris", "alias": "champion", "version": 3})
    tables.insert("model_version_tags", {"name": "iris", "version": 2, "key": "a", "value": "b"})
    report = store.bring(tables.path)
    assert report.agrees
    assert report.reasons["model versions"]["it was deleted there; its number is not given again"] == 1
    with store.opened() as stores:
        registry = stores.registry
        first, second = registry.versions("iris")
        assert (first.version, first.stage, first.registered_by, first.tags) == ("2", "Production", "ann", {"a": "b"})
        assert (second.version, second.aliases, second.origin) == ("3", ("champion",), "/nowhere/m")
        assert first.created_at.timestamp() == 1.5
        assert [(move.alias, move.to_version, move.by) for move in registry.history("iris")] == [
            ("champion", "3", "import")
        ]
        assert registry.register("iris", NewVersion(source="s3://b/n")).version == "6"
    tables.run("UPDATE registered_model_aliases SET version = 2")
    store.bring(tables.path)
    with store.opened() as stores:
        assert stores.registry.resolve("iris", "champion").version == "2"


def test_a_second_import_brings_what_is_new(tables: MlflowTables, store: Store, line: Line) -> None:
    tables.add_run("r1", status="RUNNING", end_time=None)
    tables.add_run("r2")
    tables.add_points("r1", "loss", [(step, step, 1.0) for step in range(100)])
    store.bring(tables.path)
    again = store.bring(tables.path)
    assert (line(again, "runs").imported, line(again, "metric points").imported) == (0, 0)
    tables.run("UPDATE runs SET status = 'FINISHED', end_time = 50 WHERE run_uuid = 'r1'")
    tables.add_points("r1", "loss", [(step, step, 1.0) for step in range(50, 200, 3) if step > 99])
    tables.add_run("r3")
    tables.insert("tags", {"key": "new", "value": "tag", "run_uuid": "r2"})
    grown = store.bring(tables.path)
    assert (line(grown, "runs").imported, line(grown, "metric points").imported) == (1, 33)
    assert line(grown, "tags").imported == 1
    assert grown.agrees
    with store.opened() as stores:
        run = stores.tracking.run("r1")
        assert (run.status, run.end_time, run.metrics[0].step) == ("FINISHED", 50, 197)
        assert stores.tracking.run("r2").tags == {"new": "tag"}


def test_a_store_in_postgresql_is_imported_into_as_well(
    tables: MlflowTables, postgres_store: Store, line: Line
) -> None:
    tables.add_run("r1", status="RUNNING")
    tables.add_points("r1", "loss", [(step, step, step / 7) for step in range(100)])
    tables.add_points("r1", "few", [(step, step, math.inf) for step in range(3)])
    tables.insert("params", {"key": "depth", "value": "3", "run_uuid": "r1"})
    tables.insert("registered_models", {"name": "iris", "creation_time": 1000})
    tables.insert("model_versions", {"name": "iris", "version": 2, "current_stage": "None", "source": "/nowhere/m"})
    tables.insert("registered_model_aliases", {"name": "iris", "alias": "champion", "version": 2})
    assert postgres_store.bring(tables.path).agrees
    tables.run("UPDATE runs SET status = 'FINISHED' WHERE run_uuid = 'r1'")
    tables.add_points("r1", "loss", [(-5, 1, 1.0)])
    again = postgres_store.bring(tables.path)
    assert again.agrees
    assert line(again, "metric points").imported == 1
    with postgres_store.opened() as stores:
        assert stores.tracking.run("r1").status == "FINISHED"
        assert len(stores.tracking.history("r1", "loss", limit=200).points) == 101
        assert stores.registry.resolve("iris", "champion").version == "2"


def test_what_was_changed_here_is_not_overwritten(tables: MlflowTables, store: Store) -> None:
    tables.add_run("r1")
    tables.add_run("r2")
    tables.add_points("r1", "loss", [(1, 1, 1.0)])
    store.bring(tables.path)
    with store.opened() as stores:
        stores.tracking.write(UpdateRun("r1", name="mine"))
        stores.tracking.write(UpdateRun("r2", name="mine, too"))
        stores.tracking.write(LogBatch("r1", [Metric("loss", 2.0, 2, 2)]))
    tables.run("UPDATE runs SET name = 'theirs' WHERE run_uuid = 'r2'")
    tables.add_points("r1", "loss", [(3, 3, 3.0)])
    report = store.bring(tables.path)
    assert [(each.kind, each.id) for each in report.listed] == [("runs", "r2")]
    with store.opened() as stores:
        assert [each.name for each in stores.tracking.runs(["r1", "r2"])] == ["mine", "mine, too"]
        points = stores.tracking.history("r1", "loss", limit=9).points
        assert list(points.values) == [1.0, 2.0, 3.0]


def test_an_import_that_is_cut_off_goes_on_and_nothing_is_there_twice(
    tables: MlflowTables, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_step, "BATCH_POINTS", 500)
    for name in ("r1", "r2", "r3"):
        tables.add_run(name)
        tables.add_points(name, "a", [(step, step, 1.0) for step in range(400)])
        tables.add_points(name, "b", [(0, step, float(step)) for step in range(400)])
    left = [3]
    write = ImportTarget.write_points

    def cut(target: ImportTarget, *given: object) -> int:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return write(target, *given)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(ImportTarget, "write_points", cut)
        with pytest.raises(KeyboardInterrupt):
            store.bring(tables.path)
    report = store.bring(tables.path)
    assert report.agrees
    with store.opened() as stores:
        for name in ("r1", "r2", "r3"):
            assert [each.count for each in stores.tracking.series(name)] == [400, 400]


def test_ids_and_names_of_other_objects_are_refused_before_anything_is_written(
    tables: MlflowTables, store: Store, line: Line
) -> None:
    with store.opened() as stores:
        stores.tracking.write(CreateExperiment("mine"))
        stores.registry.create_model("iris")
    tables.add_run("r1")
    tables.add_experiment(2, "mine")
    tables.insert("registered_models", {"name": "iris", "creation_time": 1})
    with pytest.raises(ImportFailed, match="another experiment with this id, 'mine'") as refused:
        store.bring(tables.path)
    assert "registered model iris" in refused.value.message
    with store.opened() as stores:
        assert stores.tracking.experiment("1").name == "mine"
    report = store.bring(tables.path, ImportOptions(skip_clashes=True))
    assert (line(report, "experiments").skipped, line(report, "runs").skipped) == (2, 1)
    assert line(report, "registered models").skipped == 1
    assert report.agrees


def test_both_default_experiments_become_one(tables: MlflowTables, store: Store) -> None:
    with store.opened() as stores:
        stores.tracking.write(CreateRun("0", run_id="mine"))
        stores.tracking.write(SetExperimentTag("0", "k", "mine"))
        location = stores.tracking.experiment("0").artifact_location
    tables.add_run("theirs", 0)
    tables.insert(
        "experiment_tags",
        {"key": "k", "value": "theirs", "experiment_id": 0},
        {"key": "other", "value": "theirs", "experiment_id": 0},
    )
    for _ in range(2):
        report = store.bring(tables.path)
        assert report.agrees
    with store.opened() as stores:
        merged = stores.tracking.experiment("0")
        assert (merged.artifact_location, merged.tags) == (location, {"k": "mine", "other": "theirs"})
        assert {run.experiment_id for run in stores.tracking.runs(["mine", "theirs"])} == {"0"}


def test_what_is_taken_away_here_does_not_come_back(tables: MlflowTables, store: Store) -> None:
    tables.insert("registered_models", {"name": "iris", "creation_time": 1})
    store.bring(tables.path)
    with store.opened() as stores:
        stores.registry.delete("iris")
    report = store.bring(tables.path)
    assert "it was brought over before and removed here since" in report.reasons["registered models"]
    with store.opened() as stores:
        assert stores.registry.models() == []


def test_a_dry_run_counts_and_writes_nothing(tables: MlflowTables, store: Store, line: Line) -> None:
    tables.add_run("r1")
    tables.add_points("r1", "loss", [(1, 1, 1.0)])
    report = store.bring(tables.path, ImportOptions(dry_run=True))
    assert (line(report, "runs").imported, line(report, "metric points").imported) == (1, 1)
    assert not Path(store.url).exists()
    assert report.agrees
    store.bring(tables.path)
    tables.add_run("r2")
    with store.opened() as stores:
        before = stores.tracking.changes()
    again = store.bring(tables.path, ImportOptions(dry_run=True))
    assert (line(again, "runs").imported, line(again, "runs").present) == (1, 1)
    with store.opened() as stores:
        assert stores.tracking.changes() == before + 1  # by being opened


def test_tables_of_an_old_release_are_read(tmp_path: Path, store: Store) -> None:
    old = MlflowTables(tmp_path / "old.db", OLD)
    old.add_experiment(1, "trees")
    old.add_run("r1", name="")
    old.insert("tags", {"key": "mlflow.runName", "value": "named by its tag", "run_uuid": "r1"})
    assert store.bring(old.path).agrees
    with store.opened() as stores:
        assert stores.tracking.run("r1").name == "named by its tag"


def test_a_schema_that_is_unknown_is_refused_unless_it_is_accepted(tables: MlflowTables, store: Store) -> None:
    tables.run("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    with pytest.raises(ImportFailed, match="ffffffffffff"):
        store.bring(tables.path)
    assert store.bring(tables.path, accept_unknown=True).agrees
    tables.run("ALTER TABLE params RENAME COLUMN value TO text")
    with pytest.raises(ImportFailed, match="has no column value"):
        store.bring(tables.path, accept_unknown=True)


def test_what_is_no_database_of_mlflows_is_refused(tmp_path: Path, store: Store) -> None:
    with pytest.raises(ImportFailed, match="There is no file"):
        store.bring(tmp_path / "nothing.db")
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.execute("CREATE TABLE t (x)")
    with pytest.raises(ImportFailed, match="none of MLflow's"):
        store.bring(tmp_path / "other.db")
    (tmp_path / "text.db").write_text("hello" * 1000)
    with pytest.raises(ImportFailed, match="cannot be read"):
        store.bring(tmp_path / "text.db")
    with pytest.raises(ConfigError, match="oracle"):
        store.bring("oracle://u:secret@h/d")


def test_the_source_is_only_read(tables: MlflowTables, store: Store) -> None:
    tables.add_run("r1")
    before = tables.path.read_bytes()
    tables.path.chmod(0o444)
    store.bring(tables.path)
    assert tables.path.read_bytes() == before
    assert sorted(each.name for each in tables.path.parent.glob("mlflow.db*")) == ["mlflow.db"]
