"""uvicorn's HTTP protocol, with bounds on what a client may do that is no request yet.

The bodies of requests, and how long they take, are bounded where they are read; this is for the rest: heads without an
end, heads that never come, requests sent ahead by the thousand, and connections on which nothing happens.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from penstock.server.refusals import Refusals

# Bytes of a request's line and headers; more than one chunk of the socket's beyond it is never held.
MAX_HEAD_BYTES = 64 * 1024

# Requests that a connection may have sent ahead of the one that is being answered.
MAX_AHEAD = 64

# Seconds between two sweeps, for a head to be complete, and for the rest of a body whose answer is out already.
SWEEP_EVERY = 5.0
HEAD_SECONDS = 15.0
REST_SECONDS = 30.0

_TOO_LONG = b"Request headers may have 65536 bytes."


# Where a request's scope has its Exchange. To be taken out of there: it leads back to the scope, and such circles are
# left to the garbage collector, which stops everything for them.
EXCHANGE = "penstock.exchange"


class Exchange:
    """What the protocol offers for one request beside ASGI: an answer in one write, and word of a client that leaves
    without a task that listens for it. `left` is called then, if it is set."""

    __slots__ = ("_cycle", "left")

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle
        self.left: Callable[[], None] | None = None

    @property
    def disconnected(self) -> bool:
        return self._cycle.disconnected

    def answer(self, head: bytes, body: bytes) -> bool:
        """Writes a whole answer at once, where `send` looks at every header and writes twice. `head` is what follows
        the status line 200, line by line. False where the answer must go the usual way."""
        cycle = self._cycle
        if cycle.response_started or cycle.flow.write_paused or not cycle.keep_alive:
            return False
        if cycle.disconnected or cycle.transport.is_closing():
            return True
        cycle.response_started = cycle.response_complete = True
        cycle.transport.write(b"HTTP/1.1 200 OK\r\n%b%b\r\n%b" % (_lines(cycle.default_headers), head, body))
        cycle.message_event.set()
        cycle.on_response()
        return True


# uvicorn makes its own headers (the date) anew every second: those lines, and the list that they were made of.
_made: tuple[object, bytes] = (None, b"")


def _lines(headers: list[tuple[bytes, bytes]]) -> bytes:
    global _made
    if _made[0] is not headers:
        _made = (headers, b"".join(b"%b: %b\r\n" % pair for pair in headers))
    return _made[1]


class Stage(IntEnum):
    """What of a request has come last."""

    NOTHING = 0
    HEAD = 1
    BODY = 2


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._refusals: Refusals | None = getattr(self.config.loaded_app, "refusals", None)
        # The mutable state beside uvicorn's: what is coming, the bytes of its head, sweeps since anything began;
        # whether what comes is thrown away, since its answer is out; the last request's exchange.
        self.stage = Stage.NOTHING
        self._head_bytes = 0
        self._sweeps = 0
        self._passing = False
        self._exchange: Exchange | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        exchange, self._exchange = self._exchange, None
        if exchange is not None and exchange.left is not None:
            exchange.left()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.stage is _HEAD:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self._refuse_head()

    def _refuse_head(self) -> None:
        self.transport.write(
            b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain\r\nconnection: close\r\n"
            b"content-length: %d\r\n\r\n%s" % (len(_TOO_LONG), _TOO_LONG)
        )
        self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.stage = _HEAD
        self._head_bytes = self._sweeps = 0

    def on_headers_complete(self) -> None:
        if self._refusals is not None and self._refusals.alerted and self._refuse(self._refusals):
            self.stage = _BODY
            return
        before = self.cycle
        super().on_headers_complete()
        # One that was sent ahead of its predecessor's answer goes the usual way.
        if self.cycle is not before and (before is None or before.response_complete):
            self._exchange = Exchange(self.cycle)
            cast(dict[str, Any], self.scope)[EXCHANGE] = self._exchange
        self.stage = _BODY
        if len(self.pipeline) > MAX_AHEAD:
            raise ValueError("too many requests sent ahead")  # the parser stops, and uvicorn closes the connection

    def on_body(self, body: bytes) -> None:
        if not self._passing:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._passing:
            self._passing = False
            self.on_response_complete()
        else:
            super().on_message_complete()
        self.stage = _NOTHING
        self._sweeps = 0

    def _refuse(self, refusals: Refusals) -> bool:
        """Answers a request that there is no room for; False for the usual way."""
        answering = self.cycle is not None and not self.cycle.response_complete
        parser = self.parser
        if answering or self.pipeline or parser.get_method() != b"POST" or not parser.should_keep_alive():
            return False
        answer = refusals.refuse(self.url, self.headers)
        if answer is None:
            return False
        if not self.transport.is_closing():
            self.transport.write(
                b"HTTP/1.1 429 Too Many Requests\r\n" + _lines(self.server_state.default_headers) + answer
            )
        self._passing = True
        return True

    def sweep(self) -> None:
        """Called every SWEEP_EVERY seconds: closes a connection that has kept everybody waiting for too long. One that
        waits for an answer is none of them, and for one kept open after an answer uvicorn has a timer."""
        answering = self.cycle is not None and not self.cycle.response_complete
        if (answering and self.stage is not _HEAD) or self.timeout_keep_alive_task is not None:
            return
        self._sweeps += 1
        if self._sweeps * SWEEP_EVERY > self._patience():
            self.transport.close()

    def _patience(self) -> float:
        if self.stage is _HEAD:
            return HEAD_SECONDS
        return REST_SECONDS if self.stage is _BODY else float(self.timeout_keep_alive)


# An enum's member is looked up by name at every use; these are found at once.
_NOTHING, _HEAD, _BODY = Stage.NOTHING, Stage.HEAD, Stage.BODY
