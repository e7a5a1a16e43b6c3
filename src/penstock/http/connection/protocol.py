"""uvicorn's HTTP protocol, with bounds on what a client may do that is no request yet.

The bodies of requests, and how long they take, are bounded where they are read; this is for the rest: heads without an
end, heads that never come, requests sent ahead by the thousand, and connections on which nothing happens.

It also goes on in HTTP/1.1 where a client offers another protocol, as HTTP/2 (`Upgrade: h2c`): the parser ends there.
"""

from __future__ import annotations

from enum import IntEnum
from time import perf_counter
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from penstock.server.connection.fast_path import FastCycle, FastPath, PendingRequest
from penstock.server.connection.load_shedder import LoadShedder

# Bytes of a request's line and headers; more than one chunk of the socket's beyond it is never held.
MAX_HEAD_BYTES = 64 * 1024

# Requests that a connection may have sent ahead of the one that is being answered.
MAX_AHEAD = 64

# Seconds between two sweeps, for a head to be complete, and for the rest of a body whose answer is out already.
SWEEP_EVERY = 5.0
HEAD_SECONDS = 15.0
REST_SECONDS = 30.0

_TOO_LONG = b"Request headers may have 65536 bytes."
_NO_TUNNEL = b"This server opens no tunnels; send requests to it directly."


# uvicorn makes its own headers (the date) anew every second: those lines, and the list that they were made of.
_made: tuple[object, bytes] = (None, b"")


def _lines(headers: list[tuple[bytes, bytes]]) -> bytes:
    global _made
    if _made[0] is not headers:
        _made = (headers, b"".join(b"%b: %b\r\n" % pair for pair in headers))
    return _made[1]


class ConnectionStage(IntEnum):
    """What of a request has come last."""

    NOTHING = 0
    HEAD = 1
    BODY = 2


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._refusals: LoadShedder | None = getattr(self.config.loaded_app, "refusals", None)
        self._straight: FastPath | None = getattr(self.config.loaded_app, "straight", None)
        # The mutable state beside uvicorn's: what is coming, the bytes of its head, sweeps since anything began;
        # whether what comes is thrown away, since its answer is out; the request whose body decides which way it goes,
        # and the one that went straight.
        self.stage = ConnectionStage.NOTHING
        self._head_bytes = 0
        self._sweeps = 0
        self._passing = False
        self._held: PendingRequest | None = None
        self._exchange: FastCycle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._held = None
        self.abandon()

    def abandon(self) -> None:
        """Nobody waits any more for the answer of a request that went straight."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.leave()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self._parse(data)
        except HttpParserError:
            self.logger.warning("Invalid HTTP request received.")
            self.send_400_response("Invalid HTTP request received.")
        if self._held is not None and self._straight is not None:
            self._straight.rounds.add(self, perf_counter())
        if self.stage is _HEAD:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self._refuse_head(b"431 Request Header Fields Too Large", _TOO_LONG)

    def _parse(self, data: bytes | memoryview) -> None:
        while not self.transport.is_closing():
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade as offer:
                self._decline()
                data = memoryview(data)[offer.args[0] :]
            else:
                return

    def _decline(self) -> None:
        """Goes on in HTTP where another protocol is offered, as anyone may (RFC 9110, 7.8). The parser takes what comes
        after the head for that protocol's, the body of the request, too: so a new one reads the request once more, as
        it is without the offer."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse_head(b"501 Not Implemented", _NO_TUNNEL)
            return
        first = b"%b %b HTTP/%b\r\n" % (method, self.url, self.parser.get_http_version().encode())
        lines = b"".join(b"%b: %b\r\n" % pair for pair in self.headers if pair[0] != b"upgrade")
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
        self.parser.feed_data(b"%b%b\r\n" % (first, lines))

    def _refuse_head(self, status: bytes, reason: bytes) -> None:
        self.transport.write(
            b"HTTP/1.1 %b\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"
            % (status, len(reason), reason)
        )
        self.transport.close()

    def on_message_begin(self) -> None:
        # uvicorn's part is done when it is known that it is needed.
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        self.stage = _HEAD
        self._head_bytes = self._sweeps = 0

    def on_headers_complete(self) -> None:
        self.stage = _BODY
        if self._refusals is not None and self._refusals.alerted and self._refuse(self._refusals):
            return
        if self._straight is not None and self._is_next_post():
            self._held = self._straight.hold(self.url, self.headers)
        # One with an offer is never held, and comes again without it.
        if self._held is None and not self.parser.should_upgrade():
            self._go_usual_way()

    def _is_next_post(self) -> bool:
        """Whether this is a POST with nothing before it on a connection that lives on."""
        free = (self.cycle is None or self.cycle.response_complete) and not self.flow.write_paused
        parser = self.parser
        return (
            free
            and parser.get_method() == b"POST"
            and parser.should_keep_alive()
            and parser.get_http_version() == "1.1"
        )

    def _go_usual_way(self) -> None:
        """Hands a request to uvicorn as soon as its head is there, with as much of its body as has come."""
        held, self._held = self._held, None
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.headers, self.expect_100_continue = url, headers, expects
        self.scope["headers"] = headers
        super().on_headers_complete()
        if len(self.pipeline) > MAX_AHEAD:
            raise ValueError("too many requests sent ahead")  # the parser stops, and uvicorn closes the connection
        if held is not None and held.body:
            super().on_body(held.body)

    def wake(self) -> None:
        """A body that takes its time is the usual way's."""
        if self._held is not None:
            if self._straight is not None:
                self._straight.give_up()
            self._go_usual_way()

    def on_body(self, body: bytes) -> None:
        if self._held is not None:
            self._held.body += body
        elif not self._passing:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self.stage = _NOTHING
        self._sweeps = 0
        if self._held is not None and self._straight is not None:
            exchange = self._straight.begin(self._held, self)
            if exchange is not None:
                self._held = None
                self.cycle = self._exchange = exchange  # type: ignore[assignment]
                return
            self._go_usual_way()
        if self._passing:
            self._passing = False
            self.on_response_complete()
        elif not self.parser.should_upgrade():
            super().on_message_complete()

    def answer(self, status: int, lines: bytes, content: bytes, *, keep_alive: bool) -> None:
        """Ends an exchange: writes its answer, if anybody is there, and goes on to the next request."""
        self._exchange = None
        if not self.transport.is_closing():
            last = b"" if keep_alive else b"connection: close\r\n"
            made = _lines(self.server_state.default_headers)
            self.transport.write(b"%b%b%b%b\r\n%b" % (STATUS_LINE[status], made, lines, last, content))
            if not keep_alive:
                self.transport.close()
        self.on_response_complete()

    def shutdown(self) -> None:
        self.wake()
        super().shutdown()

    def _refuse(self, refusals: LoadShedder) -> bool:
        """Answers a request that there is no room for; False for the usual way."""
        answering = self.cycle is not None and not self.cycle.response_complete
        parser = self.parser
        if answering or self.pipeline or parser.get_method() != b"POST" or not parser.should_keep_alive():
            return False
        if parser.should_upgrade():
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
_NOTHING, _HEAD, _BODY = ConnectionStage.NOTHING, ConnectionStage.HEAD, ConnectionStage.BODY
