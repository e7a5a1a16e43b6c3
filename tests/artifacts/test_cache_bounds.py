"""The cache holds no more than it may: what was used least lately goes, what anybody uses stays."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from penstock.artifacts import PackageCache, hold
from penstock.artifacts.cache import default_size
from penstock.errors import CacheUnusable, ConfigError
from penstock.loading import load_path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no locks there")

Fetch = Callable[[str], Path]


@pytest.fixture
def size(identity_onnx_package: Path) -> int:
    """Of one entry, nearly: the digest and the origin come on top."""
    return sum(file.stat().st_size for file in identity_onnx_package.rglob("*") if file.is_file()) + 200


@pytest.fixture
def cache(tmp_path: Path, size: int) -> PackageCache:
    """Room for two packages and a half."""
    return PackageCache(tmp_path / "cache", size * 5 // 2)


@pytest.fixture
def fetch(cache: PackageCache, identity_onnx_package: Path) -> Fetch:
    """Fetches a package under a name, as a process does that only looks at it: it is not held."""

    def fetch(name: str) -> Path:
        with cache.fetch((name,), name, lambda target: copy(identity_onnx_package, target)) as package:
            path = package.path
        os.utime(path.parent, (clock[0], clock[0]))
        clock[0] += 1
        return path

    clock = [1_000_000_000]
    return fetch


def copy(package: Path, target: Path) -> None:
    shutil.copytree(package, target, dirs_exist_ok=True)


def kept(cache: PackageCache) -> set[str]:
    return {path.name for entry in cache.root.iterdir() if entry.is_dir() for path in entry.iterdir() if path.is_dir()}


def test_the_package_used_least_lately_goes(cache: PackageCache, fetch: Fetch) -> None:
    for name in ("a", "b", "a", "c"):
        fetch(name)
    assert kept(cache) == {"a", "c"}
    assert len([p for p in cache.root.iterdir() if p.suffix == ".lock"]) == 2
    fetch("b")
    assert kept(cache) == {"b", "c"}


def test_a_loaded_package_stays(cache: PackageCache, fetch: Fetch) -> None:
    loaded = load_path(fetch("a"))
    for name in ("b", "c", "d"):
        fetch(name)
    assert kept(cache) == {"a", "d"}
    loaded.close()
    fetch("e")
    assert kept(cache) == {"a", "e"}  # it was used until a moment ago
    os.utime(loaded.package.path.parent, (0, 0))
    fetch("f")
    assert kept(cache) == {"e", "f"}


def test_a_load_that_fails_lets_go(cache: PackageCache, fetch: Fetch) -> None:
    path = fetch("a")
    (path / "model.onnx").write_bytes(b"no graph")
    (path / "SHA256SUMS").unlink()
    with pytest.raises(Exception, match=r"model\.onnx"):
        load_path(path)
    assert cache.trim(0) == 0


def test_what_was_fetched_stays_until_it_is_loaded(cache: PackageCache, identity_onnx_package: Path) -> None:
    with cache.fetch(("a",), "a", lambda target: copy(identity_onnx_package, target)) as package:
        assert cache.trim(0) > 0
        loaded = load_path(package.path)
    assert cache.trim(0) > 0
    loaded.close()
    assert cache.trim(0) == 0


HOLDER = """
import sys
from pathlib import Path
from penstock.artifacts import hold
held = hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_process(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """One that has said a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        assert process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def test_what_another_process_uses_stays_until_that_is_killed(cache: PackageCache, fetch: Fetch) -> None:
    with another_process(HOLDER, fetch("a")):
        for name in ("b", "c", "d"):
            fetch(name)
        assert kept(cache) == {"a", "d"}
    assert cache.trim(0) == 0
    assert [path for path in cache.root.iterdir() if not path.name.endswith(".lock")] == []


FETCHER = """
import shutil, sys, time
from pathlib import Path
from penstock.artifacts import PackageCache
root, package, log = map(Path, sys.argv[1:])

def download(target):
    shutil.copyfile(package / "MLmodel", target / "MLmodel")
    log.write_text("begun")
    print("begun", flush=True)
    time.sleep(60)

PackageCache(root).fetch(("a",), "a", download)
"""


def test_whoever_waits_for_a_download_takes_over_when_it_is_killed(
    cache: PackageCache, fetch: Fetch, identity_onnx_package: Path, tmp_path: Path
) -> None:
    import threading

    with another_process(FETCHER, cache.root, identity_onnx_package, tmp_path / "log") as first:
        paths: list[Path] = []
        second = threading.Thread(target=lambda: paths.append(fetch("a")))
        second.start()
        second.join(0.2)
        assert second.is_alive()
        first.send_signal(signal.SIGKILL)
        second.join(30)
    assert load_path(paths[0]).proof.repeats
    assert [path.name for path in cache.root.iterdir() if path.name.startswith(".")] == []


def test_what_a_killed_download_left_is_cleared_by_whoever_comes_next(
    cache: PackageCache, fetch: Fetch, identity_onnx_package: Path, tmp_path: Path
) -> None:
    with another_process(FETCHER, cache.root, identity_onnx_package, tmp_path / "log"):
        left = [path for path in cache.root.iterdir() if path.name.startswith(".")]
        assert len(left) == 1
        fetch("b")
        assert left[0].exists()  # it is still at work
    fetch("c")
    assert not left[0].exists()
    assert kept(cache) == {"b", "c"}


def test_two_processes_trim_and_fetch_without_harm(cache: PackageCache, identity_onnx_package: Path) -> None:
    code = """
import random, shutil, sys
from pathlib import Path
from penstock.artifacts import PackageCache
from penstock.loading import load_path
root, package, size, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
cache, chance = PackageCache(root, size), random.Random(seed)
for _ in range(25):
    name = chance.choice("abcd")
    with cache.fetch((name,), name, lambda target: shutil.copytree(package, target, dirs_exist_ok=True)) as fetched:
        load_path(fetched.path).close()
"""
    running = [
        subprocess.Popen([sys.executable, "-c", code, cache.root, identity_onnx_package, str(cache.size), str(seed)])
        for seed in range(3)
    ]
    assert [process.wait(120) for process in running] == [0, 0, 0]
    assert cache.trim() <= cache.size


def test_without_room_what_nobody_uses_makes_way(
    cache: PackageCache, fetch: Fetch, identity_onnx_package: Path
) -> None:
    fetch("a")
    held = hold(fetch("b"))
    tries: list[set[str]] = []

    def download(target: Path) -> None:
        tries.append(kept(cache) - {target.name})
        if len(tries) == 1:
            raise OSError(28, "No space left on device")
        copy(identity_onnx_package, target)

    assert cache.fetch(("c",), "c", download).path.is_dir()
    assert tries == [{"a", "b"}, {"b"}]
    held.close()


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root mounts")
def test_a_really_full_disk_is_said_and_leaves_nothing(tmp_path: Path, identity_onnx_package: Path, size: int) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", small], capture_output=True)
    if mounted.returncode:
        pytest.skip("this container may not mount")
    try:
        cache = PackageCache(small)

        def download(target: Path) -> None:
            copy(identity_onnx_package, target)
            (target / "large").write_bytes(b"x" * 100_000)

        with pytest.raises(CacheUnusable, match="No space left on device") as caught:
            cache.fetch(("large",), "large", download)
        assert "Make room there" in caught.value.hint
        assert kept(cache) == set()
        with cache.fetch(("a",), "a", lambda target: copy(identity_onnx_package, target)) as package:
            assert load_path(package.path).proof.repeats
    finally:
        subprocess.run(["umount", "--lazy", small], check=True)


def test_a_package_that_was_only_looked_at_is_not_held(tmp_path: Path, identity_onnx_package: Path) -> None:
    """A gateway lives long: what it fetched and then refused is gone with the object that stood for it."""
    cache = PackageCache(tmp_path / "cache", 0)
    for number in range(3):
        path = cache.fetch((str(number),), "a", lambda target: copy(identity_onnx_package, target)).path
        assert [entry for entry in cache.root.iterdir() if entry.is_dir()] == [path.parent]
    assert cache.trim() == 0


def test_each_hold_is_its_own(cache: PackageCache, fetch: Fetch, identity_onnx_package: Path) -> None:
    """Two that fetched the same package: it stays until the second has let go, too."""
    path = fetch("a")
    first, second = (cache.fetch(("a",), "a", lambda target: copy(identity_onnx_package, target)) for _ in range(2))
    assert first.path == second.path == path
    first.close()
    first.close()
    assert cache.trim(0) > 0
    second.close()
    assert cache.trim(0) == 0


def test_the_size_of_the_cache_is_a_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert default_size({}) == 10 * 1024**3
    assert default_size({"PENSTOCK_CACHE_SIZE": "500MB"}) == 500_000_000
    with pytest.raises(ConfigError, match="no size"):
        default_size({"PENSTOCK_CACHE_SIZE": "much"})
    monkeypatch.setenv("PENSTOCK_CACHE_SIZE", "1Gi")
    assert repr(PackageCache(tmp_path)).endswith("0 packages, up to 1.1 GB>")
