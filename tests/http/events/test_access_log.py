"""The access log: what a line says, that it is sampled, and that no request waits for its writer."""

from __future__ import annotations

import json
import threading
from typing import Any

from penstock.http.events.access_log import AccessLog
from penstock.metrics import Metrics
from support.request_events import TRACE, answered


class Lines:
    """Where a log writes to. While held, writing blocks, as it does on a pipe that nobody reads."""

    def __init__(self) -> None:
        self.text = b""
        self.dropped = 0
        self.entered = threading.Event()
        self.free = threading.Event()
        self.free.set()

    def write(self, lines: bytes) -> None:
        self.entered.set()
        self.free.wait()
        self.text += lines

    def drop(self) -> None:
        self.dropped += 1

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


def test_a_line_has_all_that_is_known_of_a_request() -> None:
    lines = Lines()
    log = AccessLog(lines.write, worker=3)
    log(answered(trace=TRACE))
    log(answered("b", rows=None))
    log.close()
    assert lines.events[0] == {
        "time": "1970-01-01T00:00:01.500+00:00", "level": "info", "logger": "penstock.access", "worker": 3,
        "request_id": "a", "model": "m", "version": "1", "protocol": "invocations", "status": 200, "outcome": "ok",
        "rows": 2, "seconds": 0.5, "decode_seconds": 0.1, "queue_seconds": 0.1, "predict_seconds": 0.1,
        "encode_seconds": 0.1, "received_bytes": 10, "sent_bytes": 20, "client": "10.0.0.1:99", "caller": "shop",
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    }  # fmt: skip
    assert lines.events[1]["rows"] is None
    assert "trace_id" not in lines.events[1]


def test_a_sample_is_a_share_of_all_requests() -> None:
    lines = Lines()
    chances = iter([0.0, 0.009, 0.01, 0.5, 0.999])
    log = AccessLog(lines.write, sample=0.01, chance=lambda: next(chances))
    for number in range(5):
        log(answered(str(number)))
    log.close()
    assert [event["request_id"] for event in lines.events] == ["0", "1"]


def test_a_writer_that_hangs_costs_lines_and_no_time() -> None:
    lines = Lines()
    lines.free.clear()
    log = AccessLog(lines.write, dropped=lines.drop, room=10)
    log(answered("first"))
    assert lines.entered.wait(10)
    for number in range(25):
        log(answered(str(number)))
    assert lines.dropped == 15
    assert "10 lines wait" in repr(log)
    lines.free.set()
    log.close()
    assert [e["request_id"] for e in lines.events] == ["first", *map(str, range(10))]


def test_lines_that_cannot_be_written_are_counted() -> None:
    metrics = Metrics(process=False)

    def write(lines: bytes) -> None:
        raise BrokenPipeError

    log = AccessLog(write, dropped=metrics.log_dropped.inc)
    log(answered())
    log.close()
    assert metrics.registry.get_sample_value("penstock_access_log_dropped_total") == 1
