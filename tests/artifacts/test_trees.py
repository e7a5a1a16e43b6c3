"""Files below a root: what a program that was killed has left there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from penstock.artifacts.trees import LocalTree


def test_drafts_of_killed_programs_are_swept_and_those_under_way_are_not(tmp_path: Path) -> None:
    tree = LocalTree(tmp_path)
    assert tree.sweep(2000.0) == 0
    with tree.new("a/whole.txt") as file:
        file.write(b"whole")
        (draft,) = (tmp_path / ".penstock-uploads").iterdir()
        left = draft.with_name("left")
        left.write_bytes(b"half")
        os.utime(left, (1000.0, 1000.0))
        assert tree.sweep(2000.0) == 1
    assert not left.exists()
    assert (tmp_path / "a/whole.txt").read_bytes() == b"whole"


def test_drafts_that_cannot_be_removed_are_said_and_stay(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / ".penstock-uploads" / "a directory").mkdir(parents=True)
    assert LocalTree(tmp_path).sweep(1e12) == 0
    assert "cannot be removed" in caplog.text
