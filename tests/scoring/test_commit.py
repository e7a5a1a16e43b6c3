"""Output files appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.scoring.commit import atomic_file


def test_the_target_appears_at_the_end_only(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with atomic_file(target) as path:
        path.write_text("done")
        assert not target.exists()
    assert target.read_text() == "done"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.write_text("before")

    def fail() -> None:
        with atomic_file(target) as path:
            path.write_text("half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert target.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
