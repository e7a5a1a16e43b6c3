"""Predictions straight from the HTTP protocol: a small request is read at its last byte, and answered in the moment the
model has the answer. No scope, no task, no coroutine, which are half of what a request costs.

A short cut: what it does not take goes the usual way, and is answered there in the same words.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import perf_counter

from penstock.http.authorizer import Authorizer
from penstock.http.connection.interface import ClientConnection
from penstock.http.deadlines import LISTEN_AFTER, DeadlineSweep, timeout_of, too_late
from penstock.http.events.request_event import CLIENT_LEFT, OnRequest, RequestWatch
from penstock.http.headers import Head, any_header, declared_length, header, media_type
from penstock.server.predict.request_record import RequestRecord, answer_media, failure_of
from penstock.server.targets import invocation_target, request_id
from penstock.serving.batching.admission import InflightHold
from penstock.serving.batching.replies import Answer
from penstock.serving.gateway import Gateway
from penstock.serving.servable import Lease
from penstock.wire.formats import READERS, encode

# The largest body that is taken, in bytes. Reading a larger one is work beside which a task is nothing.
MAX_FAST_BYTES = 64 * 1024

# Headers that make a request a case for the usual way.
_UNUSUAL = frozenset({b"content-encoding", b"expect", b"transfer-encoding", b"upgrade"})


@dataclass(slots=True)
class PendingRequest:
    """A request whose head is there, since `start`, and whose body is coming."""

    start: float
    head: Head
    target: dict[str, str]
    body: bytes = b""


class FastPath:
    """`timeout` is the seconds that callers wait who do not say."""

    def __init__(
        self,
        gateway: Gateway,
        rounds: DeadlineSweep,
        access: Authorizer,
        *,
        timeout: float,
        max_body_bytes: int,
        nan_words: bool = False,
        observe: OnRequest | None = None,
    ) -> None:
        self._rounds = rounds
        self._gateway = gateway
        self._timeout = timeout
        self._most_bytes = min(MAX_FAST_BYTES, max_body_bytes)
        self._nan_words = nan_words
        self._access = access
        self._observe = observe
        self._unserved = gateway.metrics.version("", "")

    def hold(self, url: bytes, headers: list[tuple[bytes, bytes]]) -> PendingRequest | None:
        """A POST that may go this way once its body is there; None for the usual way."""
        head: Head = {"headers": headers}
        length = declared_length(head)
        if not 0 < length <= self._most_bytes or b"%" in url:
            return None
        if any_header(head, _UNUSUAL):
            return None
        target = invocation_target(url.partition(b"?")[0].decode("latin-1"))
        return None if target is None else PendingRequest(perf_counter(), head, target)

    def begin(self, held: PendingRequest, line: ClientConnection) -> FastCycle | None:
        """The request is whole: hands its rows to the model. None for the usual way, as for all that goes wrong here,
        since it goes wrong there again, and is answered."""
        began = perf_counter()
        start, head, gateway = held.start, held.head, self._gateway
        name = held.target.get("name")
        if gateway.draining or not self._access.admits(head, "predict", name):
            return None
        servable = gateway.peek(name, held.target.get("version"))
        if servable is None:
            return None
        try:
            media, wanted, seconds = (
                media_type(head, READERS),
                answer_media(head),
                timeout_of(head, servable.timeout or self._timeout),
            )
            gateway.admit(servable, seconds, len(held.body))
            request = servable.read(media, held.body)
            params = servable.conform_params(request.params)
            lease = servable.lease()
            lease.__enter__()
        except Exception:
            return None
        hold = InflightHold(gateway)
        try:
            hold.take(len(held.body))
            call = RequestRecord(start, request_id(header(head, b"x-request-id")), self._unserved, servable)
            call.decode = perf_counter() - began
            if self._observe is not None:
                call.watch = RequestWatch(self._observe, head, line.client, len(held.body), request.payload.rows)
            reply = servable.predict(request.payload, params, start + seconds)
        except Exception as error:
            hold.release()
            lease.__exit__(None, error, None)
            return None
        write = (wanted, request.wrapped, self._nan_words)
        return FastCycle(call, reply, write, start + seconds, line, lease, hold, self._rounds)


class _NoEvent:
    """uvicorn tells it when more of a body is there, which nobody waits for here."""

    def set(self) -> None:
        pass


class FastCycle:
    """One request on this road, from its rows to its answer. It stands where uvicorn's protocol has its cycle of
    request and answer, hence some of the names."""

    __slots__ = (
        "_call",
        "_deadline",
        "_hold",
        "_lease",
        "_left",
        "_line",
        "_reply",
        "_timer",
        "_write",
        "keep_alive",
        "response_complete",
    )

    message_event = _NoEvent()

    def __init__(
        self,
        call: RequestRecord,
        reply: asyncio.Future[Answer],
        write: tuple[str, bool, bool],
        deadline: float,
        line: ClientConnection,
        lease: Lease,
        hold: InflightHold,
        rounds: DeadlineSweep,
    ) -> None:
        self._call = call
        self._write = write
        self._deadline = deadline
        # The whole mutable state: what is to be given back at its end, all None then; a timer for the deadline, once it
        # is worth one; whether the client has left; and what uvicorn asks for and says.
        self._reply: asyncio.Future[Answer] | None = reply
        self._line: ClientConnection | None = line
        self._lease: Lease | None = lease
        self._hold: InflightHold | None = hold
        self._timer: asyncio.TimerHandle | None = None
        self._left = False
        self.keep_alive = True
        self.response_complete = False
        reply.add_done_callback(self._done)
        if deadline - call.start < LISTEN_AFTER:
            self.wake()
        else:
            rounds.add(self, call.start)

    @property
    def disconnected(self) -> bool:
        return self._left

    @disconnected.setter
    def disconnected(self, left: bool) -> None:
        self.leave()

    def leave(self) -> None:
        """Nobody waits for the answer any more: what has not begun is not begun."""
        self._left = True
        if self._reply is not None:
            self._reply.cancel()

    def wake(self) -> None:
        """It takes longer than most: from now on the deadline is watched, which ends it."""
        if self._reply is None:
            return
        left = self._deadline - perf_counter()
        if left <= 0:
            self._reply.cancel()
        else:
            self._timer = asyncio.get_running_loop().call_later(left, self.wake)

    def _done(self, reply: asyncio.Future[Answer]) -> None:
        call, line, lease, hold = self._call, self._line, self._lease, self._hold
        assert line is not None
        assert lease is not None
        assert hold is not None
        self._reply = self._line = self._lease = self._hold = None
        self.response_complete = True
        if self._timer is not None:
            self._timer.cancel()
        error: Exception | None = None
        try:
            answer = reply.result()
            call.queue, call.predict = answer.queue, answer.predict
            began = perf_counter()
            media, wrapped, nan_words = self._write
            content, media = encode(answer.payload, media, wrapped=wrapped, nan_words=nan_words)
            call.encode = perf_counter() - began
        except asyncio.CancelledError:
            error = None if self._left else too_late()
        except Exception as raised:
            error = raised
        lease.__exit__(None, error, None)
        hold.release()
        if self._left and error is None:
            call.count("client_error", perf_counter(), CLIENT_LEFT)
            return
        if error is None:
            call.count("ok", perf_counter(), 200, content)
            line.answer(200, call.lines(content, media), content, keep_alive=self.keep_alive)
            return
        failure = failure_of(error, call)
        call.count(failure.outcome, perf_counter(), failure.status, failure.content)
        lines = call.lines(failure.content, failure.media) + failure.lines
        line.answer(failure.status, lines, failure.content, keep_alive=self.keep_alive)

    def __repr__(self) -> str:
        return f"<FastCycle {self._call.request_id.decode()}{', answered' if self.response_complete else ''}>"
