"""The fast path: predictions answered by the HTTP connection itself. A small request is read at its last byte, and
answered in the moment the model has the answer. No scope, task or coroutine, which are half of what a request costs.

The same pipeline as on the slow path decides, and this is a driver of it. What it declines takes the slow path, and is
answered there in the same words.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import perf_counter

from penstock.error_text import kind_of
from penstock.errors import Closing, InputError, Overloaded, PenstockError
from penstock.http.authorizer import Authorizer
from penstock.http.connection.interface import ClientConnection
from penstock.http.cross_origin import CrossOrigin
from penstock.http.deadlines import SWEPT_AFTER, DeadlineSweep, deadline_exceeded
from penstock.http.headers import Head, any_header, declared_length
from penstock.server.predict.pipeline import Pipeline
from penstock.server.predict.reading import BodyReading
from penstock.server.predict.request_record import PredictResponse, RequestRecord
from penstock.server.targets import invocation_target
from penstock.serving.batching.admission import InflightHold
from penstock.serving.batching.jobs import Answer
from penstock.serving.servable import Lease
from penstock.wire.interface import ReadElsewhere, WireProtocol

# The largest body that is taken, in bytes. Reading a larger one is work beside which a task is nothing.
MAX_FAST_BYTES = 64 * 1024

# Headers that make a request a case for the slow path.
_UNUSUAL = frozenset({b"content-encoding", b"expect", b"transfer-encoding", b"upgrade"})

# Why a whole request is declined, by the error that it would end with: some of metrics.FAST_PATH_DECLINES.
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (InputError, "input"),
    (Overloaded, "overloaded"),
    (Closing, "closing"),
    (ReadElsewhere, "reader"),
)


@dataclass(slots=True)
class PendingRequest:
    """A request whose head is there, since `start`, and whose body is coming."""

    start: float
    head: Head
    target: dict[str, str]
    body: bytes = b""


class FastPath:
    """Takes or declines the requests of one protocol. `sweep` wakes those whose deadline is near."""

    def __init__(
        self,
        pipeline: Pipeline,
        protocol: WireProtocol,
        sweep: DeadlineSweep,
        access: Authorizer,
        reading: BodyReading,
        *,
        max_body_bytes: int,
        cross_origin: CrossOrigin | None = None,
    ) -> None:
        self._sweep = sweep
        self._cross_origin = cross_origin
        self._reading = reading
        self._pipeline = pipeline
        self._protocol = protocol
        self._gateway = pipeline.gateway
        self._access = access
        self._max_bytes = min(MAX_FAST_BYTES, max_body_bytes)
        self._counts = pipeline.gateway.metrics.fast_path

    def hold(self, url: bytes, headers: list[tuple[bytes, bytes]]) -> PendingRequest | None:
        """A POST that may go this way once its body is there; None for the slow path."""
        head: Head = {"headers": headers}
        path = url.partition(b"?")[0].decode("latin-1")
        target = invocation_target(path)
        if target is None or "%" in path:
            if path.endswith("/invocations"):
                self._decline("path")
            return None
        if not 0 < declared_length(head) <= self._max_bytes:
            self._decline("size")
            return None
        if any_header(head, _UNUSUAL):
            self._decline("headers")
            return None
        return PendingRequest(perf_counter(), head, target)

    def give_up(self) -> None:
        """The body of a request that was held takes too long: it is the slow path's."""
        self._decline("slow_body")

    def _decline(self, reason: str) -> None:
        self._counts.declined[reason].value += 1

    def begin(self, held: PendingRequest, connection: ClientConnection) -> FastCycle | None:
        """The request is whole: hands its rows to the model. None for the slow path, which meets the same error again
        and answers it. An error that nobody foresaw is answered here: a second try would hide it."""
        head, pipeline = held.head, self._pipeline
        if self._gateway.draining or not self._access.admits(head, "predict", held.target.get("name")):
            self._decline("draining" if self._gateway.draining else "token")
            return None
        record = pipeline.open(self._protocol, held.start, head, connection.client)
        record.unread = False
        if self._cross_origin is not None:
            record.cross_origin = self._cross_origin.lines(head)
        try:
            servable = pipeline.admit(record, head, held.target, len(held.body))
            if servable is None:
                self._decline("model")
                return None
            record.bind(servable)
            pipeline.read(record, held.body)
            lease = servable.lease()
            lease.__enter__()
        except (PenstockError, ReadElsewhere) as error:
            self._decline(next((reason for kind, reason in _REASONS if isinstance(error, kind)), "other"))
            return None
        except BaseException as error:  # a panic of a library in Rust is no Exception
            return FastCycle(pipeline, record, _failed(error), connection, self._sweep, self._reading)
        self._counts.taken.value += 1
        hold = InflightHold(self._gateway)
        try:
            hold.take(len(held.body))
            reply = pipeline.predict(record)
        except BaseException as error:
            reply = _failed(error)
        return FastCycle(pipeline, record, reply, connection, self._sweep, self._reading, lease, hold)


