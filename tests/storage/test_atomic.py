"""What is written appears whole; what fails leaves what was there."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.storage import atomic


def test_a_small_file_is_replaced_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "notes" / "one.json"
    atomic.replace_file(path, b"1")
    atomic.replace_file(path, b"2")
    assert path.read_bytes() == b"2"

    def refuse(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="No space"):
        atomic.replace_file(path, b"3")
    assert path.read_bytes() == b"2"
    assert list(path.parent.iterdir()) == [path]


def test_a_directory_never_replaces_another(tmp_path: Path) -> None:
    target = tmp_path / "made"

    def lose_the_race() -> None:
        with atomic.new_directory(target) as directory:
            (directory / "mine").touch()
            target.mkdir()
            (target / "theirs").touch()

    with pytest.raises(FileExistsError):
        lose_the_race()
    assert [path.name for path in tmp_path.rglob("*")] == ["made", "theirs"]
    with pytest.raises(FileExistsError), atomic.new_directory(target):
        pytest.fail("begun")


def test_a_directory_that_may_be_replaced_stays_until_its_successor_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "made"
    target.mkdir()
    (target / "old").touch()
    with atomic.new_directory(target, replace=True) as directory:
        (directory / "new").touch()
        assert [path.name for path in target.iterdir()] == ["old"]
    assert [path.name for path in tmp_path.rglob("*")] == ["made", "new"]

    def refuse(directory: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic, "_rename_directory", refuse)
    with pytest.raises(OSError, match="No space"), atomic.new_directory(target, replace=True) as directory:
        (directory / "newer").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["made", "new"]


@pytest.fixture
def no_mask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def test_nobody_else_may_write_to_what_is_made_whatever_the_mask(tmp_path: Path, no_mask: None) -> None:
    with atomic.new_directory(tmp_path / "package") as directory:
        (directory / "code").mkdir()
        (directory / "code" / "model.py").write_text("")
        (directory / "MLmodel").write_text("")
    with atomic.new_file(tmp_path / "file") as beside:
        beside.write_text("")
    atomic.replace_file(tmp_path / "note", b"")
    atomic.append_line(tmp_path / "lines", b"\n")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert len(modes) == 7
    assert {name for name, mode in modes.items() if mode & 0o022} == set()
