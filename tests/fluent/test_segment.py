"""What is in a segment is there for the next process, from the place on that is not delivered."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.fluent.outbox import private_directory
from penstock.fluent.outbox import segment as module
from penstock.fluent.outbox.leftovers import left_directories
from penstock.fluent.outbox.segment import Segment

LINES = [b'["a",{"tags":[["key","%d"]]}]\n' % number for number in range(3)]


@pytest.fixture
def segment(tmp_path: Path) -> Iterator[Segment]:
    made = Segment.create(tmp_path, "http://hub:5000")
    yield made
    made.close()


def left_behind(segment: Segment) -> Segment:
    """As another process finds it after ours was killed."""
    segment.forget()
    return Segment.open(segment.directory)


def values(lines: list[bytes]) -> list[str]:
    return [json.loads(line)[1]["tags"][0][1] for line in lines]


def test_the_next_process_reads_what_was_not_delivered(segment: Segment) -> None:
    segment.append(LINES[0])
    segment.run_ids["a"] = "theirs"
    segment.deliver(segment.read().end)
    segment.append(LINES[1] + LINES[2])
    found = left_behind(segment)
    assert found.uri == "http://hub:5000"
    assert found.run_ids == {"a": "theirs"}
    assert values(found.read().lines) == ["1", "2"]
    found.close()
    assert found.directory.exists()


def test_a_segment_that_is_delivered_leaves_nothing(segment: Segment) -> None:
    segment.append(LINES[0])
    segment.add_file().write_text("content")
    segment.deliver(segment.read().end)
    segment.close()
    assert not segment.directory.exists()


def test_a_segment_in_use_is_not_taken(segment: Segment) -> None:
    with pytest.raises(BlockingIOError):
        Segment.open(segment.directory)


def test_a_line_that_was_cut_off_is_told_and_passed_over(segment: Segment) -> None:
    segment.append(LINES[0] + LINES[1][:10])
    found = left_behind(segment)
    first = found.read()
    assert (values(first.lines), first.is_cut_off) == (["0"], False)
    found.deliver(first.end)
    assert found.read().is_cut_off
    found.close()


def test_a_line_longer_than_what_is_read_at_once_comes_whole(segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_READ_BYTES", 16)
    segment.append(b"".join(LINES))
    chunk = segment.read()
    assert values(chunk.lines)[0] == "0"
    segment.deliver(chunk.end)
    assert segment.waiting == len(b"".join(LINES)) - sum(len(line) + 1 for line in chunk.lines)


def test_a_long_file_is_emptied_of_what_is_delivered(segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TIDY_BYTES", 64)
    segment.append(b"".join(LINES))
    segment.deliver(segment.read().end)
    segment.append(LINES[2])
    found = left_behind(segment)
    assert values(found.read().lines) == ["2"]
    found.close()


def test_a_mark_from_before_the_file_was_emptied_hides_nothing(
    segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a machine that lost its power may leave it: records are waited for, the mark is not."""
    monkeypatch.setattr(module, "_TIDY_BYTES", 64)
    segment.append(b"".join(LINES))
    segment.deliver(segment.read().end - 1)
    before = (segment.directory / "delivered").read_bytes()
    segment.deliver(segment.read().end)
    segment.append(LINES[2])
    (segment.directory / "delivered").write_bytes(before)
    found = left_behind(segment)
    assert values(found.read().lines) == ["2"]
    found.close()


def test_only_its_user_can_have_made_what_is_delivered(segment: Segment) -> None:
    segment.directory.chmod(0o770)
    with pytest.raises(PermissionError, match="may be written by other users"):
        left_behind(segment)


def test_a_link_is_no_segment_and_leads_to_no_records(segment: Segment, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(segment.directory)
    with pytest.raises(OSError, match=r"Not a directory|symbolic"):
        Segment.open(tmp_path / "link")
    (segment.directory / "records.jsonl").rename(tmp_path / "elsewhere")
    (segment.directory / "records.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match="link"):
        left_behind(segment)


def test_files_are_its_own(segment: Segment, tmp_path: Path) -> None:
    place = segment.add_file()
    place.write_text("content")
    with segment.open_file(place.name) as file:
        assert file.read() == b"content"
    (tmp_path / "secret").write_text("secret")
    place.with_name("link").symlink_to(tmp_path / "secret")
    os.mkfifo(place.with_name("pipe"))
    for name in ("link", "pipe"):
        with pytest.raises(FileNotFoundError):
            segment.open_file(name)
    segment.remove_file(place.name)
    assert not place.exists()


def test_everything_in_the_spool_is_for_its_user_alone(tmp_path: Path) -> None:
    made = Segment.create(tmp_path / "state" / "spool", "http://hub:5000")
    made.add_file()
    found = [tmp_path / "state" / "spool", made.directory, made.directory / "files"]
    assert [stat.S_IMODE(each.stat().st_mode) for each in found] == [0o700] * 3
    assert stat.S_IMODE((made.directory / "records.jsonl").stat().st_mode) == 0o600
    made.close()


def test_in_a_spool_of_several_users_each_has_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o777)
    made = Segment.create(tmp_path, "http://hub:5000")
    assert made.directory.parent == tmp_path / f"penstock-{os.geteuid()}"
    assert left_directories(tmp_path) == [made.directory]
    made.close()
    (tmp_path / f"penstock-{os.geteuid()}").chmod(0o777)  # as somebody makes it beforehand
    with pytest.raises(PermissionError, match="may be written by other users; PENSTOCK_SPOOL names another"):
        Segment.create(tmp_path, "http://hub:5000")


def test_a_link_of_another_user_is_no_spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "spool").symlink_to(tmp_path)
    made = Segment.create(tmp_path / "spool", "http://hub:5000")
    made.close()
    monkeypatch.setattr(private_directory, "_owner", lambda: 12345)
    monkeypatch.setattr(private_directory, "_ADMINISTRATOR", 12345)
    with pytest.raises(PermissionError, match="link of another user's"):
        Segment.create(tmp_path / "spool", "http://hub:5000")


@pytest.mark.parametrize("content", [b"", b"{}\n", b"[]\n", b'{"penstock_spool":1,"uri":"x"}\n'])
def test_what_is_no_segment_is_said_to_be_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "records.jsonl").write_bytes(content)
    with pytest.raises((ValueError, AttributeError)):
        Segment.open(tmp_path)
