"""Whoever logs waits for nobody; what he logged arrives, or is kept."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fluent.recording import RecordingTransport
from penstock.fluent.outbox import outbox as module
from penstock.fluent.outbox import writer
from penstock.fluent.outbox.delivery import Delivery
from penstock.fluent.outbox.outbox import Outbox
from penstock.fluent.outbox.pauses import Pauses
from penstock.fluent.outbox.segment import Segment

QUICK = Pauses(first=0.01, longest=0.02, jitter=lambda: 1.0)


class Logger:
    """An outbox with what it stands on."""

    def __init__(self, spool: Path, spool_bytes: int = 1_000_000, pauses: Pauses = QUICK) -> None:
        self.transport = RecordingTransport()
        self.outbox = Outbox(self.transport, lambda: Segment.create(spool, "http://recording"), spool_bytes, pauses)

    def log(self, step: int) -> None:
        self.outbox.put("metrics", "a", ("loss", 0.5, 1, step))

    @property
    def steps(self) -> list[int]:
        return [step for _, step in self.transport.points("a", "loss")]


@pytest.fixture
def logger(tmp_path: Path) -> Iterator[Logger]:
    made = Logger(tmp_path / "spool")
    yield made
    made.transport.away = False
    made.outbox.close(5)


def test_everything_arrives_in_order_and_in_few_calls(logger: Logger, tmp_path: Path) -> None:
    for step in range(5000):
        logger.log(step)
    assert logger.outbox.flush(10)
    assert logger.steps == list(range(5000))
    assert len(logger.transport.calls) < 20
    assert logger.outbox.close(5)
    assert list((tmp_path / "spool").iterdir()) == []


def test_what_is_logged_while_nobody_answers_arrives_later(logger: Logger, caplog: pytest.LogCaptureFixture) -> None:
    logger.transport.away = True
    logger.log(1)
    assert not logger.outbox.flush(10)
    assert logger.outbox.is_failing
    logger.log(2)
    assert not logger.outbox.flush(10, ask_again=False)
    logger.transport.away = False
    assert logger.outbox.flush(10) or logger.outbox.flush(10)
    assert logger.steps == [1, 2]
    warnings = [record.getMessage() for record in caplog.records]
    assert [text.partition(" ")[0] for text in warnings] == ["Nobody", "http://recording"]
    assert str(logger.outbox.spool) in warnings[0]


def test_what_was_never_delivered_is_in_the_spool(tmp_path: Path) -> None:
    logger = Logger(tmp_path / "spool")
    logger.transport.away = True
    for step in range(10):
        logger.log(step)
    assert not logger.outbox.close(10)
    segment = Segment.open(Path(logger.outbox.spool))
    logger.transport.away = False
    assert Delivery(logger.transport, segment).step()
    assert logger.steps == list(range(10))
    segment.close()


def test_while_nobody_answers_an_end_of_a_run_does_not_ask_again(tmp_path: Path) -> None:
    logger = Logger(tmp_path / "spool", pauses=Pauses(first=60, longest=60, jitter=lambda: 1.0))
    logger.transport.away = True
    logger.log(1)
    assert not logger.outbox.flush(10)
    logger.transport.asked.clear()
    logger.log(2)
    assert not logger.outbox.flush(10, ask_again=False)
    assert not logger.transport.asked.is_set()
    assert not logger.outbox.flush(10)
    assert logger.transport.asked.is_set()
    logger.outbox.close(10)


def test_what_has_no_room_is_not_lost_in_silence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_MEMORY_BYTES", 200)
    logger = Logger(tmp_path / "spool", spool_bytes=100)
    logger.transport.away = True
    for step in range(20):
        logger.log(step)
        logger.outbox.flush(10)
    logger.outbox.say_losses()
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert [text.partition(" ")[0] for text in said] == ["What", "16"]
    logger.outbox.say_losses()
    assert len(caplog.records) == 4  # and once that nobody answers, and that the spool is full
    logger.transport.away = False
    logger.outbox.flush(10)
    assert logger.steps == [0, 1, 2, 3]
    logger.outbox.close(5)


def test_a_spool_that_cannot_be_written_holds_up_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "spool").write_text("a file where a directory should be")
    logger = Logger(tmp_path / "spool")
    for step in range(10):
        logger.log(step)
        assert logger.outbox.flush(10)
    assert logger.steps == list(range(10))
    assert logger.outbox.close(5)
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["The spool cannot be written"]


def test_a_queue_that_nobody_empties_holds_up_its_caller_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_MAX_QUEUED", 10)
    monkeypatch.setattr(module, "_FULL_SECONDS", 0.01)
    logger = Logger(tmp_path / "spool")
    with monkeypatch.context() as patched:
        patched.setattr(Outbox, "_keep", lambda outbox: None)
        for step in range(15):
            logger.log(step)
    logger.outbox.say_losses()
    assert caplog.records[-1].getMessage().startswith("5 things that were logged are lost")


def test_what_is_put_after_the_end_is_lost_and_said_so(logger: Logger, caplog: pytest.LogCaptureFixture) -> None:
    logger.outbox.close(5)
    logger.log(1)
    logger.outbox.say_losses()
    assert caplog.records[-1].getMessage().startswith("1 things")


def test_one_who_waits_for_delivery_waits_for_no_pace(logger: Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_GATHER_SECONDS", 60.0)
    monkeypatch.setattr(logger.transport, "pace", 60.0)
    for step in range(3):
        logger.log(step)
        assert logger.outbox.flush(10)
    assert logger.steps == [0, 1, 2]


def test_a_handler_of_signals_may_log_whatever_it_interrupts(logger: Logger) -> None:
    with logger.outbox._lock:
        logger.log(1)
    assert logger.outbox.flush(10)
    assert logger.steps == [1]


def test_what_is_logged_when_no_thread_can_be_started_is_in_the_spool(
    logger: Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a thread that logs on while the interpreter ends."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        logger.log(1)
        logger.log(2)
    assert Path(logger.outbox.spool, "records.jsonl").read_bytes().count(b'"step":') == 2
    logger.log(3)
    assert logger.outbox.flush(10)
    assert logger.steps == [1, 2, 3]


def test_threads_that_log_at_once_lose_nothing(logger: Logger) -> None:
    def log(run_id: str) -> None:
        for step in range(2000):
            logger.outbox.put("metrics", run_id, ("loss", 0.5, 1, step))

    threads = [threading.Thread(target=log, args=(run_id,)) for run_id in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert logger.outbox.flush(10)
    for run_id in "abcd":
        assert [step for _, step in logger.transport.points(run_id, "loss")] == list(range(2000))


def test_a_file_is_as_it_was_when_it_was_logged(logger: Logger, tmp_path: Path) -> None:
    logger.log(1)
    logger.outbox.add_file("a", "notes.txt", lambda place: place.write_bytes(b"first"))
    assert logger.outbox.flush(10)
    assert logger.transport.files == {"at:a/notes.txt": b"first"}


@pytest.mark.parametrize(("failures", "pause"), [(1, 0.25), (2, 0.5), (5, 4.0), (40, 15.0)])
def test_pauses_grow_to_a_limit(failures: int, pause: float) -> None:
    assert Pauses(jitter=lambda: 1.0).after(failures) == pause
    assert Pauses(jitter=lambda: 0.0).after(failures) == pause / 2


def test_a_pause_is_as_long_as_the_server_asked() -> None:
    assert Pauses(jitter=lambda: 1.0).after(1, 7.0) == 7.0
