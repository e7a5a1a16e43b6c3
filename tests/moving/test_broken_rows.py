"""Rows that cannot be brought over, or not as they are: each is listed with a reason, and the others come."""

from __future__ import annotations

import pytest

from moving.conftest import Store
from moving.mlflow_tables import MlflowTables
from penstock.errors import ImportFailed
from penstock.moving.mlflow_database.connections import SqliteSource


def test_rows_of_nothing_are_listed(tables: MlflowTables, store: Store) -> None:
    tables.add_points("nowhere", "loss", [(1, 1, 1.0), (2, 2, 2.0)])
    tables.insert("params", {"key": "k", "value": "v", "run_uuid": "nowhere"})
    tables.insert("model_versions", {"name": "lost", "version": 1, "current_stage": "None"})
    tables.insert("experiment_tags", {"key": "k", "value": "v", "experiment_id": 99})
    tables.add_run("r9", experiment=99)
    tables.add_points("r9", "loss", [(1, 1, 1.0)])
    report = store.bring(tables.path)
    assert report.agrees
    assert {(each.kind, each.id, each.count) for each in report.listed} == {
        ("metric points", "nowhere", 2),
        ("params", "nowhere", 1),
        ("model versions", "lost", 1),
        ("experiment tags", "99", 1),
        ("runs", "r9", 1),
        ("metric points", "r9", 1),
    }


def test_values_of_a_wrong_kind_are_mended_or_listed(tables: MlflowTables, store: Store) -> None:
    tables.add_run("r1", status="EXPLODED", start_time=None, user_id=None)
    tables.insert(
        "metrics",
        {"key": "a", "value": "text", "timestamp": 1, "run_uuid": "r1", "step": 1, "is_nan": 0},
        {"key": "a", "value": 2.0, "timestamp": 2, "run_uuid": "r1", "step": 2, "is_nan": 0},
        {"key": "a", "value": 3.0, "timestamp": "noon", "run_uuid": "r1", "step": 3, "is_nan": 0},
        {"key": "k" * 251, "value": 4.0, "timestamp": 4, "run_uuid": "r1", "step": 4, "is_nan": 0},
        {"key": "", "value": 4.0, "timestamp": 4, "run_uuid": "r1", "step": 4, "is_nan": 0},
    )
    tables.insert("params", {"key": "k" * 251, "value": "v", "run_uuid": "r1"})
    tables.insert("tags", {"key": "long", "value": "v" * 20_000, "run_uuid": "r1"})
    report = store.bring(tables.path)
    assert report.agrees
    with store.opened() as stores:
        run = stores.tracking.run("r1")
        assert (run.status, run.start_time, run.user_id) == ("FAILED", 0, "")
        assert [(each.key, each.value) for each in run.metrics] == [("a", 2.0)]
        assert (dict(run.params), len(run.tags["long"])) == ({}, 20_000)
    assert report.reasons["runs"] == {"its status 'EXPLODED' is unknown: it is FAILED here": 1}
    assert sum(report.reasons["metric points"].values()) == 4


def test_bytes_that_are_no_text_are_replaced_in_values_and_refused_in_names(tables: MlflowTables, store: Store) -> None:
    tables.add_run("r1")
    for key, value in (("x'6b'", "x'61FF62'"), ("x'6BFF'", "x'61'"), ("x'6e00'", "x'62'"), ("x'6d'", "x'620063'")):
        tables.run(f"INSERT INTO tags VALUES (CAST({key} AS TEXT), CAST({value} AS TEXT), 'r1')")
    report = store.bring(tables.path)
    assert report.agrees
    with store.opened() as stores:
        assert stores.tracking.run("r1").tags == {"k": "a\ufffdb", "m": "b\ufffdc"}
    assert {each.kept for each in report.listed} == {True, False}


def test_objects_of_other_workspaces_are_listed(tables: MlflowTables, store: Store) -> None:
    tables.add_experiment(5, "elsewhere", workspace="team")
    tables.add_run("r5", experiment=5)
    tables.insert("registered_models", {"name": "iris", "creation_time": 1, "workspace": "team"})
    report = store.bring(tables.path)
    assert report.agrees
    assert {each.kind for each in report.listed} == {"experiments", "runs", "registered models"}


