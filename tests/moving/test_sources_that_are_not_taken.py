"""What an import says of a source that it cannot take, or not under this name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from moving.conftest import Store
from moving.mlflow_tables import MlflowTables
from penstock.cli.remedies import hint_of
from penstock.errors import ImportFailed
from penstock.moving.importer import ImportOptions
from penstock.moving.mlflow_database.source import MlflowDatabase


def refused(store: Store, source: Path | str) -> ImportFailed:
    with pytest.raises(ImportFailed) as caught:
        store.bring(source)
    return caught.value


def test_who_names_a_changed_source_otherwise_is_told_its_former_name(
    tables: MlflowTables, store: Store, tmp_path: Path
) -> None:
    tables.insert("registered_models", {"name": "iris", "creation_time": 1000})
    tables.add_run("r1")
    store.bring(tables.path)
    other = shutil.copy(tables.path, tmp_path / "other.db")
    store.bring(other)  # nothing has changed: it is taken for there
    tables.run("UPDATE registered_models SET description = 'new'")
    tables.add_run("r2")
    moved = shutil.move(tables.path, tmp_path / "moved.db")
    error = refused(store, moved)
    assert "registered model iris: the store has another model of this name" in error.message
    assert hint_of(error).startswith(f"Some were imported before as sqlite:///{other}: if that is this source, name it")
    report = store.bring(moved, ImportOptions(skip_clashes=True))
    brought = {each.kind: each.imported for each in report.counted}
    assert (brought["runs"], brought["registered models"]) == (1, 0)


def test_who_names_no_database_is_not_told_that_something_was_imported(
    tables: MlflowTables, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "train.py").write_text("import sklearn\n" * 100)
    error = refused(store, tmp_path / "train.py")
    assert "file is not a database" in error.message
    assert error.hint.startswith("Name the file of MLflow's database, the directory")

    def torn(source: MlflowDatabase) -> None:
        raise ImportFailed("The disk is gone.")

    monkeypatch.setattr(MlflowDatabase, "logged_models", torn)
    tables.add_run("r1")
    assert refused(store, tables.path).hint.startswith("What was imported until now stays. Start the import again")
    assert refused(store, tables.path).hint == ""  # this time it was all there


def test_a_store_of_penstocks_is_told_to_be_one(store: Store) -> None:
    with store.opened():
        pass
    for source in (store.url, f"sqlite:///{store.url}/registry.db"):
        error = refused(Store(f"{store.url}-new", store.artifacts), source)
        assert error.message == f"{source} is a store of Penstock's, not of MLflow's."
        assert f"penstock hub --store {source} backup DIRECTORY, then penstock hub --store NEW restore" in hint_of(
            error
        )


def test_a_directory_around_a_file_store_leads_to_it(store: Store, tmp_path: Path) -> None:
    (tmp_path / "fs" / "mlruns" / "0").mkdir(parents=True)
    (tmp_path / "fs" / "mlruns" / "0" / "meta.yaml").write_text("name: Default\n")
    assert refused(store, tmp_path / "fs").hint == f"Name what is inside it: {tmp_path}/fs/mlruns"
