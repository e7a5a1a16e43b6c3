"""How the MLflow backend fetches packages: by every kind of URI, from every store, and from hostile listings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from penstock.artifacts import PackageCache
from penstock.cli.remedies import hint_of
from penstock.errors import (
    ModelNotFound,
    PackageInvalid,
    PackageNotFound,
    RegistryUnavailable,
    Unsupported,
)
from penstock.loading import fetch_reference, load_path
from penstock.mlflow_api.client import MlflowRestClient
from penstock.package import PackagedModel
from penstock.registry.mlflow.store import MlflowRegistry
from penstock.registry.references import parse_reference
from registry import mlflow_stand_in
from registry.mlflow_stand_in import saying
from registry.replay import Handler, Replay

replay = mlflow_stand_in.replay  # the fixture
registry = mlflow_stand_in.registry  # the fixture


MANIFEST = {"path": "MLmodel", "is_dir": False, "file_size": 1}


class TestFetching:
    @pytest.mark.parametrize("number", ["1", "3"])
    def test_a_version_is_downloaded_once(self, registry: MlflowRegistry, replay: Replay, number: str) -> None:
        """Version 1 lies as MLflow 3 puts it, version 3 among its run's artifacts, in a folder with a space."""
        version = registry.version("fraud", number)
        path = registry.fetch(version).path
        assert path.name == f"fraud-{number}"
        assert {"MLmodel", "model.onnx", "requirements.txt"} <= {p.name for p in path.iterdir()}
        replay.requests.clear()
        assert registry.fetch(version).path == path
        assert replay.requests == []  # a restart needs no server for what it has
        loaded = load_path(path)
        loaded.close()
        assert (path.parent / "digest").read_text().strip() == loaded.digest

    def test_what_the_server_does_not_keep_is_known_once_a_version_is_fetched(
        self, registry: MlflowRegistry, replay: Replay
    ) -> None:
        version = registry.version("fraud", "1")
        assert registry.known(version) == version
        assert (version.flavors, version.size_bytes, version.digest, version.signature) == ((), 0, None, None)
        with registry.fetch(version) as package:
            replay.requests.clear()
            known = registry.known(version)
            assert replay.requests == []
            assert known.digest == PackagedModel.open(package.path).digest
            assert (known.flavors, known.size_bytes > 1000) == (("onnx", "python_function"), True)
            assert known.signature == registry.signature(version).to_mlflow()  # type: ignore[union-attr]
            (package.path / "MLmodel").write_text("- nonsense")
            assert registry.known(version) == version

    def test_the_creation_time_tells_versions_of_one_number_apart(self, registry: MlflowRegistry) -> None:
        from dataclasses import replace
        from datetime import timedelta

        version = registry.version("fraud", "1")  # numbers begin again when a model is deleted and made anew
        again = replace(version, created_at=version.created_at + timedelta(seconds=1))
        assert registry.fetch(version).path != registry.fetch(again).path

    def test_a_model_is_fetched_by_each_kind_of_uri(self, registry: MlflowRegistry, replay: Replay) -> None:
        for kind in ("logged", "run3", "run2", "artifacts", "version", "alias"):
            path = registry.fetch_uri(replay.facts[kind]).path
            assert (path / "model.onnx").is_file(), kind

    def test_a_uri_is_downloaded_once(self, registry: MlflowRegistry, replay: Replay) -> None:
        path = registry.fetch_uri(replay.facts["logged"]).path
        replay.requests.clear()
        assert registry.fetch_uri(replay.facts["logged"]).path == path
        assert [p.rpartition("/")[2] for _, p in replay.requests] == [path.name, "MLmodel"]

    @pytest.mark.parametrize("kind", ["logged", "run3", "run2", "artifacts"])
    def test_each_kind_of_reference_gets_its_package(self, registry: MlflowRegistry, replay: Replay, kind: str) -> None:
        reference = parse_reference(replay.facts[kind])
        version, package = fetch_reference(reference, registry)
        assert version == ""
        assert package.path.name == reference.served_as
        assert not reference.follows

    @pytest.mark.parametrize(
        ("kind", "error"),
        [
            ("no_logged", ModelNotFound),
            ("no_run", ModelNotFound),
            ("no_path", PackageNotFound),
            ("no_artifacts", PackageNotFound),
        ],
    )
    def test_an_absent_run_model_or_path_is_named(
        self, registry: MlflowRegistry, replay: Replay, kind: str, error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            registry.fetch_uri(replay.facts[kind])

    def test_a_server_before_version_3_has_no_logged_models(self, registry: MlflowRegistry, replay: Replay) -> None:
        """MLflow 2 answers with a page that says 404."""
        unknown = "0123456789abcdef" * 2
        with pytest.raises(Unsupported, match="need MLflow 3"):
            registry.fetch_uri(f"models:/m-{unknown}")
        replay.rules["logged-models/search"] = saying(b"<html>", 404)
        with pytest.raises(PackageNotFound):
            registry.fetch_uri(replay.facts["no_path"])

    @pytest.mark.parametrize("uri", ["dbfs:/databricks/model", "https://elsewhere/model", "nothing"])
    def test_other_stores_are_refused_with_a_way_to_go(
        self, registry: MlflowRegistry, replay: Replay, uri: str
    ) -> None:
        replay.rules["get-download-uri"] = saying({"artifact_uri": uri})
        with pytest.raises(Unsupported, match=uri) as caught:
            registry.fetch(registry.version("elsewhere", "1"))
        assert "--serve-artifacts" in hint_of(caught.value)

    def test_a_package_in_a_reachable_bucket_is_fetched_from_there(
        self, registry: MlflowRegistry, replay: Replay, identity_onnx_package: Path, bucket: str
    ) -> None:
        import fsspec

        s3 = fsspec.filesystem("s3")
        s3.put(str(identity_onnx_package), f"{bucket}/1/model", recursive=True)
        replay.rules["get-download-uri"] = saying({"artifact_uri": f"{bucket}/1/model"})
        version = registry.version("fraud", "2")
        assert registry.signature(version) is not None
        path = registry.fetch(version).path
        assert load_path(path).proof.repeats
        s3.rm(f"{bucket}/1", recursive=True)
        assert registry.fetch(version).path == path
        replay.rules["get-download-uri"] = saying({"artifact_uri": f"{bucket}/2/model"})
        with pytest.raises(PackageNotFound, match=f"no package at {bucket}/2/model"):
            registry.fetch(registry.version("fraud", "1"))

    def test_a_package_in_a_visible_directory_is_copied_from_there(
        self, registry: MlflowRegistry, replay: Replay, identity_onnx_package: Path
    ) -> None:
        for uri in (str(identity_onnx_package), identity_onnx_package.as_uri()):
            replay.rules["get-download-uri"] = saying({"artifact_uri": uri})
            path = registry.fetch(registry.version("fraud", "2")).path
            assert path != identity_onnx_package
            assert load_path(path).proof.repeats

    def test_a_directory_that_is_not_on_this_machine_names_the_remedy(
        self, registry: MlflowRegistry, replay: Replay, tmp_path: Path
    ) -> None:
        for place in (tmp_path / "gone", tmp_path):
            replay.rules["get-download-uri"] = saying({"artifact_uri": str(place)})
            with pytest.raises(PackageNotFound, match="on this machine") as caught:
                registry.fetch(registry.version("fraud", "2"))
            assert "--serve-artifacts" in hint_of(caught.value)

    def test_a_source_that_names_itself_is_refused(self, registry: MlflowRegistry, replay: Replay) -> None:
        replay.rules["get-download-uri"] = saying({"artifact_uri": "models:/fraud/2"})
        with pytest.raises(PackageInvalid, match="endless chain"):
            registry.fetch(registry.version("fraud", "2"))

    def test_a_logged_model_that_is_not_complete_is_refused(self, registry: MlflowRegistry, replay: Replay) -> None:
        identifier = replay.facts["logged"].rpartition("/")[2]
        info = {"artifact_uri": "mlflow-artifacts:/x", "status": "LOGGED_MODEL_UPLOAD_FAILED"}
        replay.rules[f"logged-models/{identifier}"] = saying({"model": {"info": info}})
        with pytest.raises(PackageNotFound, match="UPLOAD_FAILED"):
            registry.fetch_uri(replay.facts["logged"])


class TestHostileListings:
    @pytest.fixture
    def fetch(self, registry: MlflowRegistry, replay: Replay, tmp_path: Path) -> Any:
        version = registry.version("fraud", "1")

        def run(*files: Any) -> Path:
            replay.rules["/artifacts"] = saying({"files": list(files)})
            return registry.fetch(version).path

        yield run
        if (tmp_path / "cache").exists():  # nothing half there
            assert [p.suffix for p in (tmp_path / "cache").iterdir()] == [".lock"]

    @pytest.mark.parametrize(
        "name", ["..", ".", "", "../x", "/etc/x", "a/b", "a\\b", "a\x00b", "a\x1b[2J", "x" * 256, None, 3]
    )
    def test_names_that_lead_elsewhere_are_refused(self, fetch: Any, name: Any) -> None:
        with pytest.raises(PackageInvalid, match="invalid name"):
            fetch({"path": name, "is_dir": False, "file_size": 1})

    @pytest.mark.parametrize(("size", "said"), [(3, "more"), (10**6, "fewer"), (None, "more")])
    def test_files_are_as_long_as_listed(self, fetch: Any, size: int | None, said: str) -> None:
        with pytest.raises(PackageInvalid, match=f"{said} bytes than the listed"):
            fetch({"path": "MLmodel", "is_dir": False} | ({} if size is None else {"file_size": size}))

    def test_a_size_that_is_no_number_is_refused(self, fetch: Any) -> None:
        with pytest.raises(PackageInvalid, match="no size"):
            fetch({"path": "MLmodel", "is_dir": False, "file_size": "large"})

    def test_folders_without_end_are_refused(self, fetch: Any) -> None:
        with pytest.raises(PackageInvalid, match="too many files"):
            fetch({"path": "a", "is_dir": True})

    def test_a_name_that_is_a_file_and_a_directory_is_refused(self, registry: MlflowRegistry, replay: Replay) -> None:
        def listing(handler: Handler) -> None:
            below = handler.path.endswith("x")
            files = [{"path": "MLmodel" if below else "x", "is_dir": False, "file_size": 0}]
            handler.say(200, {"files": [*files, *([] if below else [{"path": "x", "is_dir": True}, MANIFEST])]})

        replay.rules["/artifacts"] = listing
        replay.rules["/x"] = lambda handler: handler.say(200, b"")
        replay.rules["/MLmodel"] = lambda handler: handler.say(200, b"x")
        with pytest.raises(PackageInvalid, match="as a file and as a directory"):
            registry.fetch(registry.version("fraud", "1"))

    def test_a_package_that_is_larger_than_it_may_be_is_not_begun(self, replay: Replay, tmp_path: Path) -> None:
        small = MlflowRegistry(MlflowRestClient(replay.url), PackageCache(tmp_path / "cache", max_package_size=1000))
        replay.rules["/artifacts"] = saying({"files": [MANIFEST, {"path": "x", "is_dir": False, "file_size": 1000}]})
        with pytest.raises(PackageInvalid, match=r"larger than 1\.0 kB"):
            small.fetch(small.version("fraud", "1"))
        assert not [path for _, path in replay.requests if path.endswith(("/x", "/MLmodel"))]
        small.close()

    @pytest.mark.parametrize(
        "source",
        [
            "ftp://host/m",
            "zip://m::http://127.0.0.1:1/m.zip",
            "github://org:repo@main/m",
            "https://host/m",
            "local://x",
        ],
    )
    def test_a_version_whose_files_are_at_an_odd_place_is_refused_in_one_sentence(
        self, registry: MlflowRegistry, replay: Replay, source: str
    ) -> None:
        replay.rules["get-download-uri"] = saying({"artifact_uri": source})
        with pytest.raises(Unsupported) as caught:
            registry.fetch(registry.version("fraud", "1"))
        assert caught.value.message.count(". ") == 0

    def test_a_manifest_that_is_a_pipe_is_not_read(self, registry: MlflowRegistry, tmp_path: Path) -> None:
        (tmp_path / "package").mkdir()
        os.mkfifo(tmp_path / "package" / "MLmodel")
        with pytest.raises(PackageInvalid, match="not a regular file"):
            registry.fetch_uri(f"file://{tmp_path}/package")

    def test_a_listing_without_a_manifest_is_no_package(self, fetch: Any) -> None:
        with pytest.raises(PackageNotFound, match="the place is empty"):
            fetch()
        with pytest.raises(PackageNotFound, match="no MLmodel among them"):
            fetch({"path": "model.onnx", "is_dir": False, "file_size": 88})

    def test_a_listed_file_that_is_gone_is_an_error(self, fetch: Any) -> None:
        with pytest.raises((PackageNotFound, RegistryUnavailable)):
            fetch({"path": "absent", "is_dir": False, "file_size": 1})

    def test_a_place_that_climbs_out_is_refused(self, registry: MlflowRegistry) -> None:
        for path in ("/../../x", "/a/%2e%2e/x"):
            with pytest.raises(PackageInvalid, match="leads out of"):
                registry.fetch_uri(f"mlflow-artifacts:{path}")
