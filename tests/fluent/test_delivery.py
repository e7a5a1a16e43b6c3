"""A segment is delivered in order; what is refused is named and left out, and nothing is there twice."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fluent.recording import RecordingTransport
from penstock.errors import TrackingRefused, TrackingUnavailable
from penstock.fluent.outbox.delivery import CLIENT_RUN_TAG, Delivery
from penstock.fluent.outbox.entries import LogEntry, lines_of
from penstock.fluent.outbox.segment import Segment


@pytest.fixture
def segment(tmp_path: Path) -> Iterator[Segment]:
    made = Segment.create(tmp_path, "http://hub:5000")
    yield made
    made.close()


def logged(segment: Segment, *entries: LogEntry) -> None:
    segment.append(lines_of(entries))


def point(step: int, key: str = "loss") -> LogEntry:
    return LogEntry("metrics", "a", (key, 0.5, 1, step))


def create(run_id: str = "a", **fields: Any) -> LogEntry:
    return LogEntry("create", run_id, {"experiment_id": "0", "tags": [], **fields})


def test_records_arrive_in_their_order(segment: Segment) -> None:
    transport = RecordingTransport()
    update = LogEntry("call", "a", {"path": "runs/update", "fields": {"status": "FINISHED"}})
    logged(segment, create(), point(1), update)
    delivery = Delivery(transport, segment)
    assert delivery.step()
    assert not delivery.step()
    assert [path for path, _ in transport.calls] == ["runs/create", "runs/log-batch", "runs/update"]
    assert transport.calls[2][1] == {"run_id": "a", "status": "FINISHED"}
    assert segment.waiting == 0


def test_of_a_refused_batch_all_but_what_is_at_fault_arrives(
    segment: Segment, caplog: pytest.LogCaptureFixture
) -> None:
    transport = RecordingTransport()

    def refuse(path: str, fields: Mapping[str, Any]) -> TrackingRefused | None:
        bad = any(each["key"] == "bad!" for each in fields.get("metrics", ()))
        return TrackingRefused("'bad!' is no name.", error_code="INVALID_PARAMETER_VALUE") if bad else None

    transport.refuse = refuse
    logged(segment, *map(point, range(5)), point(5, "bad!"), *map(point, range(6, 20)))
    delivery = Delivery(transport, segment)
    with caplog.at_level(logging.WARNING):
        delivery.step()
    assert [step for _, step in transport.points("a", "loss")] == [*range(5), *range(6, 20)]
    assert [record.getMessage() for record in caplog.records] == [
        "The metric 'bad!' at step 5 of run a was not logged: 'bad!' is no name."
    ]
    assert (delivery.refused, segment.waiting) == (1, 0)


def test_a_run_that_is_gone_is_told_once(segment: Segment, caplog: pytest.LogCaptureFixture) -> None:
    transport = RecordingTransport()
    transport.refuse = lambda path, fields: TrackingRefused("No run.", error_code="RESOURCE_DOES_NOT_EXIST")
    logged(segment, *map(point, range(100)))
    Delivery(transport, segment).step()
    assert [record.getMessage() for record in caplog.records] == [
        "A batch of 100 metrics, params and tags of run a was not logged: No run."
    ]


def test_after_a_failure_it_goes_on_where_it_was(segment: Segment) -> None:
    transport = RecordingTransport()
    logged(segment, create(), point(1))
    delivery = Delivery(transport, segment)
    transport.away = True
    with pytest.raises(TrackingUnavailable):
        delivery.step()
    transport.away = False
    delivery.step()
    assert [path for path, _ in transport.calls] == ["runs/create", "runs/log-batch"]


@pytest.mark.parametrize("takes_run_ids", [True, False])
def test_a_run_that_is_delivered_twice_is_made_once(segment: Segment, takes_run_ids: bool) -> None:
    transport = RecordingTransport(takes_run_ids=takes_run_ids)
    logged(segment, create(), point(1))
    Delivery(transport, segment)._create("a", {"experiment_id": "0", "tags": []})
    segment.run_ids.clear()  # as if the process had ended before it could write that down
    Delivery(transport, segment).step()
    (run_id,) = transport.runs
    assert [fields["run_id"] for path, fields in transport.calls if path == "runs/log-batch"] == [run_id]


def test_a_server_that_chooses_ids_gets_what_follows_under_its_own(segment: Segment) -> None:
    transport = RecordingTransport(takes_run_ids=False)
    child = create("b", tags=[{"key": "mlflow.parentRunId", "value": "a"}])
    logged(segment, create(), child, LogEntry("tags", "b", ("key", "1")))
    Delivery(transport, segment).step()
    assert segment.run_ids == {"a": "theirs-0", "b": "theirs-1"}
    assert transport.calls[2][1]["run_id"] == "theirs-1"
    tags = {tag["key"]: tag["value"] for tag in transport.runs["theirs-1"]["tags"]}
    assert tags == {"mlflow.parentRunId": "theirs-0", CLIENT_RUN_TAG: "b"}


def test_an_experiment_that_was_only_named_is_made(segment: Segment) -> None:
    transport = RecordingTransport()
    missing = [TrackingRefused("None.", error_code="RESOURCE_DOES_NOT_EXIST")]
    transport.refuse = lambda path, fields: missing.pop() if path == "experiments/get-by-name" and missing else None
    transport.post = _making_experiments(transport)  # type: ignore[method-assign]
    logged(segment, LogEntry("create", "a", {"experiment_name": "new", "tags": []}))
    Delivery(transport, segment).step()
    assert transport.runs["a"]["experiment_id"] == "8"


def _making_experiments(transport: RecordingTransport) -> Any:
    post = transport.post
    return lambda path, fields: {"experiment_id": "8"} if path == "experiments/create" else post(path, fields)


def test_a_file_arrives_and_leaves_the_spool(segment: Segment) -> None:
    transport = RecordingTransport()
    place = segment.add_file()
    place.write_bytes(b"content")
    logged(segment, LogEntry("file", "a", {"path": "plots/a.png", "name": place.name}))
    Delivery(transport, segment).step()
    assert transport.files == {"at:a/plots/a.png": b"content"}
    assert not place.exists()


def test_a_file_that_the_spool_lost_does_not_stop_the_rest(segment: Segment, caplog: pytest.LogCaptureFixture) -> None:
    transport = RecordingTransport()
    logged(segment, LogEntry("file", "a", {"path": "plots/a.png", "name": "gone"}), point(1))
    Delivery(transport, segment).step()
    assert transport.points("a", "loss") == [(0.5, 1)]
    assert "The file 'a.png' of run a was not logged" in caplog.text
