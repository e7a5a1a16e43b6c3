"""Where packages are kept: put in once, fetched by digest, verified on the way out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.artifacts import LocalStore, PackageCache, fetch_package, open_store
from penstock.errors import PackageInvalid, PackageNotFound, RegistryReadOnly, SealBroken, Unsupported
from penstock.package import PackagedModel
from penstock.package.seal import SEAL

Copied = Callable[[Path], Path]


@pytest.fixture
def package(identity_onnx_package: Path) -> PackagedModel:
    return PackagedModel.open(identity_onnx_package)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(str(tmp_path / "store"))


def test_what_is_put_can_be_fetched(store: LocalStore, package: PackagedModel, tmp_path: Path) -> None:
    store.put(package, "m/abc")
    path = store.fetch("m/abc", package.digest).path
    assert path == tmp_path / "store" / "m" / "abc"
    assert PackagedModel.open(path).hashes == package.hashes
    assert (path / SEAL).read_bytes() == (package.path / SEAL).read_bytes()
    assert [p.name for p in (tmp_path / "store" / "m").iterdir()] == ["abc"]  # nothing temporary is left


def test_a_package_without_a_seal_gets_one(store: LocalStore, package: PackagedModel, copied: Copied) -> None:
    bare = copied(package.path)
    (bare / SEAL).unlink()
    store.put(PackagedModel.open(bare), "m/abc")
    assert (store.fetch("m/abc", package.digest).path / SEAL).exists()
    assert not (bare / SEAL).exists()


def test_putting_twice_keeps_the_first(store: LocalStore, package: PackagedModel) -> None:
    store.put(package, "m/abc")
    before = os.stat(store.fetch("m/abc", None).path).st_ino
    store.put(package, "m/abc")
    assert os.stat(store.fetch("m/abc", None).path).st_ino == before


@pytest.mark.parametrize("damage", ["model.onnx", "MLmodel", SEAL, "a file too many", "no manifest"])
def test_a_damaged_copy_is_replaced(store: LocalStore, package: PackagedModel, damage: str) -> None:
    store.put(package, "m/abc")
    there = store.fetch("m/abc", package.digest).path
    if damage == "no manifest":
        (there / "MLmodel").unlink()
    else:
        (there / damage).write_bytes(b"{")
    with pytest.raises((SealBroken, PackageInvalid)):
        store.fetch("m/abc", package.digest)
    store.put(package, "m/abc")
    assert store.fetch("m/abc", package.digest).path == there


def test_another_package_under_the_key_is_found_out(
    store: LocalStore, package: PackagedModel, iris_onnx_package: Path
) -> None:
    store.put(PackagedModel.open(iris_onnx_package), "m/abc")
    with pytest.raises(SealBroken, match="not the registered package"):
        store.fetch("m/abc", package.digest)


def test_a_package_that_changes_while_it_is_copied_is_not_kept(
    store: LocalStore, package: PackagedModel, copied: Copied, tmp_path: Path
) -> None:
    changing = PackagedModel.open(copied(package.path))
    changing.verify()
    (changing.path / "model.onnx").write_bytes(b"changed since")
    with pytest.raises(SealBroken, match="changed while Penstock copied"):
        store.put(changing, "m/abc")
    assert list((tmp_path / "store" / "m").iterdir()) == []


def test_an_absent_package_is_not_found(store: LocalStore, tmp_path: Path) -> None:
    with pytest.raises(PackageNotFound, match="no longer exists"):
        store.fetch("m/abc", None)
    with pytest.raises(PackageNotFound):
        fetch_package(str(tmp_path / "missing"), None)


def test_a_removed_package_is_gone(store: LocalStore, package: PackagedModel) -> None:
    store.put(package, "m/abc")
    store.remove("m/abc")
    store.remove("m/abc")
    with pytest.raises(PackageNotFound):
        store.fetch("m/abc", None)


def test_a_store_that_cannot_be_written_is_read_only(unwritable: Path, package: PackagedModel) -> None:
    with pytest.raises(RegistryReadOnly):
        LocalStore(str(unwritable)).put(package, "m/abc")


def test_an_unwritable_store_is_told_from_other_trouble(
    store: LocalStore, package: PackagedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(shutil, "copyfile", refuse)
    with pytest.raises(RegistryReadOnly, match="is read-only"):
        store.put(package, "m/abc")


def test_a_package_is_fetched_by_path_by_file_url_and_from_the_root(
    package: PackagedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / "a dir" / "the model"
    shutil.copytree(package.path, odd)
    assert fetch_package(str(odd), package.digest).path == odd
    assert fetch_package(f"{odd}/", package.digest).path == odd
    assert fetch_package(odd.as_uri(), package.digest).path == odd
    monkeypatch.chdir(odd.parent)
    assert fetch_package("the model", package.digest).path == odd
    seen: list[str] = []
    monkeypatch.setattr(LocalStore, "fetch", lambda self, key, digest: seen.append(str(self.root / key)))
    fetch_package("/packages", None)
    assert seen == ["/packages"]


def test_an_unknown_kind_of_url_is_unsupported(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="nobody"):
        open_store("nobody://host/models", PackageCache(tmp_path / "cache"))
