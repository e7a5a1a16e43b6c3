"""What is told of a request once it is answered: to the access log, to tracing. Nothing is made where nobody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import time
from typing import TYPE_CHECKING, Any, TypeAlias

from penstock.http.headers import header
from penstock.server.targets import PROTOCOL
from penstock.serving.servable import Servable

if TYPE_CHECKING:
    from penstock.server.predict.request_record import RequestRecord

# What nginx calls a client that closed the connection before its answer; nobody is ever sent this.
CLIENT_LEFT = 499


@dataclass(frozen=True, slots=True)
class RequestEvent:
    """One request for predictions, answered. Model and version are empty where none answered; `rows` is None where
    none were read. Times are in seconds, `seconds` from the first byte on; `ended` is the time of day, seconds since
    1970. `received` and `sent` are bytes of the bodies; `trace` and `trace_state` are the headers of W3C's Trace
    Context."""

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
    trace: str
    trace_state: str


# Called on the event loop, so it does little and never waits.
OnRequest: TypeAlias = Callable[[RequestEvent], None]


class RequestWatch:
    """What is known of a request beside its call, where somebody is told. `head` is the scope or the part of one that
    `header` needs; `received` is what it says of its body's length, until that is there."""

    __slots__ = ("_client", "_head", "_observe", "received", "rows")

    def __init__(
        self, observe: OnRequest, head: Any, client: tuple[str, int] | None, received: int, rows: int | None = None
    ) -> None:
        self._observe = observe
        self._head = head
        self._client = client
        self.received = received
        self.rows = rows

    def tell(self, call: RequestRecord, outcome: str, now: float, status: int, sent: int) -> None:
        """It is over."""
        model, version = ("", "") if call.servable is None else (call.servable.model, call.servable.version)
        client = f"{self._client[0]}:{self._client[1]}" if self._client else ""
        self._observe(
            RequestEvent(
                call.request_id.decode("latin-1"),
                model,
                version,
                PROTOCOL,
                status,
                outcome,
                self.rows,
                time(),
                now - call.start,
                call.decode,
                call.queue,
                call.predict,
                call.encode,
                self.received,
                sent,
                client,
                *_trace(self._head),
            )
        )


def refused(servable: Servable, id: bytes, head: Any, received: int, sent: int) -> RequestEvent:
    """A refusal that was made from the head alone, before anybody looked at who asks, and in no time."""
    return RequestEvent(
        id.decode("latin-1"),
        servable.model,
        servable.version,
        PROTOCOL,
        429,
        "rejected",
        None,
        time(),
        0.0,
        0.0,
        0.0,
        0.0,
        0.0,
        received,
        sent,
        "",
        *_trace(head),
    )


def _trace(head: Any) -> tuple[str, str]:
    trace, state = header(head, b"traceparent") or b"", header(head, b"tracestate") or b""
    return trace.decode("latin-1"), state.decode("latin-1")


def all_of(observers: Iterable[OnRequest]) -> OnRequest | None:
    """One that tells them all; None where there are none."""
    told = tuple(observers)
    if len(told) < 2:
        return told[0] if told else None

    def observe(answered: RequestEvent) -> None:
        for one in told:
            one(answered)

    return observe


def trace_id_of(trace: str) -> str:
    """The trace id in a `traceparent` header; empty where it is none. Source: https://www.w3.org/TR/trace-context/"""
    parts = trace.split("-")
    good = (
        len(parts) >= 4 and len(parts[1]) == 32 and set(parts[1]) <= set("0123456789abcdef") and set(parts[1]) != {"0"}
    )
    return parts[1] if good else ""
