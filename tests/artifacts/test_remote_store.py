"""Packages in S3: put whole, fetched by digest into the cache, and what is said where that cannot be."""

from __future__ import annotations

import hashlib
import sys
from importlib import import_module
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from penstock.artifacts import PackageCache, RemoteStore, fetch_package, open_store
from penstock.artifacts.remote_files import RemoteFiles
from penstock.errors import (
    DependencyMissing,
    PackageInvalid,
    PackageNotFound,
    RegistryDenied,
    RegistryNotFound,
    RegistryUnavailable,
    SealBroken,
)
from penstock.package import PackagedModel
from penstock.package.seal import SEAL
from penstock.storage.object_store import ObjectStore
from support.http_stand_in import answering

fsspec: Any = pytest.importorskip("fsspec")


@pytest.fixture
def package(identity_onnx_package: Path) -> PackagedModel:
    return PackagedModel.open(identity_onnx_package)


@pytest.fixture
def cache(tmp_path: Path) -> PackageCache:
    return PackageCache(tmp_path / "cache")


@pytest.fixture
def store(bucket: str, cache: PackageCache) -> RemoteStore:
    opened = open_store(f"{bucket}/models", cache)
    assert isinstance(opened, RemoteStore)
    return opened


def objects(url: str) -> list[str]:
    """What is below a prefix, by path."""
    base = url.removeprefix("s3://")
    return sorted(path.removeprefix(f"{base}/") for path in fsspec.filesystem("s3").find(base))


def test_what_is_put_can_be_fetched(store: RemoteStore, package: PackagedModel, cache: PackageCache) -> None:
    key = f"m/{package.digest}"
    store.put(package, key)
    assert objects(f"{store.url}/{key}") == sorted([*package.hashes, SEAL])
    path = store.fetch(key, package.digest).path
    assert PackagedModel.open(path).hashes == package.hashes
    assert (path / SEAL).read_bytes() == (package.path / SEAL).read_bytes()
    assert path.is_relative_to(cache.root)
    assert fetch_package(f"{store.url}/{key}", package.digest, cache).path == path


def test_a_package_is_fetched_once_whatever_it_is_called(store: RemoteStore, package: PackagedModel) -> None:
    store.put(package, f"m/{package.digest}")
    path = store.fetch(f"m/{package.digest}", package.digest).path
    fsspec.filesystem("s3").rm(store.url, recursive=True)
    assert store.fetch(f"m/{package.digest}", package.digest).path == path
    assert store.fetch(f"another/{package.digest}", package.digest).path == path


