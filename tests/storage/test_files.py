"""Output files appear whole or not at all, and lines that are added are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import ConfigError, ScoringError
from penstock.storage.files import LocalFileStore, file_store_of


def test_the_target_appears_at_the_end_only(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with LocalFileStore().written(str(target)) as path:
        path.write_text("done")
        assert not target.exists()
    assert target.read_text() == "done"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert target.stat().st_mode & 0o777 == 0o644


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.write_text("before")

    def fail() -> None:
        with LocalFileStore().written(f"file://{target}") as path:
            path.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert target.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_lines_are_appended(tmp_path: Path) -> None:
    place, path = LocalFileStore(), str(tmp_path / "lines")
    for line in (b"a\n", b"b\n"):
        place.append(path, line)
    assert place.read(path) == b"a\nb\n"
    place.remove(path)
    place.remove(path)
    assert place.describe(path) is None


def test_absent_files_and_unknown_urls_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ScoringError, match="There is no file"):
        LocalFileStore().read(str(tmp_path / "none"))
    with pytest.raises(ScoringError, match="cannot be written"):
        LocalFileStore().append(str(tmp_path / "no" / "lines"), b"a\n")
    with pytest.raises(ConfigError, match="cannot be opened"):
        file_store_of("nowhere://a/b")
