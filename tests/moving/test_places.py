"""Places that runs, models and versions name: what nothing is read from is listed, and the import goes on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from moving.conftest import Store
from moving.mlflow_tables import MlflowTables
from penstock.moving.importer import ImportOptions
from penstock.moving.places import NamedDirectories

STRANGE = (
    *("http://h:1/x", "ftp://h/x", "dbfs:/x", "dbfs://x/y", "wasbs://c@a.net/x", "simplecache::http://h/x"),
    *("http://[x", "file://other/x", "file://[x/y", "mlflow-artifacts:/../x", "../../../etc", "s3://", "C:\\x", ""),
)


def test_a_version_whose_files_are_out_of_reach_is_kept_without_digest(tables: MlflowTables, store: Store) -> None:
    tables.insert("registered_models", {"name": "iris", "creation_time": 1000})
    for number, source in enumerate(STRANGE, 1):
        version = {"name": "iris", "version": number, "source": source, "status": "READY", "current_stage": "None"}
        tables.insert("model_versions", version)
    for _ in range(2):
        report = store.bring(tables.path)
        assert report.agrees
        assert {each.id for each in report.listed if each.kept} == {f"iris/{n}" for n in range(1, len(STRANGE) + 1)}
    with store.opened() as stores:
        assert {each.digest for each in stores.registry.versions("iris")} == {None}
        assert [each.origin for each in stores.registry.versions("iris")] == [*STRANGE]


def test_nothing_is_copied_from_outside_of_the_directories_that_were_named(
    tables: MlflowTables, store: Store, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for place in (elsewhere / "a", tmp_path / "near"):
        place.mkdir()
        (place / "w").write_text("x")
    (tmp_path / "near" / "link").symlink_to(elsewhere / "a" / "w")
    os.mkfifo(tmp_path / "near" / "pipe")
    (tmp_path / "out").symlink_to(elsewhere)
    places = {
        "near": (tmp_path / "near").as_uri(),
        "far": (elsewhere / "a").as_uri(),
        "link": str(tmp_path / "out" / "a"),
        "climbs": f"{tmp_path}/near/../../{elsewhere.name}/a",
        "all": str(tmp_path),
        "root": "/",
        "device": "file:///dev",
        "other": "file://other/x",
        "http": "http://h/x",
        "empty": "",
        "bad": "mlflow-artifacts:/../x",
    }
    for at, named_there in places.items():
        tables.add_run(at, artifact_uri=named_there)
    copying = ImportOptions(copy_artifacts=True)
    for _ in range(2):
        report = store.bring(tables.path, copying)
        assert report.agrees
        assert {each.id for each in report.listed} == places.keys() - {"near"}
    reason = next(each.reason for each in report.listed if each.id == "far")
    assert reason == (
        f"{places['far']} lies outside of {tmp_path}; to copy it, name its directory as the root of artifacts"
    )
    assert "'mlflow-artifacts:/../x'" in next(each.reason for each in report.listed if each.id == "bad")
    copied = Path(store.artifacts)
    assert [each for each in copied.rglob("*") if each.is_file()] == [copied / "1" / "near" / "artifacts" / "w"]
    with store.opened() as stores:  # what was not copied keeps its place
        assert stores.tracking.run("far").artifact_uri == places["far"]
        assert stores.tracking.run("http").artifact_uri == "http://h/x"
        assert stores.tracking.run("near").artifact_uri == "mlflow-artifacts:/1/near/artifacts"
    named = store.bring(tables.path, ImportOptions(copy_artifacts=True, artifacts_root=str(elsewhere)))
    assert named.agrees
    assert {"far", "link", "climbs"}.isdisjoint(each.id for each in named.listed)
    assert (copied / "1" / "far" / "artifacts" / "w").read_text() == "x"


def test_the_root_of_all_and_no_directory_at_all_name_nothing() -> None:
    assert "outside of /;" in NamedDirectories(["/"]).objection("/etc")
    assert "outside of every directory that was named" in NamedDirectories(["", ""]).objection("file:///etc")
    assert not NamedDirectories([]).objection("s3://bucket/x")
