"""A package at a URL of its own: copied once, used from the cache, taken from there while the store is away."""

from __future__ import annotations

import json
import logging
import shutil
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from penstock.artifacts import PackageCache
from penstock.artifacts.remote_files import RemoteFiles
from penstock.artifacts.remote_package import RemotePackage
from penstock.errors import (
    DependencyMissing,
    PackageInvalid,
    PackageNotFound,
    RegistryDenied,
    RegistryNotFound,
    RegistryUnavailable,
    SealBroken,
)
from penstock.loading import load_path
from penstock.package import PackagedModel
from penstock.package.seal import SEAL
from penstock.storage.download import Download
from support.gcs import gcs_server, gcs_variables
from support.http_stand_in import answering

fsspec: Any = pytest.importorskip("fsspec")


@pytest.fixture(scope="module")
def gcs_endpoint() -> Iterator[str]:
    with gcs_server() as url:
        yield url


@pytest.fixture
def gcs(gcs_endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A prefix of a bucket of Google's, empty, with the variables set that lead there."""
    for name, value in gcs_variables(gcs_endpoint).items():
        monkeypatch.setenv(name, value)
    from gcsfs.core import GCSFileSystem

    GCSFileSystem.clear_instance_cache()
    return f"gs://models/{request.node.name.partition('[')[0]}"


@pytest.fixture
def shelf() -> Iterator[str]:
    """The URL of an empty store in this process's memory, where no real one is needed."""
    yield "memory://shelf"
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def cache(tmp_path: Path) -> PackageCache:
    return PackageCache(tmp_path / "cache")


@pytest.fixture
def package(identity_onnx_package: Path) -> PackagedModel:
    return PackagedModel.open(identity_onnx_package)


def driver(url: str) -> Any:
    return RemoteFiles(url)._store.driver


def put(package: PackagedModel, url: str, *, sealed: bool = True) -> str:
    """As people upload a directory; without a seal, as MLflow writes one."""
    for name in [*package.hashes, *([SEAL] if sealed else [])]:
        driver(url).pipe_file(f"{url}/{name}", (package.path / name).read_bytes())
    return url


def downloads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files that are downloaded from now on."""
    seen: list[str] = []
    download = RemoteFiles.download

    def counting(self: RemoteFiles, url: str, name: str, target: Path, budget: Download) -> str:
        seen.append(name)
        return download(self, url, name, target, budget)

    monkeypatch.setattr(RemoteFiles, "download", counting)
    return seen


def away(self: RemoteFiles, url: str, limit: int) -> bytes:
    raise RegistryUnavailable(f"{url} cannot be reached.")


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize("store", ["bucket", "gcs"])
def test_a_package_is_copied_once(
    store: str, sealed: bool, package: PackagedModel, cache: PackageCache, monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    url = put(package, f"{request.getfixturevalue(store)}/iris{sealed}", sealed=sealed)
    seen = downloads(monkeypatch)
    path = RemotePackage(f"{url}/", cache).fetch().path
    assert PackagedModel.open(path).digest == package.digest
    assert path.is_relative_to(cache.root)
    assert sorted(seen) == sorted(package.hashes)
    assert RemotePackage(url, cache).fetch().path == path
    assert len(seen) == len(package.hashes)


def test_what_another_place_has_brought_is_not_copied(
    shelf: str, package: PackagedModel, cache: PackageCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = put(package, f"{shelf}/a"), put(package, f"{shelf}/b")
    path = RemotePackage(here, cache).fetch().path
    seen = downloads(monkeypatch)
    assert RemotePackage(there, cache).fetch().path == path
    assert seen == []


@pytest.mark.parametrize("sealed", [True, False])
def test_what_is_loaded_stays_in_the_cache(
    shelf: str, package: PackagedModel, cache: PackageCache, sealed: bool
) -> None:
    with RemotePackage(put(package, f"{shelf}/m", sealed=sealed), cache).fetch() as fetched:
        path = fetched.path
        cache.trim(0)  # between fetching and loading nobody has it open
        loaded = load_path(path)
    cache.trim(0)
    assert path.is_dir()
    loaded.close()
    cache.trim(0)
    assert not path.exists()


@pytest.mark.parametrize("sealed", [True, False])
def test_another_package_at_the_url_is_another_copy(
    shelf: str, package: PackagedModel, iris_onnx_package: Path, cache: PackageCache, sealed: bool
) -> None:
    url = put(package, f"{shelf}/m", sealed=sealed)
    first = RemotePackage(url, cache).fetch().path
    driver(url).rm(url, recursive=True)
    other = PackagedModel.open(iris_onnx_package)
    second = RemotePackage(put(other, url, sealed=sealed), cache).fetch().path
    assert first != second
    assert PackagedModel.open(second).digest == other.digest
    assert PackagedModel.open(first).digest == package.digest  # whoever serves it is not disturbed


def test_one_changed_byte_is_another_package(shelf: str, package: PackagedModel, cache: PackageCache) -> None:
    url = put(package, f"{shelf}/m", sealed=False)
    first = PackagedModel.open(RemotePackage(url, cache).fetch().path)
    driver(url).pipe_file(f"{url}/requirements.txt", b"#" * (package.path / "requirements.txt").stat().st_size)
    assert PackagedModel.open(RemotePackage(url, cache).fetch().path).digest != first.digest


@pytest.mark.parametrize("sealed", [True, False])
def test_while_the_store_is_away_the_copy_is_taken(
    shelf: str, package: PackagedModel, cache: PackageCache, sealed: bool, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    url = put(package, f"{shelf}/m", sealed=sealed)
    path = RemotePackage(url, cache).fetch_or_recall().path
    assert caplog.text == ""
    assert repr(RemotePackage(url, cache)) == "<RemotePackage at memory://shelf/m>"
    monkeypatch.setattr(RemoteFiles, "read", away)
    with caplog.at_level(logging.WARNING):
        assert RemotePackage(url, cache).fetch_or_recall().path == path
    assert f"{url} cannot be reached; using the package cached on 20" in caplog.text
    with pytest.raises(RegistryUnavailable, match="cannot be reached"):
        RemotePackage(url, cache).fetch()
    with pytest.raises(RegistryUnavailable, match="cannot be reached"):  # nothing was copied from there
        RemotePackage(f"{shelf}/other", cache).fetch_or_recall()
    shutil.rmtree(path.parent)
    with pytest.raises(RegistryUnavailable, match="cannot be reached"):  # the copy has gone too
        RemotePackage(url, cache).fetch_or_recall()


def test_a_package_that_is_gone_is_no_store_that_is_away(
    shelf: str, package: PackagedModel, cache: PackageCache
) -> None:
    url = put(package, f"{shelf}/m")
    RemotePackage(url, cache).fetch()
    driver(url).rm(url, recursive=True)
    with pytest.raises(PackageNotFound, match="the place is empty or does not exist"):
        RemotePackage(url, cache).fetch_or_recall()


@pytest.mark.parametrize("sealed", [True, False])
def test_what_is_damaged_on_the_way_is_not_kept(
    shelf: str, package: PackagedModel, cache: PackageCache, sealed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that ends too early, and goes unnoticed by the driver."""
    url = put(package, f"{shelf}/m", sealed=sealed)
    pieces = RemoteFiles._pieces

    def short(self: RemoteFiles, of: str, budget: Download) -> Iterator[bytes]:
        for piece in pieces(self, of, budget):
            yield piece[:-1] if of.endswith("model.onnx") else piece

    with monkeypatch.context() as cut:
        cut.setattr(RemoteFiles, "_pieces", short)
        with pytest.raises(SealBroken if sealed else RegistryUnavailable, match="truncated"):
            RemotePackage(url, cache).fetch()
    assert [path for path in cache.root.iterdir() if path.is_dir() and path.name != "resolutions"] == []
    assert PackagedModel.open(RemotePackage(url, cache).fetch().path).digest == package.digest


def test_a_package_that_changes_while_it_is_copied_is_not_kept(
    shelf: str, package: PackagedModel, cache: PackageCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = put(package, f"{shelf}/m", sealed=False)
    copy = RemoteFiles.copy

    def changing(self: RemoteFiles, of: str, target: Path, budget: Download) -> None:
        copy(self, of, target, budget)
        driver(url).pipe_file(f"{url}/more.txt", b"x")

    monkeypatch.setattr(RemoteFiles, "copy", changing)
    with pytest.raises(RegistryUnavailable, match="changed while Penstock copied"):
        RemotePackage(url, cache).fetch()


def test_a_folder_that_holds_packages_is_no_package(shelf: str, package: PackagedModel, cache: PackageCache) -> None:
    put(package, f"{shelf}/all/iris", sealed=False)
    with pytest.raises(PackageNotFound, match="has no MLmodel file") as caught:
        RemotePackage(f"{shelf}/all", cache).fetch()
    assert caught.value.hint == f"There is a package at {shelf}/all/iris"
    driver(shelf).pipe_file(f"{shelf}/iso/{SEAL}", f"{'0' * 64}  debian.iso\n".encode())
    with pytest.raises(PackageNotFound, match="does not list an MLmodel"):
        RemotePackage(f"{shelf}/iso", cache).fetch()


def test_names_that_lead_elsewhere_are_refused(shelf: str, package: PackagedModel, cache: PackageCache) -> None:
    url = put(package, f"{shelf}/m", sealed=False)
    driver(url).pipe_file(f"{url}/a\\b", b"x")
    with pytest.raises(PackageInvalid, match="an invalid name"):
        RemotePackage(url, cache).fetch()


def test_a_bucket_that_does_not_exist_is_named(gcs: str, bucket: str, cache: PackageCache) -> None:
    with pytest.raises(RegistryNotFound, match="no-such-bucket") as caught:
        RemotePackage("s3://no-such-bucket/m", cache).fetch()
    assert "AWS_ENDPOINT_URL" in caught.value.hint
    with pytest.raises(
        PackageNotFound, match="There is no package at gs://no-such-bucket/m: the place is empty"
    ) as missed:
        RemotePackage("gs://no-such-bucket/m", cache).fetch()
    assert "bucket" in missed.value.hint


@pytest.mark.parametrize("status", [401, 403])
def test_a_denial_by_google_names_the_credentials(
    gcs: str, cache: PackageCache, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    said = {"error": {"code": status, "message": "Caller has no storage.objects.get access."}}
    with answering(status, json.dumps(said)) as endpoint:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", endpoint)
        with pytest.raises(RegistryDenied, match=r"gs://.* is denied: .*storage\.objects\.get") as caught:
            RemotePackage(f"{gcs}/m", cache).fetch()
    assert "GOOGLE_APPLICATION_CREDENTIALS" in caught.value.hint


def test_a_missing_driver_says_what_to_install(cache: PackageCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def hint(url: str) -> str:
        with pytest.raises(DependencyMissing, match=f"^{url.partition(':')[0]}: URLs need") as caught:
            RemotePackage(url, cache).fetch()
        return caught.value.hint

    assert hint("az://container/m") == "Install it with: pip install 'adlfs'"
    assert "ocifs" in hint("oci://bucket/m")
    monkeypatch.setitem(sys.modules, "gcsfs.core", None)
    assert hint("gs://bucket/m") == "Install it with: pip install 'penstock[gcs]'"
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(import_module("fsspec.registry")._registry, "s3", raising=False)
    fsspec.get_filesystem_class("memory").clear_instance_cache()
    assert hint("s3://bucket/m") == "Install it with: pip install 'penstock[s3]'"
    monkeypatch.setitem(sys.modules, "fsspec", None)
    assert hint("gs://bucket/m") == "Install it with: pip install 'penstock[gcs]'"
