"""What is written appears whole; what fails leaves what was there."""

from __future__ import annotations

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