def _failed(error: BaseException) -> asyncio.Future[Answer]:
    reply: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    reply.set_exception(error if isinstance(error, PenstockError) else _unforeseen(error))
    return reply


def _unforeseen(error: BaseException) -> PenstockError:
    """The error as one that a future takes, which a StopIteration is not, nor one that ends the program."""
    wrapped = PenstockError(f"The request failed inside the gateway ({kind_of(error)}).")
    wrapped.__cause__ = error
    return wrapped


class _NoEvent:
    """uvicorn sets it when more of a body is there, which nobody waits for here."""

    def set(self) -> None:
        pass


class FastCycle:
    """One request on the fast path, from its rows to its answer. It stands where uvicorn's protocol has its cycle of
    request and answer, hence some of the names."""

    __slots__ = (
        "_connection",
        "_hold",
        "_lease",
        "_left",
        "_pipeline",
        "_reading",
        "_record",
        "_reply",
        "_timer",
        "keep_alive",
        "response_complete",
    )

    message_event = _NoEvent()

    def __init__(
        self,
        pipeline: Pipeline,
        record: RequestRecord,
        reply: asyncio.Future[Answer],
        connection: ClientConnection,
        sweep: DeadlineSweep,
        reading: BodyReading,
        lease: Lease | None = None,
        hold: InflightHold | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._record = record
        self._reading = reading
        # The whole mutable state: what is to be given back at its end, all None then; a timer for the deadline, once it
        # is worth one; whether the client has left; and what uvicorn asks for and sets.
        self._reply: asyncio.Future[Answer] | asyncio.Task[PredictResponse] | None = reply
        self._connection: ClientConnection | None = connection
        self._lease = lease
        self._hold = hold
        self._timer: asyncio.TimerHandle | None = None
        self._left = False
        self.keep_alive = True
        self.response_complete = False
        reply.add_done_callback(self._complete)
        if record.deadline - record.start < SWEPT_AFTER:
            self.wake()
        else:
            sweep.add(self, record.start)

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
        left = self._record.deadline - perf_counter()
        if left <= 0:
            self._reply.cancel()
        else:
            self._timer = asyncio.get_running_loop().call_later(left, self.wake)

    def _complete(self, reply: asyncio.Future[Answer]) -> None:
        try:
            answer = reply.result()
        except BaseException as error:
            self._end(error, cancelled=isinstance(error, asyncio.CancelledError))
            return
        try:
            response = self._pipeline.write(self._record, answer)
        except ReadElsewhere:
            client = self._connection.client if self._connection is not None else None
            writing = self._reading.write(self._record, answer, client[0] if client else "")
            self._reply = asyncio.ensure_future(writing)
            self._reply.add_done_callback(self._written)
        except BaseException as error:  # writing an answer may run code of the model's
            self._end(error)
        else:
            self._end(response)

    def _written(self, writing: asyncio.Future[PredictResponse]) -> None:
        """A reader process has written the answer."""
        try:
            response = writing.result()
        except BaseException as error:
            self._end(error, cancelled=isinstance(error, asyncio.CancelledError))
        else:
            self._end(response)

    def _end(self, result: PredictResponse | BaseException, *, cancelled: bool = False) -> None:
        """It is over: answered, failed, or `cancelled`, since the client has left or its deadline has passed."""
        record, connection = self._record, self._connection
        assert connection is not None
        lease, hold = self._lease, self._hold
        self._reply = self._connection = self._lease = self._hold = None
        self.response_complete = True
        if self._timer is not None:
            self._timer.cancel()
        error: BaseException | None = None
        response: PredictResponse | None = None
        if isinstance(result, PredictResponse):
            response = result
        elif cancelled:
            error = None if self._left else deadline_exceeded()
        else:
            error = result
        if error is not None:
            response = self._pipeline.fail(record, error)
        try:
            if lease is not None:
                lease.__exit__(None, error, None)
            if hold is not None:
                hold.release()
        finally:  # whatever went wrong with our own books, the caller is not left waiting
            self._pipeline.count(record, response)
            if response is not None:
                lines = record.header_lines(response)
                if record.cross_origin:
                    lines += record.cross_origin
                connection.answer(response.status, lines, response.content, keep_alive=self.keep_alive)

    def __repr__(self) -> str:
        return f"<FastCycle {self._record.request_id.decode()}{', answered' if self.response_complete else ''}>"
