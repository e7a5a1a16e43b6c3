"""Versions whose files come with a later import than they themselves."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from moving.conftest import Store
from moving.mlflow_tables import MlflowTables
from penstock.moving.importer import ImportOptions
from penstock.registry.entries import ModelVersion


def add_version(tables: MlflowTables, source: str) -> None:
    tables.insert("registered_models", {"name": "iris", "creation_time": 1000})
    version = {"name": "iris", "version": 1, "creation_time": 1500, "source": source, "status": "READY"}
    tables.insert("model_versions", {**version, "current_stage": "None"})


def add_package(place: Path) -> None:
    place.mkdir(parents=True)
    (place / "MLmodel").write_text("flavors:\n  python_function: {loader_module: echo}\n")


def version_in(store: Store) -> ModelVersion:
    with store.opened() as stores:
        return stores.registry.version("iris", "1")


def test_a_version_gets_its_digest_with_the_import_that_brings_its_files(
    tables: MlflowTables, store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tables.add_run("r1", artifact_uri="mlflow-artifacts:/1/r1/artifacts")
    add_version(tables, "mlflow-artifacts:/1/r1/artifacts/model")
    add_package(tmp_path / "old" / "1" / "r1" / "artifacts" / "model")
    with caplog.at_level(logging.WARNING):
        first = store.bring(tables.path)
        assert version_in(store).digest is None
        assert [each.id for each in first.listed] == ["iris/1"]
        with store.opened() as stores:
            stores.registry.set_tag(
                "iris", "mine", "yes", version="1"
            )  # what was changed here is described all the same
        again = store.bring(tables.path, ImportOptions(copy_artifacts=True, artifacts_root=str(tmp_path / "old")))
    assert not again.listed
    found = version_in(store)
    assert (len(found.digest or ""), found.flavors, found.tags) == (64, ("python_function",), {"mine": "yes"})
    assert found.size_bytes > 0
    assert not caplog.messages  # all is said in the report


def test_a_version_of_a_logged_model_follows_its_files(tables: MlflowTables, store: Store, tmp_path: Path) -> None:
    old = tmp_path / "old" / "m"
    add_package(old)
    tables.insert(
        "logged_models",
        {"model_id": "m-1", "experiment_id": 1, "name": "echo", "artifact_location": str(old), "status": 2}
        | {"creation_timestamp_ms": 1, "last_updated_timestamp_ms": 2, "lifecycle_stage": "active"},
    )
    add_version(tables, "models:/m-1")
    store.bring(tables.path)
    before = version_in(store)
    assert before.source == str(old)
    store.bring(tables.path, ImportOptions(copy_artifacts=True))
    after = version_in(store)
    assert after.source == f"{store.artifacts}/1/models/m-1/artifacts"
    assert (after.digest, after.origin) == (before.digest, "models:/m-1")
    assert Path(after.source, "MLmodel").exists()
