"""Notes on packages that were proven: what they count for, and that nothing about them can fail."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from penstock.artifacts.proven import ProvenPackages

VERSIONS = {"penstock": "1.0", "scikit-learn": "1.9.0"}


def test_a_package_is_known_with_the_versions_it_was_proven_with(tmp_path: Path) -> None:
    proven = ProvenPackages(tmp_path)
    assert not proven.knows("a" * 64, VERSIONS)
    proven.add("a" * 64, VERSIONS)
    assert ProvenPackages(tmp_path).knows("a" * 64, dict(reversed(VERSIONS.items())))
    assert not proven.knows("b" * 64, VERSIONS)
    assert not proven.knows("a" * 64, VERSIONS | {"scikit-learn": "1.9.1"})
    assert not proven.knows("a" * 64, VERSIONS | {"numpy": "2.0"})
    assert not ProvenPackages(tmp_path / "elsewhere").knows("a" * 64, VERSIONS)


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"{}", b'{"digest": "b", "versions": {}}'])
def test_a_damaged_note_proves_nothing(tmp_path: Path, content: bytes) -> None:
    proven = ProvenPackages(tmp_path)
    proven.add("a" * 64, VERSIONS)
    (note,) = tmp_path.glob("proven/*.json")
    note.write_bytes(content)
    assert not proven.knows("a" * 64, VERSIONS)


def test_the_notes_written_last_are_kept(tmp_path: Path) -> None:
    proven = ProvenPackages(tmp_path, most=3)
    for number in range(5):
        before = set(tmp_path.glob("proven/*.json"))
        proven.add(str(number), VERSIONS)
        for note in set(tmp_path.glob("proven/*.json")) - before:
            os.utime(note, (number, number))
    assert [proven.knows(str(number), VERSIONS) for number in range(5)] == [False, False, True, True, True]


def test_a_cache_that_cannot_be_written_costs_a_trial_and_one_line(
    unwritable: Path, caplog: pytest.LogCaptureFixture
) -> None:
    proven = ProvenPackages(unwritable)
    with caplog.at_level(logging.WARNING):
        proven.add("a", VERSIONS)
        proven.add("b", VERSIONS)
    assert not proven.knows("a", VERSIONS)
    assert [record.getMessage().partition(", so")[0] for record in caplog.records] == [
        f"It cannot be noted in {unwritable / 'proven'} which packages have been proven"
    ]
