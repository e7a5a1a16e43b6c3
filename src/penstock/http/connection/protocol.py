"""uvicorn's HTTP protocol, with bounds on what a client may send before it is a request.

The bodies of requests, and how long they take, are bounded where they are read. Bounded here are heads without an end,
heads that never come, requests sent ahead by the thousand, and connections on which nothing happens. What a head must
not say is refused by `http.headers.head_fault`.

Where a client offers another protocol, as HTTP/2 (`Upgrade: h2c`), the parser stops; it continues in HTTP/1.1.
"""

from __future__ import annotations

from asyncio import TimerHandle
from collections.abc import Callable
from enum import IntEnum
from functools import partial
from time import perf_counter
from typing import Any, NoReturn
from weakref import ref

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from penstock.http.connection.file_limit import NO_ROOM, FileLimit
from penstock.http.connection.interface import OpenCycle, PendingBody, Shedder, Shortcuts
from penstock.http.connection.raw_transfer import CYCLE
from penstock.http.errors import CLOSE, ErrorAnswer
from penstock.http.headers import head_fault, header_lines

# Bytes of a request's line and headers; more than one chunk of the socket's beyond it is never held.
MAX_HEAD_BYTES = 64 * 1024

# Requests that a connection may have sent ahead of the one that is being answered.
MAX_AHEAD = 64

# Seconds between two sweeps, for a head to be complete, and for the rest of a body that is answered already.
SWEEP_EVERY = 5.0
HEAD_SECONDS = 15.0
REST_SECONDS = 30.0

# A client that shuts its sending side may still wait for its answer. One that has left altogether looks the same, and
# must not cost much: both are given so many seconds more.
HALF_CLOSED_SECONDS = 2.0

# How long a connection that is refused stays open.
REFUSED_SECONDS = 0.5

_HEAD_TOO_LONG = ErrorAnswer(431, b"Request headers may have 65536 bytes.", (CLOSE,), b"text/plain")
_NO_TUNNEL = ErrorAnswer(501, b"This server opens no tunnels; send requests to it directly.", (CLOSE,), b"text/plain")
_SHED_STATUS = ErrorAnswer(429, b"").status_line


class ServerLines:
    """The headers that uvicorn adds to every answer (the date) as lines, made again when uvicorn makes its list again,
    which is once a second. One for all connections of a server."""

    def __init__(self) -> None:
        # The whole mutable state: the list that the lines were made of, and the lines.
        self._headers: object = None
        self._lines = b""

    def of(self, headers: list[tuple[bytes, bytes]]) -> bytes:
        if self._headers is not headers:
            self._headers, self._lines = headers, header_lines(headers)
        return self._lines


class ConnectionStage(IntEnum):
    """Which part of a request came last."""

    NOTHING = 0
    HEAD = 1
    BODY = 2


