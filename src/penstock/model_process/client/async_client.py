"""The wire to one model process: questions out, answers in, each checked before anything is made of it.

What the process says is not trusted. An answer that nobody asked for, that is too large, or that does not hold together
ends the wire: no further word of that process would be believed either.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import perf_counter
from typing import Any, cast

from penstock.error_text import text_of
from penstock.errors import AnswerUnserializable, MalformedInput, ModelProcessLost
from penstock.model_process.protocol.json_values import pack
from penstock.model_process.protocol.messages import Buffer, Frame, Incoming, Kind, Malformed, encode
from penstock.model_process.protocol.payload_values import decode
from penstock.model_process.protocol.payload_values import encode as encode_payload
from penstock.model_process.protocol.payload_weight import reads_long, takes_long
from penstock.model_process.protocol.remote_errors import rebuild
from penstock.payload import Params, Payload

_IDS = 1 << 32

# The rest after a piece of a long question or answer, in seconds.
_REST = 0.0002


class ModelProcessClient(asyncio.BufferedProtocol):
    """One connection. `on_lost` is called once, with why in words that follow "The model process"; empty where the
    process itself ended it. `time_limit` is how many seconds a question may take before the process counts as hung."""

    def __init__(self, incoming: Incoming, on_lost: Callable[[str], None], time_limit: float) -> None:
        self._incoming = incoming
        self._on_lost = on_lost
        self._time_limit = time_limit
        # The whole mutable state: the transport while there is one, open questions by number, in the order of asking,
        # with when they were asked, the last number, what goes out when the loop has gone round, the timer for the
        # oldest question, why the wire ends, and what is being written or read in the thread.
        self._transport: asyncio.Transport | None = None
        self._open: dict[int, tuple[asyncio.Future[tuple[Payload, float]], float]] = {}
        self._last = 0
        self._unsent: list[Buffer] = []
        self._timer: asyncio.TimerHandle | None = None
        self._why = ""
        self._over = False
        self._tasks: set[asyncio.Task[None]] = set()
        # Of its own, and started when it is needed: long texts and objects are written and read there.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="penstock-model-client")

    @property
    def load(self) -> int:
        """How many questions are open."""
        return len(self._open)

    def predict(self, payload: Payload, params: Params) -> asyncio.Future[tuple[Payload, float]]:
        """The answer to come, and the seconds that the model took. The future raises PredictError, and whatever else a
        predictor raises, and ModelProcessLost."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[tuple[Payload, float]] = loop.create_future()
        if self._transport is None or self._over:
            answer.set_exception(_lost(self._why or "ended", 1))
            return answer
        number = (self._last + 1) % _IDS
        if takes_long(payload):
            self._in_thread(self._send_later(number, payload, params, answer))
        else:
            try:
                pieces = _question(number, payload, params)
            except (AnswerUnserializable, ValueError) as error:  # text that cannot be encoded is a ValueError, too
                answer.set_exception(_unsendable(error))
                return answer
            self._send(pieces)
        self._last = number
        now = perf_counter()
        self._open[number] = answer, now
        if self._timer is None:
            self._timer = loop.call_later(self._time_limit, self._look)
        return answer

    def _in_thread(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_later(
        self, number: int, payload: Payload, params: Params, answer: asyncio.Future[tuple[Payload, float]]
    ) -> None:
        """Sends what an event loop has no time to write."""
        loop = asyncio.get_running_loop()
        try:
            pieces = await loop.run_in_executor(self._thread, _question, number, payload, params, _rest)
        except (AnswerUnserializable, ValueError, RuntimeError) as error:
            self._open.pop(number, None)
            if not answer.done():
                answer.set_exception(_unsendable(error))
            return
        if answer.done():  # nobody waits for it any more
            self._open.pop(number, None)
        elif not self._over:
            self._send(pieces)

    async def _read_later(self, frame: Frame, answer: asyncio.Future[tuple[Payload, float]]) -> None:
        """Reads an answer that an event loop has no time for."""
        loop, body = asyncio.get_running_loop(), frame.body or bytearray()
        try:
            payload = await loop.run_in_executor(self._thread, partial(decode, frame.plan, body, rest=_rest))
        except (ValueError, RuntimeError) as error:
            self.cut(f"sent an invalid message: {error}")
            if not answer.done():
                answer.set_exception(_lost(self._why or "ended", 1))
            return
        if not answer.done():
            answer.set_result((payload, _seconds(frame)))

    def _send(self, pieces: list[Buffer]) -> None:
        """At once where nothing is under way; what comes while the process has something to do goes together, when the
        loop has gone round."""
        first = not self._unsent
        self._unsent += pieces
        if not self._open:
            self._send_rest()
        elif first:
            asyncio.get_running_loop().call_soon(self._send_rest)

    def _send_rest(self) -> None:
        unsent, self._unsent = self._unsent, []
        if self._transport is not None:
            self._transport.writelines(unsent)

    def _look(self) -> None:
        """The oldest question is late, or the timer waits for the one that is the oldest now."""
        self._timer = None
        if not self._open:
            return
        _, asked = next(iter(self._open.values()))
        left = asked + self._time_limit - perf_counter()
        if left > 0:
            self._timer = asyncio.get_running_loop().call_later(left, self._look)
        else:
            self.cut(f"did not answer within {self._time_limit:g} s")

    def cut(self, why: str) -> None:
        """Ends the wire: every open question is lost."""
        if not self._over:
            self._why = self._why or why
            self._lose()
            if self._transport is not None:
                self._transport.abort()

    def finish(self) -> None:
        """Asks nothing more. The process ends when it has answered."""
        self._over = True
        self._send_rest()
        if self._transport is not None:
            self._transport.close()

    # -- what the transport calls -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._incoming.room()

    def buffer_updated(self, count: int) -> None:
        try:
            for frame in self._incoming.filled(count):
                self._take(frame)
        except ValueError as error:
            self.cut(f"sent an invalid message: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._thread.shutdown(wait=False)
        self._lose()

    def _lose(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._over:
            self._over = True
            self._on_lost(self._why)
        self.fail_open(self._why or "ended")

    def fail_open(self, why: str, retry_after: int = 1) -> None:
        """Open questions get no answer any more."""
        lost, self._open = self._open, {}
        for answer, _ in lost.values():
            if not answer.done():
                answer.set_exception(_lost(why, retry_after))

    def _take(self, frame: Frame) -> None:
        """Raises ValueError."""
        if frame.kind not in (Kind.ANSWER, Kind.ERROR) or frame.id not in self._open:
            raise Malformed(f"{frame.kind.name} to an unknown request")
        result: Any
        if frame.kind is Kind.ANSWER and frame.body is not None and reads_long(frame.plan, frame.body):
            answer, _ = self._open.pop(frame.id)
            self._in_thread(self._read_later(frame, answer))
            return
        if frame.kind is Kind.ANSWER:
            result = decode(frame.plan, frame.body or bytearray(), packed=True)
        else:
            result = rebuild(frame.note)
        answer, _ = self._open.pop(frame.id)
        if answer.done():
            return
        if frame.kind is Kind.ANSWER:
            answer.set_result((result, _seconds(frame)))
        else:
            answer.set_exception(result)

    def __repr__(self) -> str:
        return f"<ModelProcessClient {len(self._open)} open{', over' if self._over else ''}>"


def _question(number: int, payload: Payload, params: Params, rest: Callable[[], object] | None = None) -> list[Buffer]:
    """The pieces to send. Raises AnswerUnserializable, ValueError."""
    plan, body = encode_payload(payload, question=True, rest=rest)
    note = b"" if params is None else pack(dict(params))
    return encode(Kind.PREDICT, number, plan=plan, note=note, body=body)


def _rest() -> None:
    time.sleep(_REST)


def _seconds(frame: Frame) -> float:
    return min(max(frame.seconds, 0.0), 1e9)


def _unsendable(error: Exception) -> MalformedInput:
    return MalformedInput(f"The rows cannot be sent to the model process: {text_of(error)}")


def _lost(why: str, retry_after: int) -> ModelProcessLost:
    error = ModelProcessLost(f"The model process {why}; this request is lost.", hint="Try again.")
    error.retry_after = retry_after
    return error
