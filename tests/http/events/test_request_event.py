"""Observers of requests, and the trace that a caller sends."""

from __future__ import annotations

import pytest

from penstock.http.events.request_event import all_of, trace_id_of
from support.request_events import answered


def test_every_observer_gets_the_event() -> None:
    told: list[str] = []
    assert all_of([]) is None
    alone = all_of([lambda a: told.append("one")])
    both = all_of([lambda a: told.append("one"), lambda a: told.append("other")])
    assert alone is not None
    assert both is not None
    alone(answered())
    both(answered())
    assert told == ["one", "one", "other"]


@pytest.mark.parametrize("trace", ["", "x", "00-abc-def-01", f"00-{'0' * 32}-00f067aa0ba902b7-01", "00-" + "G" * 32])
def test_a_trace_header_that_is_malformed_has_no_id(trace: str) -> None:
    assert trace_id_of(trace) == ""