def test_ids_that_are_missing_or_no_text_are_listed_with_what_hangs_on_them(tables: MlflowTables, store: Store) -> None:
    for run_id in ("NULL", "NULL", "CAST('r1' AS BLOB)", "CAST(x'72FF' AS TEXT)"):
        tables.run(f"INSERT INTO runs(run_uuid, experiment_id, status) VALUES ({run_id}, 1, 'FINISHED')")
        tables.run(f"INSERT INTO params VALUES ('k', 'v', {run_id})")
    tables.add_run("r1")
    tables.add_points("r1", "loss", [(1, 1, 1.0)])
    for model_id in ("NULL", "''", "x'6d'", "'m'"):
        tables.run(f"INSERT INTO logged_models(model_id, experiment_id, name, status) VALUES ({model_id}, 1, 'n', 2)")
    for name in ("NULL", "''", "x'6d'", "'m'", "CAST(x'ff' AS TEXT)"):
        tables.run(f"INSERT INTO registered_models(name) VALUES ({name})")
        tables.run(f"INSERT INTO registered_model_tags(name, key, value) VALUES ({name}, 'k', 'v')")
    report = store.bring(tables.path)
    assert report.agrees
    counted = {each.kind: (each.imported, each.skipped) for each in report.counted}
    assert [counted[kind] for kind in ("runs", "params", "logged models", "registered models")] == [
        *((1, 4), (0, 4), (1, 3)),
        (1, 4),
    ]
    assert counted["registered model tags"] == (1, 4)
    assert ("runs", "", "its id is missing", 2) in {(e.kind, e.id, e.reason, e.count) for e in report.listed}


def test_a_page_that_comes_again_ends_the_import(
    tables: MlflowTables, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables.add_run("r1")
    rows = SqliteSource.rows
    same = lambda c, statement, *given: rows(c, statement.replace("run_uuid > ?", "run_uuid >= ?"), *given)  # noqa: E731
    monkeypatch.setattr(SqliteSource, "rows", same)
    with pytest.raises(ImportFailed, match="gives 'r1' after itself"):
        store.bring(tables.path)


def test_of_two_experiments_with_one_name_the_first_comes(tables: MlflowTables, store: Store) -> None:
    tables.add_experiment(2, "trees")
    tables.insert("experiment_tags", {"key": "k", "value": "v", "experiment_id": 2})
    tables.add_run("r2", 2)
    for _ in range(2):
        report = store.bring(tables.path)
        assert report.agrees
        assert {(each.kind, each.id) for each in report.listed} == {
            ("experiments", "2"),
            ("experiment tags", "2"),
            ("runs", "r2"),
        }
    assert report.listed[0].reason == "its name 'trees' is that of experiment 1, too: rename one of them"


def test_numbers_that_no_version_has_are_listed(tables: MlflowTables, store: Store) -> None:
    tables.insert("registered_models", {"name": "m", "creation_time": 1})
    tables.run("ALTER TABLE model_versions RENAME COLUMN version TO old")
    tables.run("ALTER TABLE model_versions ADD COLUMN version")  # which takes cells of any kind
    for row, cell in enumerate(
        ("7", "'7'", "'007'", "0", "'x'", "x'ff'", "NULL", "1.5", "99999999999", f"'{'9' * 5000}'")
    ):
        tables.run(f"INSERT INTO model_versions(old, name, version, source) VALUES ({row}, 'm', {cell}, '/x')")
        tables.run(f"INSERT INTO registered_model_aliases(alias, version, name) VALUES ('a{row}', {cell}, 'm')")
    for _ in range(2):
        report = store.bring(tables.path)
        assert [(e.source, e.store) for e in report.counted if e.kind in ("model versions", "aliases")] == [
            (10, 3),
            (10, 1),
        ]
        assert report.agrees
