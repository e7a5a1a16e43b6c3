"""What is in a segment is there for the next process, from the place on that is not delivered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.fluent.outbox import segment as module
from penstock.fluent.outbox.entries import Record
from penstock.fluent.outbox.segment import Segment

LINES = [Record("a", {"tags": [["key", str(number)]]}).line() for number in range(3)]


@pytest.fixture
def segment(tmp_path: Path) -> Iterator[Segment]:
    made = Segment.create(tmp_path, "http://hub:5000")
    yield made
    made.close()


def left_behind(segment: Segment) -> Segment:
    """As another process finds it after ours was killed."""
    segment.forget()
    return Segment.open(segment.directory)


def values(records: list[Record]) -> list[str]:
    return [record.content["tags"][0][1] for record in records]


def test_the_next_process_reads_what_was_not_delivered(segment: Segment) -> None:
    segment.append(LINES[0], durable=False)
    segment.run_ids["a"] = "theirs"
    segment.deliver(segment.read().end)
    segment.append(LINES[1] + LINES[2], durable=True)
    found = left_behind(segment)
    assert found.uri == "http://hub:5000"
    assert found.run_ids == {"a": "theirs"}
    assert values(found.read().records) == ["1", "2"]
    found.close()
    assert found.directory.exists()


def test_a_segment_that_is_delivered_leaves_nothing(segment: Segment) -> None:
    segment.append(LINES[0], durable=False)
    segment.add_file().write_text("content")
    segment.deliver(segment.read().end)
    segment.close()
    assert not segment.directory.exists()


def test_a_segment_in_use_is_not_taken(segment: Segment) -> None:
    with pytest.raises(BlockingIOError):
        Segment.open(segment.directory)


def test_a_line_that_was_cut_off_is_counted_and_passed_over(segment: Segment) -> None:
    segment.append(LINES[0] + LINES[1][:10], durable=False)
    found = left_behind(segment)
    first = found.read()
    assert (values(first.records), first.damaged) == (["0"], 0)
    found.deliver(first.end)
    assert found.read().damaged == 1
    found.close()


def test_a_damaged_line_does_not_hide_those_after_it(segment: Segment) -> None:
    segment.append(LINES[0] + b"\0\0\0\n" + LINES[1], durable=False)
    chunk = segment.read()
    assert (values(chunk.records), chunk.damaged) == (["0", "1"], 1)
    segment.deliver(chunk.end)


def test_a_line_longer_than_what_is_read_at_once_comes_whole(segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_READ_BYTES", 16)
    segment.append(b"".join(LINES), durable=False)
    chunk = segment.read()
    assert values(chunk.records)[0] == "0"
    segment.deliver(chunk.end)
    assert segment.waiting == len(b"".join(LINES)) - sum(len(record.line()) for record in chunk.records)


def test_a_long_file_is_emptied_of_what_is_delivered(segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TIDY_BYTES", 64)
    segment.append(b"".join(LINES), durable=False)
    segment.deliver(segment.read().end)
    segment.append(LINES[2], durable=False)
    found = left_behind(segment)
    assert values(found.read().records) == ["2"]
    found.close()


def test_a_mark_from_before_the_file_was_emptied_hides_nothing(
    segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a machine that lost its power may leave it: records are waited for, the mark is not."""
    monkeypatch.setattr(module, "_TIDY_BYTES", 64)
    segment.append(b"".join(LINES), durable=False)
    segment.deliver(segment.read().end - 1)
    before = (segment.directory / "delivered").read_bytes()
    segment.deliver(segment.read().end)
    segment.append(LINES[2], durable=True)
    (segment.directory / "delivered").write_bytes(before)
    found = left_behind(segment)
    assert values(found.read().records) == ["2"]
    found.close()


@pytest.mark.parametrize("content", [b"", b"{}\n", b"[]\n", b'{"penstock_spool":2,"uri":"x"}\n'])
def test_what_is_no_segment_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "records.jsonl").write_bytes(content)
    with pytest.raises((ValueError, AttributeError)):
        Segment.open(tmp_path)
