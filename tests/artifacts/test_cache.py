"""Downloaded packages: once, whole, as they came, whoever else is at it."""

from __future__ import annotations

import multiprocessing
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from penstock.artifacts import PackageCache, default_cache
from penstock.errors import CacheUnusable, PackageError, SealBroken
from penstock.package import PackagedModel

IDENTITY = ("http://mlflow:5000", "fraud", "1", "2026-01-01")


class Source:
    """Copies a package, and counts how often."""

    def __init__(self, package: Path) -> None:
        self.package = package
        self.times = 0

    def __call__(self, target: Path) -> None:
        self.times += 1
        shutil.copytree(self.package, target, dirs_exist_ok=True)


@pytest.fixture
def source(identity_onnx_package: Path) -> Source:
    return Source(identity_onnx_package)


@pytest.fixture
def cache(tmp_path: Path) -> PackageCache:
    return PackageCache(tmp_path / "cache")


def entries(cache: PackageCache) -> list[str]:
    return [p.name for p in cache.root.iterdir() if p.is_dir()]


def test_a_package_is_downloaded_once(cache: PackageCache, source: Source) -> None:
    path = cache.fetch(IDENTITY, "fraud-1", source).path
    assert path.name == "fraud-1"
    assert PackagedModel.open(path).digest == PackagedModel.open(source.package).digest
    assert cache.fetch(IDENTITY, "fraud-1", source).path == path
    assert source.times == 1
    assert cache.fetch((*IDENTITY[:3], "later"), "fraud-1", source).path != path


def test_a_download_that_fails_leaves_nothing(cache: PackageCache, source: Source) -> None:
    def fail(target: Path) -> None:
        source(target)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cache.fetch(IDENTITY, "fraud-1", fail)
    assert entries(cache) == []
    assert cache.fetch(IDENTITY, "fraud-1", source).path.is_dir()


def test_what_is_no_package_is_not_kept(cache: PackageCache) -> None:
    with pytest.raises(PackageError):
        cache.fetch(IDENTITY, "fraud-1", lambda target: None)
    assert entries(cache) == []


def test_what_breaks_its_own_seal_is_not_kept(cache: PackageCache, source: Source) -> None:
    def change(target: Path) -> None:
        source(target)
        (target / "MLmodel").write_bytes((target / "MLmodel").read_bytes() + b"\n")

    with pytest.raises(SealBroken):
        cache.fetch(IDENTITY, "fraud-1", change)
    assert entries(cache) == []


@pytest.mark.parametrize("damage", ["MLmodel", "model.onnx", "../digest"])
def test_a_damaged_entry_is_downloaded_again(cache: PackageCache, source: Source, damage: str) -> None:
    path = cache.fetch(IDENTITY, "fraud-1", source).path
    (path / damage).write_bytes(b"damaged")
    assert cache.fetch(IDENTITY, "fraud-1", source).path == path
    assert source.times == 2
    assert PackagedModel.open(path).digest == PackagedModel.open(source.package).digest


def test_what_a_killed_process_left_is_cleared(cache: PackageCache, source: Source) -> None:
    entry = cache.fetch(IDENTITY, "fraud-1", source).path.parent
    shutil.rmtree(entry)
    (cache.root / f".{entry.name}.abc").mkdir()
    cache.fetch(IDENTITY, "fraud-1", source)
    assert entries(cache) == [entry.name]


def test_threads_wait_for_the_first_download(cache: PackageCache, source: Source) -> None:
    paths: list[Path] = []
    running = [
        threading.Thread(target=lambda: paths.append(cache.fetch(IDENTITY, "fraud-1", source).path)) for _ in range(8)
    ]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert (len(set(paths)), len(paths)) == (1, 8)
    assert source.times == 1


def _fetch(root: Path, package: Path, log: Path) -> None:
    def download(target: Path) -> None:
        with log.open("a") as file:
            file.write("once\n")
        shutil.copytree(package, target, dirs_exist_ok=True)

    PackageCache(root).fetch(IDENTITY, "fraud-1", download)


@pytest.mark.skipif(sys.platform == "win32", reason="no locks there")
def test_processes_wait_for_the_first_download(cache: PackageCache, source: Source, tmp_path: Path) -> None:
    context: Any = multiprocessing.get_context("forkserver" if sys.platform != "darwin" else "spawn")
    log = tmp_path / "log"
    running = [context.Process(target=_fetch, args=(cache.root, source.package, log)) for _ in range(4)]
    for process in running:
        process.start()
    for process in running:
        process.join(60)
    assert [process.exitcode for process in running] == [0] * 4
    assert log.read_text() == "once\n"


def test_a_cache_that_cannot_be_written_names_the_setting(source: Source, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CacheUnusable, match="cannot be kept") as caught:
        PackageCache(tmp_path / "file" / "cache").fetch(IDENTITY, "fraud-1", source)
    assert "setting cache" in caught.value.hint


def test_a_full_disk_leaves_no_entry(cache: PackageCache) -> None:
    def full(target: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(CacheUnusable, match="No space left"):
        cache.fetch(IDENTITY, "fraud-1", full)
    assert entries(cache) == []


def test_the_cache_is_where_the_variables_say(tmp_path: Path) -> None:
    assert default_cache({"PENSTOCK_CACHE": str(tmp_path), "XDG_CACHE_HOME": "/x"}) == tmp_path
    assert default_cache({"XDG_CACHE_HOME": "/x"}) == Path("/x/penstock")
    assert default_cache({}) == Path("~/.cache/penstock").expanduser()
