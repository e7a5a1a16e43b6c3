"""The record of an answered request for the access log and tracing. It is only made if one of them is on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

# What nginx calls a client that closed the connection before its answer; nobody is ever sent this.
CLIENT_LEFT = 499


class LoggedEvent(Protocol):
    """What the access log has a line for. `ended` is seconds since 1970."""

    @property
    def ended(self) -> float: ...

    def fields(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class RequestEvent:
    """One request for predictions, answered. Model and version are empty where none answered; `rows` is None where
    none were read. Times are in seconds, `seconds` from the first byte on; `ended` is the time of day, seconds since
    1970. `received` and `sent` are bytes of the bodies; `caller` is the name of the token that was shown, never
    the token; `trace` and `trace_state` are the headers of W3C's Trace Context."""

    request_id: str
    model: str
    version: str
    protocol: str
    status: int
    outcome: str
    rows: int | None
    ended: float
    seconds: float
    decode: float
    queue: float
    predict: float
    encode: float
    received: int
    sent: int
    client: str
    caller: str
    trace: str
    trace_state: str

    def fields(self) -> dict[str, Any]:
        """What the access log writes of it."""
        fields: dict[str, Any] = {
            "request_id": self.request_id,
            "model": self.model,
            "version": self.version,
            "protocol": self.protocol,
            "status": self.status,
            "outcome": self.outcome,
            "rows": self.rows,
            "seconds": round(self.seconds, 6),
            "decode_seconds": round(self.decode, 6),
            "queue_seconds": round(self.queue, 6),
            "predict_seconds": round(self.predict, 6),
            "encode_seconds": round(self.encode, 6),
            "received_bytes": self.received,
            "sent_bytes": self.sent,
            "client": self.client,
            "caller": self.caller,
        }
        if trace := trace_id_of(self.trace):
            fields["trace_id"] = trace
        return fields


# Called on the event loop, so it does little and never waits.
OnRequest: TypeAlias = Callable[[RequestEvent], None]


def all_of(observers: Iterable[OnRequest]) -> OnRequest | None:
    """One observer that calls all of them; None where there are none."""
    each = tuple(observers)
    if len(each) < 2:
        return each[0] if each else None

    def observe(event: RequestEvent) -> None:
        for observer in each:
            observer(event)

    return observe


def trace_id_of(trace: str) -> str:
    """The trace id in a `traceparent` header; empty where it is none. Source: https://www.w3.org/TR/trace-context/"""
    parts = trace.split("-")
    good = (
        len(parts) >= 4 and len(parts[1]) == 32 and set(parts[1]) <= set("0123456789abcdef") and set(parts[1]) != {"0"}
    )
    return parts[1] if good else ""
