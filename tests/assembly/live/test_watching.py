"""When a settings file counts as changed: by its content, once that is the same at two looks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from penstock.assembly.live.watching import FileWatch, read


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "penstock.toml").write_bytes(b"one")
    return tmp_path / "penstock.toml"


def looks(watch: FileWatch, *contents: bytes | None) -> list[bool]:
    return [watch.look(content) for content in contents]


def test_a_change_counts_once_it_is_settled(file: Path) -> None:
    assert looks(FileWatch(file), b"one", b"two", b"two", b"two") == [False, False, True, False]


def test_an_editor_that_writes_in_steps_is_waited_for(file: Path) -> None:
    watch = FileWatch(file)
    assert looks(watch, b"", b"tw", b"two", b"two") == [False, False, False, True]
    assert looks(watch, None, b"three", b"three") == [False, False, True]  # another file in its place


def test_what_comes_back_as_it_was_is_no_change(file: Path) -> None:
    assert looks(FileWatch(file), b"two", b"one", b"one") == [False, False, False]


def test_a_file_that_is_gone_is_a_change_like_any(file: Path) -> None:
    assert looks(FileWatch(file), None, None, None, b"one", b"one") == [False, True, False, False, True]


def test_what_somebody_asked_for_is_no_change_any_more(file: Path) -> None:
    watch = FileWatch(file)
    watch.use(b"two")
    assert looks(watch, b"two", b"two") == [False, False]


def test_a_config_map_is_read_through_its_links(tmp_path: Path) -> None:
    """Kubernetes puts another directory in place of the one that the link leads to."""
    for name, content in (("..v1", b"one"), ("..v2", b"two")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "penstock.toml").write_bytes(content)
    (tmp_path / "..data").symlink_to("..v1")
    (tmp_path / "penstock.toml").symlink_to("..data/penstock.toml")
    watch = FileWatch(tmp_path / "penstock.toml")
    (tmp_path / "..data_tmp").symlink_to("..v2")
    os.rename(tmp_path / "..data_tmp", tmp_path / "..data")
    assert [watch.look(read(watch.path)) for _ in range(2)] == [False, True]


def test_reading_never_fails(tmp_path: Path) -> None:
    assert read(tmp_path / "none") is None
    assert read(tmp_path) is None
