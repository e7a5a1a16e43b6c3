"""Files in memory: written in pieces, sealed, mapped so that a change stays with whoever made it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest

from penstock.machine.memory_file import MemoryFile


@pytest.fixture
def file() -> Iterator[MemoryFile]:
    made = MemoryFile()
    yield made
    made.close()


def test_what_is_written_is_read_again(file: MemoryFile) -> None:
    file.write([b"ab", b"", bytearray(b"cd"), np.arange(3, dtype=np.uint8).data])
    file.write([b"e"] * 2000)
    assert file.size == 2007
    assert file.read() == b"abcd\0\1\2" + b"e" * 2000


def test_a_sealed_file_cannot_be_changed_or_cut(file: MemoryFile) -> None:
    file.write([b"abc"])
    before = file.is_sealed
    file.seal()
    assert (before, file.is_sealed) == (False, True)
    with pytest.raises(PermissionError):
        os.write(file.fd, b"x")
    with pytest.raises(PermissionError):
        os.ftruncate(file.fd, 0)


def test_a_map_outlives_its_file_and_keeps_changes_to_itself(file: MemoryFile) -> None:
    file.write([b"abc"])
    file.seal()
    one, other = file.map(), file.map()
    file.close()
    one[0] = ord("x")
    assert (bytes(one), bytes(other)) == (b"xbc", b"abc")


def test_closing_twice_closes_no_descriptor_of_somebody_else(file: MemoryFile) -> None:
    file.close()
    reused = os.open(os.devnull, os.O_RDONLY)
    file.close()
    os.fstat(reused)
    os.close(reused)


def test_a_descriptor_from_elsewhere_brings_its_size(file: MemoryFile) -> None:
    file.write([b"abc"])
    other = MemoryFile(os.dup(file.fd))
    assert (other.size, other.read()) == (3, b"abc")