class BoundedProtocol(HttpToolsProtocol):
    """One connection. Those of a server share its shortcuts and the lines that it adds to answers."""

    def __init__(
        self, *args: Any, shortcuts: Shortcuts, lines: ServerLines, files: FileLimit | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._files = files
        self._load_shedder = shortcuts.load_shedder
        self._fast_path = shortcuts.fast_path
        self._sweep = shortcuts.sweep
        self._lines = lines
        # The mutable state beside uvicorn's: what is coming, the bytes of its head, sweeps since anything began;
        # whether the rest of a body is discarded, since its answer is sent; the request whose body decides its path,
        # and the one that is on the fast path; the bytes that came last, and the end of a half-closed connection;
        # whether there was no room for it, and whether nothing more is read, since too much was sent ahead.
        self.stage = ConnectionStage.NOTHING
        self._head_bytes = 0
        self._arrived = 0
        self._half_closed: TimerHandle | None = None
        self._sweeps = 0
        self._discarding = False
        self._pending: PendingBody | None = None
        self._fast_cycle: OpenCycle | None = None
        self._refused = False
        self._ahead_full = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if self._files is None or not self._files.refuses(file := transport.get_extra_info("socket").fileno()):
            return
        self._refused = True
        self.transport.write(NO_ROOM.raw())
        if self._files.may_stay(file):
            # A moment for the client to have sent what it wants: what nobody reads would take the answer with it.
            self.loop.call_later(REFUSED_SECONDS, self.transport.close)
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._half_closed is not None:
            self._half_closed.cancel()
        self._pending = None
        self.abandon()

    def abandon(self) -> None:
        """Nobody waits any more for the answer of a request on the fast path."""
        cycle, self._fast_cycle = self._fast_cycle, None
        if cycle is not None:
            cycle.leave()

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client has shut its sending side: a request that came whole is answered, if that is soon."""
        if self.cycle is None or self.cycle.response_complete or self.stage is not _NOTHING:
            return False
        self.cycle.keep_alive = False
        self._half_closed = self.loop.call_later(HALF_CLOSED_SECONDS, self.transport.close)
        return True

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self.transport.close()
            return
        if self._ahead_full:
            return
        self._unset_keepalive_if_required()
        self._arrived = len(data)
        try:
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade as offer:
                self._decline_upgrades(data, offer)
        except HttpParserError:
            if self.transport.is_closing() or self._ahead_full:
                return
            self.logger.warning("Invalid HTTP request received.")
            self.send_400_response("Invalid HTTP request received.")
        if self._pending is not None:
            self._sweep.add(self, perf_counter())
        if self.stage is _HEAD:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self._refuse_head(_HEAD_TOO_LONG)

    def _decline_upgrades(self, data: bytes | memoryview, offer: HttpParserUpgrade) -> None:
        """Goes on with the data after the head that offers another protocol, and after each further one."""
        while True:
            self._decline_upgrade()
            data = memoryview(data)[offer.args[0] :]
            if self.transport.is_closing():
                return
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade as another:
                offer = another
            else:
                return

    def _decline_upgrade(self) -> None:
        """Goes on in HTTP where another protocol is offered, as anyone may (RFC 9110, 7.8). The parser takes what comes
        after the head for that protocol's, the body of the request, too: so a new one reads the request once more, as
        it is without the offer."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse_head(_NO_TUNNEL)
            return
        first = b"%b %b HTTP/%b\r\n" % (method, self.url, self.parser.get_http_version().encode())
        lines = b"".join(b"%b: %b\r\n" % pair for pair in self.headers if pair[0] != b"upgrade")
        self._parse_anew()
        self.parser.feed_data(b"%b%b\r\n" % (first, lines))

    def _parse_anew(self) -> None:
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own

    def body_was_taken(self) -> None:
        """Somebody has read the body of the request from the socket: the next byte begins the next request."""
        self._parse_anew()
        self.stage = _NOTHING
        self._sweeps = 0
        self.cycle.more_body = False

    def _refuse_head(self, answer: ErrorAnswer) -> None:
        self.transport.write(answer.raw())
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
        if self._head_bytes + self._arrived > MAX_HEAD_BYTES and self._head_length() > MAX_HEAD_BYTES:
            self._refuse_and_stop(_HEAD_TOO_LONG)
        if (fault := head_fault(self.headers, self.parser.get_http_version())) is not None:
            self._refuse_and_stop(ErrorAnswer(fault.status, fault.text, (CLOSE,), b"text/plain"))
        if self._load_shedder is not None and self._load_shedder.alerted and self._shed(self._load_shedder):
            return
        if self._fast_path is not None and self._is_next_post():
            self._pending = self._fast_path.hold(self.url, self.headers)
        # One that offers another protocol is never held, and comes again without the offer.
        if self._pending is None and not self.parser.should_upgrade():
            self._take_slow_path()

    def _head_length(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _refuse_and_stop(self, answer: ErrorAnswer) -> NoReturn:
        """Refuses a head that is complete. The parser stops, so that nothing that follows is taken for its body."""
        self._refuse_head(answer)
        raise ValueError("the request is refused")

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

    def _take_slow_path(self) -> None:
        """Hands a request to uvicorn as soon as its head is there, with as much of its body as has come."""
        pending, self._pending = self._pending, None
        if len(self.pipeline) >= MAX_AHEAD:
            # What came before is answered, and the connection ends with it: the client asks for the rest again.
            self.pipeline[0][0].keep_alive = False
            self._ahead_full = True
            raise ValueError("too many requests sent ahead")
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.headers, self.expect_100_continue = url, headers, expects
        self.scope["headers"] = headers
        super().on_headers_complete()
        self.scope[CYCLE] = ref(self.cycle)  # type: ignore[literal-required]
        if pending is not None and pending.body:
            super().on_body(pending.body)

    def wake(self) -> None:
        """A body that takes its time is for the slow path."""
        if self._pending is not None:
            if self._fast_path is not None:
                self._fast_path.give_up()
            self._take_slow_path()

    def on_body(self, body: bytes) -> None:
        if self._pending is not None:
            self._pending.body += body
        elif not self._discarding:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self.stage = _NOTHING
        self._sweeps = 0
        if self._pending is not None and self._fast_path is not None:
            cycle = self._fast_path.begin(self._pending, self)
            if cycle is not None:
                self._pending = None
                self.cycle = self._fast_cycle = cycle  # type: ignore[assignment]
                return
            self._take_slow_path()
        if self._discarding:
            self._discarding = False
            self.on_response_complete()
        elif not self.parser.should_upgrade():
            super().on_message_complete()

    def answer(self, status: int, lines: bytes, content: bytes, *, keep_alive: bool) -> None:
        """Ends a cycle of the fast path: writes its answer, if anybody is there, and goes on to the next request."""
        self._fast_cycle = None
        if not self.transport.is_closing():
            last = b"" if keep_alive else b"connection: close\r\n"
            own = self._lines.of(self.server_state.default_headers)
            self.transport.write(b"%b%b%b%b\r\n%b" % (STATUS_LINE[status], own, lines, last, content))
            if not keep_alive:
                self.transport.close()
        self.on_response_complete()

    def shutdown(self) -> None:
        self.wake()
        super().shutdown()

    def _shed(self, load_shedder: Shedder) -> bool:
        """Refuses a request that there is no room for; False for the slow path."""
        answering = self.cycle is not None and not self.cycle.response_complete
        parser = self.parser
        if answering or self.pipeline or parser.get_method() != b"POST" or not parser.should_keep_alive():
            return False
        if parser.should_upgrade():
            return False
        answer = load_shedder.refuse(self.url, self.headers)
        if answer is None:
            return False
        if not self.transport.is_closing():
            self.transport.write(_SHED_STATUS + self._lines.of(self.server_state.default_headers) + answer)
        self._discarding = True
        return True

    def sweep(self) -> None:
        """Called every SWEEP_EVERY seconds: closes a connection whose client has sent nothing for too long. A client
        that waits for its answer is not one of those, and uvicorn has a timer for connections kept open after one."""
        answering = self.cycle is not None and not self.cycle.response_complete
        if (answering and self.stage is not _HEAD) or self.timeout_keep_alive_task is not None:
            return
        self._sweeps += 1
        if self._sweeps * SWEEP_EVERY > self._timeout():
            self.transport.close()

    def _timeout(self) -> float:
        if self.stage is _HEAD:
            return HEAD_SECONDS
        return REST_SECONDS if self.stage is _BODY else float(self.timeout_keep_alive)


def connections_of(shortcuts: Shortcuts) -> Callable[..., BoundedProtocol]:
    """What makes a server's connections, as uvicorn asks for them."""
    return partial(BoundedProtocol, shortcuts=shortcuts, lines=ServerLines(), files=FileLimit())


# An enum's member is looked up by name at every use; these are found at once.
_NOTHING, _HEAD, _BODY = ConnectionStage.NOTHING, ConnectionStage.HEAD, ConnectionStage.BODY
