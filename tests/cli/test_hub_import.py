"""`penstock hub import`, as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from moving.mlflow_tables import MlflowTables
from penstock.cli.hub.serve import hub


@pytest.fixture
def tables(tmp_path: Path) -> MlflowTables:
    tables = MlflowTables(tmp_path / "mlflow.db")
    tables.add_experiment(0, "Default")
    tables.add_run("r1", 0)
    tables.add_points("r1", "loss", [(1, 1, 0.5), (2, 2, 0.25)])
    tables.add_points("nowhere", "loss", [(1, 1, 0.5)])
    return tables


def invoked(*arguments: str) -> Result:
    return CliRunner().invoke(hub, list(arguments))


def test_counts_are_a_table_and_what_was_left_out_stands_below(tables: MlflowTables, tmp_path: Path) -> None:
    done = invoked("import", str(tables.path), "--store", str(tmp_path / "store"))
    assert done.exit_code == 0, done.output
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["metric", "points", "3", "2", "0", "1", "2", "agree"] in lines
    assert "metric points: nowhere: there is no such run" in done.stdout


def test_the_report_fits_a_terminal_and_says_each_reason_once(tables: MlflowTables, tmp_path: Path) -> None:
    tables.add_points("elsewhere", "loss", [(1, 1, 0.5)])
    tables.run("UPDATE runs SET artifact_uri = ?", "mlflow-artifacts:/0/r1/artifacts")
    tables.insert("registered_models", {"name": "iris", "creation_time": 1000})
    tables.insert("registered_model_tags", {"name": "iris", "key": "a", "value": "b"})
    tables.insert("model_versions", {"name": "iris", "version": 1, "source": "/nowhere", "current_stage": "None"})
    done = invoked("import", str(tables.path), "--store", str(tmp_path / "store"))
    lines = done.stdout.splitlines()
    (heading,) = [line for line in lines if line.startswith("kind ")]
    assert heading.split() == ["kind", "source", "imported", "already", "skipped", "in", "store", "counts"]
    assert max(map(len, lines[1 : lines.index("Left out, or changed:")])) <= 80 - 3  # there is room for larger numbers
    assert lines[lines.index("Left out, or changed:") + 1 :] == [
        "  model versions: iris/1: its files cannot be read from here: it has no digest, signature, size and flavors",
        "  metric points (2): elsewhere and others: there is no such run",
        "All of them are in the report that --json prints.",
    ]
    assert done.stderr.startswith("1 run keeps its files with the old server (mlflow-artifacts:).")
    assert done.stderr.endswith("import once more with --copy-artifacts --artifacts-root THAT.\n")


def test_the_store_may_be_named_before_the_command_and_the_report_is_json(tables: MlflowTables, tmp_path: Path) -> None:
    done = invoked("--store", str(tmp_path / "store"), "import", str(tables.path), "--json", "--dry-run")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["dry_run"], report["agrees"], report["store"]) == (True, True, str(tmp_path / "store"))
    assert [each for each in report["listed"] if each["id"] == "nowhere"]
    assert not (tmp_path / "store").exists()


def test_who_stops_an_import_is_told_how_it_goes_on(
    tables: MlflowTables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*given: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("penstock.moving.running.run_import", interrupted)
    done = invoked("import", str(tables.path), "--store", str(tmp_path / "store"))
    assert done.exit_code == 1
    assert "start it again, and it goes on there" in done.stderr


def test_files_are_copied_and_their_places_rewritten(tables: MlflowTables, tmp_path: Path) -> None:
    old = tmp_path / "old" / "0" / "r1" / "artifacts"
    old.mkdir(parents=True)
    (old / "a b.txt").write_text("hello")
    store = str(tmp_path / "store")
    options = ("--store", store, "--copy-artifacts", "--artifacts-root", str(tmp_path / "old"), "--json")
    tables.run("UPDATE runs SET artifact_uri = ?", "mlflow-artifacts:/0/r1/artifacts")
    report = json.loads(invoked("import", str(tables.path), *options).stdout)
    assert [each["imported"] for each in report["counts"] if each["kind"] == "artifact files"] == [1]
    assert (tmp_path / "store" / "artifacts" / "0" / "r1" / "artifacts" / "a b.txt").read_text() == "hello"
    tables.run("UPDATE runs SET artifact_uri = ?", f"file://{old}")
    again = json.loads(invoked("import", str(tables.path), *options).stdout)
    assert [each["present"] for each in again["counts"] if each["kind"] == "artifact files"] == [1]
