"""Entries are made once, whole, and stay while any process uses them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.storage.entries import Entries, EntryHold, hold_entry, last_used, size_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no locks there")

NAME, OTHER = "a" * 32, "b" * 32


@pytest.fixture
def entries(tmp_path: Path) -> Entries:
    return Entries(tmp_path / "root")


def fill(directory: Path) -> None:
    (directory / "file").write_bytes(b"12345")


def make(entries: Entries, name: str = NAME) -> Path:
    with entries.lock(name):
        entries.make(name, fill)
    return entries.root / name


def test_an_entry_appears_when_it_is_whole(entries: Entries) -> None:
    def look(directory: Path) -> None:
        fill(directory)
        assert entries.all() == []

    with entries.lock(NAME):
        entries.make(NAME, look)
    assert entries.all() == [entries.root / NAME]
    assert size_of(entries.root / NAME) == 5
    assert repr(entries) == f"<Entries {entries.root}, 1 there>"


@pytest.mark.parametrize("sync", [True, False])
def test_a_failure_leaves_nothing(entries: Entries, sync: bool) -> None:
    def fail(directory: Path) -> None:
        fill(directory)
        raise OSError(28, "No space left on device")

    with entries.lock(NAME), pytest.raises(OSError, match="No space"):
        entries.make(NAME, fail, sync=sync)
    assert [path.name for path in entries.root.iterdir()] == [f"{NAME}.lock"]


def test_an_entry_that_is_no_good_is_replaced(entries: Entries) -> None:
    entry = make(entries)
    (entry / "file").write_bytes(b"bad")
    held = hold_entry(entry)  # also under its users' feet: it is damaged for them, too
    make(entries)
    assert (entry / "file").read_bytes() == b"12345"
    held.close()


def test_what_is_held_stays(entries: Entries) -> None:
    entry = make(entries)
    first, second = hold_entry(entry), hold_entry(entry)
    first.close()
    assert not entries.remove(NAME)
    second.close()
    second.close()
    assert entries.remove(NAME)
    assert list(entries.root.iterdir()) == []


def test_a_hold_that_is_forgotten_ends(entries: Entries) -> None:
    entry = make(entries)
    held: EntryHold | None = hold_entry(entry)
    assert held is not None
    held = None
    assert entries.remove(NAME)


def test_a_hold_counts_as_a_use_at_its_beginning_and_end(entries: Entries) -> None:
    entry = make(entries)
    os.utime(entry, (0, 0))
    held = hold_entry(entry)
    assert last_used(entry) > 0
    os.utime(entry, (0, 0))
    held.close()
    assert last_used(entry) > 0


def test_a_hold_on_nothing_is_closed(tmp_path: Path) -> None:
    held = hold_entry(tmp_path / "absent")
    assert repr(held) == "<EntryHold closed>"
    held.close()
    assert last_used(tmp_path / "absent") == 0.0


def test_an_entry_that_is_being_made_is_neither_removed_nor_swept(entries: Entries) -> None:
    entry = make(entries)
    left = entries.root / f".{NAME}.left"
    left.mkdir()
    with entries.lock(NAME):
        assert not entries.remove(NAME)
        entries.sweep()
        assert left.exists()
    entries.sweep()
    assert not left.exists()
    assert entry.exists()


def test_a_program_that_inherits_the_lock_keeps_it(entries: Entries) -> None:
    """A build whose starter was killed goes on, and is waited for."""
    make(entries)
    with entries.lock(NAME) as lock:
        program = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[lock.descriptor])
    try:
        assert not entries.remove(NAME)
    finally:
        program.communicate(b"")
    assert entries.remove(NAME)


def test_what_is_named_otherwise_is_left_alone(entries: Entries) -> None:
    make(entries)
    (entries.root / "resolutions").mkdir()
    (entries.root / ".hidden").mkdir()
    entries.sweep()
    assert entries.all() == [entries.root / NAME]
    assert {path.name for path in entries.root.iterdir()} == {NAME, f"{NAME}.lock", "resolutions", ".hidden"}
    assert not entries.remove(OTHER)
