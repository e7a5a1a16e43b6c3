"""While the spool takes nothing, what is logged waits in memory, in its place in the order."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.fluent.outbox import writer as module
from penstock.fluent.outbox.segment import Segment
from penstock.fluent.outbox.source import DeliverySource
from penstock.fluent.outbox.writer import SpoolWriter


class Disk:
    """A spool on a disk that is full while it is said to be."""

    def __init__(self, spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_full = False
        self._spool = spool
        self._append = Segment.append
        monkeypatch.setattr(Segment, "append", lambda segment, lines: self.append(segment, lines))
        monkeypatch.setattr(module, "_RETRY_SECONDS", 0.0)
        self.writer = SpoolWriter(self.make, 1000)

    def make(self) -> Segment:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return Segment.create(self._spool, "http://hub")

    def append(self, segment: Segment, lines: bytes) -> None:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._append(segment, lines)

    def keep(self, *texts: bytes, may_move: bool = True) -> None:
        for text in texts:
            self.writer.keep(text + b"\n", 1, may_move=may_move)

    def delivered(self) -> list[bytes]:
        found: list[bytes] = []
        while (source := self.writer.source) is not None:
            found += all_of(source)
        return found


def all_of(source: DeliverySource) -> list[bytes]:
    chunk = source.read()
    source.deliver(chunk.end)
    return chunk.lines


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    made = Disk(tmp_path / "spool", monkeypatch)
    yield made
    if made.writer.segment is not None:
        made.writer.segment.close()


def test_a_full_disk_is_told_once_and_its_end_too(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    disk.keep(b"1")
    disk.is_full = True
    disk.keep(b"2", b"3")
    assert (disk.writer.overflow.waiting, disk.writer.kept_in) == (4, "memory")
    disk.is_full = False
    disk.keep(b"4")
    assert disk.writer.overflow.waiting == 0
    assert disk.delivered() == [b"1", b"2", b"3", b"4"]
    assert [record.getMessage().partition(".")[0] for record in caplog.records] == [
        "The spool cannot be written: No space left on device",
        "The spool takes what is logged again",
    ]


def test_what_is_being_delivered_from_memory_stays_there(disk: Disk) -> None:
    disk.is_full = True
    disk.keep(b"1")
    disk.is_full = False
    disk.keep(b"2", may_move=False)
    assert disk.writer.segment is None
    assert disk.delivered() == [b"1", b"2"]
    disk.keep(b"3")
    assert disk.writer.overflow.waiting == 0
    assert disk.delivered() == [b"3"]


def test_at_the_end_memory_goes_to_the_spool(disk: Disk) -> None:
    disk.is_full = True
    disk.keep(b"1", b"2")
    disk.is_full = False
    disk.writer.finish()
    assert disk.writer.lost == 0
    assert disk.delivered() == [b"1", b"2"]


def test_what_neither_takes_is_counted(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    disk.is_full = True
    disk.keep(b"1", b"2")
    disk.writer.finish()
    disk.writer.say_losses()
    assert (disk.writer.lost, disk.delivered()) == (2, [])
    assert caplog.records[-1].getMessage() == (
        "2 things that were logged are lost, since neither server nor spool took them."
    )


def test_a_spool_that_is_full_by_its_limit_is_no_other_than_a_full_disk(disk: Disk) -> None:
    disk.keep(b"1" * 900, b"2" * 900, b"3")
    assert disk.writer.overflow.waiting == 903
    assert disk.delivered() == [b"1" * 900, b"2" * 900, b"3"]


def test_a_segment_that_has_no_room_for_its_first_line_leaves_no_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("penstock.fluent.outbox.segment.fcntl.flock", full)
    with pytest.raises(OSError, match="No space"):
        Segment.create(tmp_path, "http://hub")
    assert list(tmp_path.iterdir()) == []
