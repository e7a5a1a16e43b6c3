from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from environments.conftest import MakePackage
from penstock.environments import Environments
from penstock.environments.store import EnvironmentStore
from penstock.errors import EnvironmentUnbuildable

NAMES = [digit * 32 for digit in "abcdef"]


def filled(directory: Path, lock: int) -> Mapping[str, Any]:
    assert os.fstat(lock)
    (directory / "bin").mkdir()
    (directory / "bin" / "python").write_bytes(b"x" * 100)
    return {"for": "model"}


def test_an_entry_is_made_once_and_described(tmp_path: Path) -> None:
    store = EnvironmentStore(tmp_path)
    assert store.get(NAMES[0], filled) == store.get(NAMES[0], lambda *_: pytest.fail("again"))
    (entry,) = store.entries()
    assert entry.facts["for"] == "model"
    assert entry.facts["size"] == 100
    assert stat.S_IMODE(entry.path.stat().st_mode) == 0o755
    assert time.time() - entry.used < 60
    assert repr(store) == f"<EnvironmentStore {tmp_path}, 1 in use>"


def test_an_entry_whose_python_has_gone_is_made_anew_by_its_own_user(tmp_path: Path) -> None:
    """It holds the entry itself, and must not wait for that."""
    store = EnvironmentStore(tmp_path)
    entry = store.get(NAMES[0], filled)
    (entry / "bin" / "python").unlink()
    assert not store.has(NAMES[0])
    assert store.get(NAMES[0], filled) == entry
    assert store.has(NAMES[0])
    assert EnvironmentStore(tmp_path).prune(lambda entry: False) == []


def test_nothing_goes_while_somebody_uses_it(tmp_path: Path) -> None:
    using, pruning = EnvironmentStore(tmp_path), EnvironmentStore(tmp_path)
    using.get(NAMES[0], filled)
    assert pruning.prune(lambda entry: False) == []
    using.close()
    assert [entry.digest for entry in pruning.prune(lambda entry: False)] == [NAMES[0]]
    assert pruning.entries() == []


def test_what_killed_builds_left_is_pruned(tmp_path: Path) -> None:
    left, building = tmp_path / f".{NAMES[0]}.abc", tmp_path / f".{NAMES[1]}.def"
    left.mkdir()
    building.mkdir()
    other = EnvironmentStore(tmp_path)

    def make(directory: Path, lock: int) -> Mapping[str, Any]:
        EnvironmentStore(tmp_path).prune(lambda entry: True)
        assert directory.exists()
        return filled(directory, lock)

    other.get(NAMES[1], make)
    assert not left.exists()
    assert not building.exists()


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    store = EnvironmentStore(tmp_path)

    def full(directory: Path, lock: int) -> Mapping[str, Any]:
        (directory / "half").touch()
        raise OSError(28, "No space left on device")

    with pytest.raises(EnvironmentUnbuildable, match="No space left on device"):
        store.get(NAMES[0], full)
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]
    assert store.get(NAMES[0], filled).exists()


def test_a_place_that_is_read_only_serves_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    EnvironmentStore(tmp_path).get(NAMES[0], filled)

    def refuse(*_: object) -> int:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "open", refuse)
    assert EnvironmentStore(tmp_path).get(NAMES[0], lambda *_: pytest.fail("made")) == tmp_path / NAMES[0]
    with pytest.raises(EnvironmentUnbuildable, match="Read-only"):
        EnvironmentStore(tmp_path).get(NAMES[1], filled)


def test_the_longest_unused_go_first(
    tmp_path: Path, wheels: Path, make_package: MakePackage, age: Callable[[Path, float], None]
) -> None:
    few = Environments(tmp_path / "few", wheels=wheels, kept=2)
    digests = []
    for days, line in enumerate(["alpha==1.0", "alpha==2.0", "beta==1.0"]):
        digests.append(few.ensure(make_package(line, name=f"m{days}"), trust_code=True).digest)
        few.close()
        age(few.root / digests[-1], 10 - days)
    assert [entry.digest for entry in few.entries()] == [digests[2], digests[1]]
    assert few.prune(unused_for=8.5 * 86400)[0].digest == digests[1]
    assert few.prune(unused_for=8.5 * 86400) == []
    assert len(few.prune()) == 1
    assert few.entries() == []


@pytest.fixture
def age() -> Callable[[Path, float], None]:
    def make_older(entry: Path, days: float) -> None:
        then = time.time() - days * 86400
        os.utime(entry, (then, then))

    return make_older
