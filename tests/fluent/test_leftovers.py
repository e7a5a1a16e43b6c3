"""What a program left in the spool is delivered by the next one that starts a run at the same place."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fluent.recording import RecordingTransport
from penstock import tracking
from penstock.errors import TrackingUnavailable
from penstock.fluent import session as sessions
from penstock.fluent.outbox.entries import LogEntry, lines_of
from penstock.fluent.outbox.leftovers import BackgroundDelivery
from penstock.fluent.outbox.segment import Segment

PLACE = "http://hub:5000"


@pytest.fixture
def transport(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordingTransport]:
    monkeypatch.setenv("PENSTOCK_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setenv("PENSTOCK_TRACKING_URI", PLACE)
    monkeypatch.setattr(sessions, "_session", sessions.Session())
    made = RecordingTransport()
    monkeypatch.setattr(sessions, "open_transport", lambda settings: made)
    yield made
    while tracking.active_run() is not None:
        tracking.end_run()
    sessions.current_session().close()


def left(spool: Path, place: str = PLACE) -> Path:
    """As a program leaves it that is killed."""
    segment = Segment.create(spool, place)
    segment.append(lines_of([LogEntry("tags", "old", ("state", "before"))]))
    segment.forget()
    return segment.directory


def tags_of(transport: RecordingTransport, run_id: str) -> list[str]:
    return [
        tag["value"]
        for path, fields in transport.calls
        if path == "runs/log-batch" and fields["run_id"] == run_id
        for tag in fields.get("tags", ())
    ]


def test_a_run_that_starts_delivers_what_is_left(transport: RecordingTransport, tmp_path: Path) -> None:
    here, elsewhere = left(tmp_path / "spool"), left(tmp_path / "spool", "http://elsewhere")
    with tracking.start_run():
        sessions.current_session().destination().leftovers.wait(10)
    assert tags_of(transport, "old") == ["before"]
    assert (here.exists(), elsewhere.exists()) == (False, True)


def test_a_run_that_is_gone_on_with_gets_first_what_it_was_given_first(
    transport: RecordingTransport, tmp_path: Path
) -> None:
    left(tmp_path / "spool")
    with tracking.start_run(run_id="old"):
        tracking.set_tag("state", "after")
    assert tags_of(transport, "old") == ["before", "after"]


def test_a_server_that_is_away_leaves_it_for_the_next_start(transport: RecordingTransport, tmp_path: Path) -> None:
    left(tmp_path / "spool")
    delivery = BackgroundDelivery(transport, str(tmp_path / "spool"), PLACE)
    transport.away = True
    delivery.start()
    delivery.wait(10)
    assert tags_of(transport, "old") == []
    transport.away = False
    delivery.start()
    delivery.wait(10)
    assert tags_of(transport, "old") == ["before"]


def test_a_server_that_stopped_answering_holds_up_no_end(
    transport: RecordingTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_STOP_SECONDS", 0.01)
    transport.away = True
    with tracking.start_run():
        tracking.log_metric("loss", 1)
    answers = threading.Event()
    monkeypatch.setattr(transport, "post", lambda path, fields: answers.wait(60))
    outbox = sessions.current_session().destination().outbox
    begun = time.monotonic()
    sessions.current_session().close()
    assert time.monotonic() - begun < 10
    answers.set()
    outbox.close(10)


def test_a_file_for_which_the_disk_has_no_room_ends_no_training(
    transport: RecordingTransport, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(segment: Segment) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Segment, "add_file", full)
    with tracking.start_run() as run:
        tracking.log_text("words", "a.txt")
        tracking.log_metric("loss", 1, step=1)
    assert transport.points(run.info.run_id, "loss") == [(1.0, 1)]
    said = [record.getMessage() for record in caplog.records]
    assert "The file 'a.txt' of run" in said[0]
    assert said[-1].startswith("1 things that were logged are lost")


@pytest.mark.parametrize("said", [{}, {"run": [1], "experiment": {}}, {"run": {"info": {"run_id": "a"}}}])
def test_a_server_that_answers_something_else_ends_no_training(
    transport: RecordingTransport, monkeypatch: pytest.MonkeyPatch, said: dict[str, object]
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "new")
    monkeypatch.setattr(transport, "post", lambda path, fields: said)
    monkeypatch.setattr(transport, "get", lambda path, fields: said)
    with tracking.start_run() as run:
        assert run.info.run_id
    with tracking.start_run(run_id="old"):
        tracking.log_metric("loss", 1)
    with pytest.raises(TrackingUnavailable, match="not as a tracking server does"):
        tracking.get_run("old")


def test_at_the_end_of_a_program_nothing_is_begun(transport: RecordingTransport, tmp_path: Path) -> None:
    left(tmp_path / "spool")
    delivery = BackgroundDelivery(transport, str(tmp_path / "spool"), PLACE)
    delivery.close(1)
    delivery.start()
    delivery.wait(1)
    assert transport.calls == []
