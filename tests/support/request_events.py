"""Requests that were answered, as observers get them."""

from __future__ import annotations

from typing import Any

from penstock.http.events.request_event import RequestEvent

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def answered(id: str = "a", **given: Any) -> RequestEvent:
    values = {
        "request_id": id, "model": "m", "version": "1", "protocol": "invocations", "status": 200, "outcome": "ok",
        "rows": 2, "ended": 1.5, "seconds": 0.5, "decode": 0.1, "queue": 0.1, "predict": 0.1, "encode": 0.1,
        "received": 10, "sent": 20, "client": "10.0.0.1:99", "caller": "shop", "trace": "", "trace_state": "",
    }  # fmt: skip
    return RequestEvent(**{**values, **given})