def test_a_package_never_half_exists(
    store: RemoteStore, package: PackagedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever upload fails, the package is not there; the next try makes it whole."""
    key, upload = f"m/{package.digest}", RemoteFiles.upload
    for last in range(len(package.hashes)):
        sent: list[str] = []

        def failing(self: RemoteFiles, source: Path, url: str, last: int = last, sent: list[str] = sent) -> str:
            if len(sent) == last:
                raise RegistryUnavailable("The line is cut.")
            sent.append(url)
            return upload(self, source, url)

        monkeypatch.setattr(RemoteFiles, "upload", failing)
        with pytest.raises(RegistryUnavailable, match="cut"):
            store.put(package, key)
        with pytest.raises(PackageNotFound, match="no longer exists"):
            store.fetch(key, package.digest)
    monkeypatch.setattr(RemoteFiles, "upload", upload)
    store.put(package, key)
    assert store.fetch(key, package.digest).path.is_dir()


def test_what_is_there_is_not_uploaded_again(
    store: RemoteStore, package: PackagedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(package, "m/abc")
    monkeypatch.setattr(RemoteFiles, "upload", lambda *_: pytest.fail("uploaded again"))
    store.put(package, "m/abc")


def test_an_upload_that_was_cut_short_is_done_again(store: RemoteStore, package: PackagedModel) -> None:
    store.put(package, "m/abc")
    fsspec.filesystem("s3").pipe_file(f"{store.url}/m/abc/model.onnx", b"short")
    store.put(package, "m/abc")
    assert store.fetch("m/abc", package.digest).path.is_dir()


def test_a_package_that_changes_while_it_is_uploaded_is_not_kept(
    store: RemoteStore, package: PackagedModel, copied: Any
) -> None:
    changing = PackagedModel.open(copied(package.path))
    changing.verify()
    (changing.path / "model.onnx").write_bytes(b"changed since")
    with pytest.raises(SealBroken, match="changed while Penstock copied"):
        store.put(changing, "m/abc")
    with pytest.raises(PackageNotFound):
        store.fetch("m/abc", changing.digest)


@pytest.mark.parametrize(
    ("damage", "error", "words"),
    [
        ("missing", PackageNotFound, "no longer exists at .*model.onnx"),
        ("truncated", SealBroken, "model.onnx does not match the seal: .* truncated"),
        ("another seal", SealBroken, "is damaged or another package"),
        ("no seal", PackageNotFound, "no longer exists at .*SHA256SUMS"),
    ],
)
def test_damage_is_named_and_mended(
    store: RemoteStore, package: PackagedModel, cache: PackageCache, damage: str, error: Any, words: str
) -> None:
    store.put(package, "m/abc")
    s3, url = fsspec.filesystem("s3"), f"{store.url}/m/abc"
    match damage:
        case "missing":
            s3.rm_file(f"{url}/model.onnx")
        case "truncated":
            s3.pipe_file(f"{url}/model.onnx", (package.path / "model.onnx").read_bytes()[:-1])
        case "another seal":
            s3.pipe_file(f"{url}/{SEAL}", (package.path / SEAL).read_bytes() + b"\n")
        case "no seal":
            s3.rm_file(f"{url}/{SEAL}")
    with pytest.raises(error, match=words):
        store.fetch("m/abc", package.digest)
    assert [path for path in cache.root.iterdir() if path.is_dir()] == []
    store.put(package, "m/abc")
    assert store.fetch("m/abc", package.digest).path.is_dir()


def test_a_seal_cannot_name_a_file_outside(store: RemoteStore, cache: PackageCache) -> None:
    for name in ("../outside", "/etc/outside", "a/../../outside", "a\\b", ""):
        seal = f"{'0' * 64}  {name}\n".encode()
        fsspec.filesystem("s3").pipe_file(f"{store.url}/m/abc/{SEAL}", seal)
        with pytest.raises(PackageInvalid, match="an invalid name"):
            store.fetch("m/abc", hashlib.sha256(seal).hexdigest())


def test_without_a_digest_it_is_copied_by_its_listing(
    store: RemoteStore, package: PackagedModel, bucket: str, cache: PackageCache
) -> None:
    for name in package.hashes:  # as somebody else would upload it, without a seal
        fsspec.filesystem("s3").put_file(str(package.path / name), f"{bucket}/theirs/{name}")
    path = fetch_package(f"{bucket}/theirs", None, cache).path
    assert PackagedModel.open(path).digest == package.digest
    with pytest.raises(PackageNotFound, match="the place is empty or does not exist"):
        fetch_package(f"{bucket}/nothing", None, cache)


def test_removing_takes_that_package_alone(store: RemoteStore, package: PackagedModel, tmp_path: Path) -> None:
    store.put(package, "m/abc")
    store.put(package, "m/abcd")
    store.remove("m/abc")
    store.remove("m/abc")
    assert {name.partition("/")[0] for name in objects(f"{store.url}/m")} == {"abcd"}
    with pytest.raises(PackageNotFound):
        store.fetch("m/abc", package.digest)


def test_a_missing_bucket_is_named(store: RemoteStore, package: PackagedModel, cache: PackageCache) -> None:
    elsewhere = open_store("s3://no-such-bucket-here/models", cache)
    for use in (lambda: elsewhere.put(package, "m/a"), lambda: elsewhere.fetch("m/a", package.digest)):
        with pytest.raises(RegistryNotFound, match=r"no-such-bucket-here.*bucket does not exist") as caught:
            use()
        assert "AWS_ENDPOINT_URL" in caught.value.hint


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"])
def test_denied_access_is_named(
    package: PackagedModel, cache: PackageCache, monkeypatch: pytest.MonkeyPatch, code: str, bucket: str
) -> None:
    """As a real S3 says it: moto checks nobody."""
    with answering(403, f"<Error><Code>{code}</Code><Message>Access Denied</Message></Error>") as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        closed = open_store("s3://bucket/models", cache)
        for use in (lambda: closed.put(package, "m/a"), lambda: closed.fetch("m/a", package.digest)):
            with pytest.raises(RegistryDenied, match=r"s3://bucket/models/m/a.* is denied") as caught:
                use()
            assert "AWS_SECRET_ACCESS_KEY" in caught.value.hint


def test_without_credentials_access_is_denied(
    bucket: str, cache: PackageCache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(RegistryDenied, match=r"denied: .*credentials"):
        open_store(f"{bucket}/models", cache).fetch("m/a", "0" * 64)


def test_a_store_that_is_away_is_unavailable(
    package: PackagedModel, cache: PackageCache, bucket: str, monkeypatch: Any
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(RegistryUnavailable, match="cannot be reached"):
        open_store("s3://bucket/models", cache).fetch("m/a", package.digest)


def test_a_missing_driver_says_what_to_install(cache: PackageCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def hint(url: str) -> str:
        fsspec.get_filesystem_class("memory").clear_instance_cache()
        with pytest.raises(DependencyMissing) as caught:
            open_store(url, cache).fetch("m/a", "0" * 64)
        return caught.value.hint

    assert hint("abfs://container/models") == "Install it with: pip install 'adlfs'"
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(import_module("fsspec.registry")._registry, "s3", raising=False)
    assert hint("s3://bucket/models") == "Install it with: pip install 'penstock[s3]'"
    monkeypatch.setitem(sys.modules, "fsspec", None)
    assert hint("s3://bucket/models") == "Install it with: pip install 'penstock[s3]'"


def test_a_store_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = Event()
    monkeypatch.setattr("penstock.artifacts.remote_files._LIST_SECONDS", 0.05)
    monkeypatch.setattr("penstock.artifacts.remote_files._OPEN_SECONDS", 0.05)
    monkeypatch.setattr(ObjectStore, "files_below", lambda self, url: release.wait(30))
    monkeypatch.setattr(ObjectStore, "open", lambda self, url: release.wait(30))
    files = RemoteFiles("memory://bucket/m")
    with pytest.raises(RegistryUnavailable, match="does not answer within"):
        files.files_below("memory://bucket/m")
    with pytest.raises(RegistryUnavailable, match="does not answer within"):
        files.read("memory://bucket/m/SHA256SUMS", 100)
    release.set()
