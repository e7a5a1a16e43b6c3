"""Files below a root: drafts of killed programs, trees of any depth, disks that take nothing, others at work."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from penstock.artifacts.trees import LocalTree
from penstock.errors import RegistryReadOnly


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


def test_a_directory_goes_with_all_that_is_in_it_and_without_what_its_links_lead_to(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_bytes(b"kept")
    tree = LocalTree(tmp_path / "root")
    for path in ("d/f", "d/a/f", "d/a/b/f", "d/a/b/c/f", "d/b/f", "other/f"):
        with tree.new(path) as file:
            file.write(b"x")
    (tmp_path / "root/d/a/empty").mkdir(mode=0o555)
    (tmp_path / "root/d/link").symlink_to(elsewhere)
    (tmp_path / "root/d/a/link").symlink_to(elsewhere)
    os.mkfifo(tmp_path / "root/d/a/b/pipe")
    tree.remove("d")
    assert [entry.name for entry in tree.entries("")] == ["other"]
    assert (elsewhere / "kept").read_bytes() == b"kept"


def test_a_tree_of_any_depth_is_removed_by_a_few_descriptors(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    descriptor = os.open(tmp_path / "d", os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("e", dir_fd=descriptor)
        os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
        below = os.open("e", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptor + 8, hard))
    try:
        LocalTree(tmp_path).remove("d")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        os.close(descriptor)
    assert not (tmp_path / "d").exists()


def test_a_disk_that_takes_no_draft_is_told_in_our_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(RegistryReadOnly, match="a/f cannot be written"), LocalTree(tmp_path).new("a/f"):
        pytest.fail("there is no draft")


def test_a_file_that_goes_while_its_directory_is_listed_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("gone", "kept"):
        (tmp_path / name).touch()
    scandir = os.scandir

    @contextmanager
    def slow(descriptor: int) -> Iterator[list[os.DirEntry[str]]]:
        with scandir(descriptor) as entries:
            found = list(entries)
            (tmp_path / "gone").unlink()
            yield found

    monkeypatch.setattr(os, "scandir", slow)
    assert [entry.name for entry in LocalTree(tmp_path).entries("")] == ["kept"]
