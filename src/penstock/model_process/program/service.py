"""Questions in, answers out.

The thread that has the turn reads a question and answers it itself: no thread hands work to another one. While the
model is quick it keeps the turn, and no other thread competes for the interpreter; answers to questions that came
together go together. A model that takes longer gets its questions at once: the turn goes on before the model begins,
or, where that shows too late, a watch takes it from the thread that is still busy.

Questions that came together are read together, and answers that go together are written together: the model between
them fills the processor's caches with its own code, and what comes one by one would find nothing there.
"""

from __future__ import annotations

import os
import resource
import socket
import threading
import time
from collections import deque
from time import perf_counter
from typing import NamedTuple

from penstock.errors import AnswerUnserializable
from penstock.flavors import Predictor
from penstock.flavors.predictor import failed
from penstock.machine.memory import out_of_memory
from penstock.model_process.protocol.json_values import unpack
from penstock.model_process.protocol.messages import Buffer, Frame, Incoming, Kind, Malformed, encode
from penstock.model_process.protocol.payload_values import decode
from penstock.model_process.protocol.payload_values import encode as encode_payload
from penstock.model_process.protocol.remote_errors import describe
from penstock.payload import Params, Payload

# A model whose predictions, as a rule, wait for something and take longer than the first number of seconds, or take
# longer than the second one in any case, has its questions answered side by side. One is looked at apart now and then.
_WAITING, _SLOW = 0.001, 0.005
_LOOK_EVERY = 32
_LOOK_ABOVE = _WAITING / 4

# How long a question may hold up the next ones, before another thread takes over; and how long a watch looks on when
# nothing comes any more.
_WATCH_EVERY = 0.003
_WATCH_ON = 300

# So many small answers go together.
_TOGETHER = 32
_SMALL = 64 * 1024


def times_waited() -> int:
    """How often this thread gave up the processor voluntarily: to sleep, to read, for a lock. Being preempted by
    another process, which makes everything look slow, does not count."""
    return resource.getrusage(_THREAD).ru_nvcsw if _THREAD is not None else int(perf_counter() * 1e9)


_THREAD: int | None = getattr(resource, "RUSAGE_THREAD", None)  # Linux has it; elsewhere time alone decides


class _Question(NamedTuple):
    """Rows and params, or why they cannot be read."""

    id: int
    payload: Payload | None
    params: Params
    error: Exception | None = None


class _Answer(NamedTuple):
    """What the model gave, or raised, and the seconds that it took."""

    id: int
    payload: Payload | None
    seconds: float
    error: BaseException | None = None


class PredictionService:
    """Answers on a socket, up to `slots` questions at once."""

    def __init__(
        self, sock: socket.socket, incoming: Incoming, predictor: Predictor, slots: int, memory_limit: int = 0
    ) -> None:
        self._sock = sock
        self._incoming = incoming
        self._predictor = predictor
        self._slots = slots
        self._memory_limit = memory_limit
        self._turn = threading.Lock()  # who has it reads
        self._writing = threading.Lock()
        self._watching = threading.Event()
        # The whole mutable state. Changed by who has the turn: questions that came together, whether the socket has
        # ended. Changed by whoever answers: of the last questions that were answered with the turn kept, the share that
        # waited, and the seconds that the last one took. Under _guard:
        # threads there are and how many of them are at work; how many questions were begun, and which of them is
        # answered by a thread that has kept the turn (0: none). Under _writing: answers that wait for the next ones.
        self._ready: deque[_Question] = deque()
        self._ended = False
        self._slow = 0.0
        self._took = _SLOW
        self._guard = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._busy = 0
        self._begun = 0
        self._kept = 0
        self._unsent: list[_Answer] = []

    def run(self) -> None:
        """Until the socket ends and everything is answered."""
        if self._slots > 1:
            threading.Thread(target=self._watch, name="penstock-watch", daemon=True).start()
        self._work()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        self._turn.acquire()
        while (question := self._next()) is not None:
            number = self._begin()
            self._answer(question)
            with self._guard:
                self._busy -= 1
                has_turn = self._kept == number
                if has_turn:
                    self._kept = 0
            if not has_turn:
                self._send()
                self._turn.acquire()
        self._turn.release()

    def _next(self) -> _Question | None:
        """The next question; None when the socket has ended. The caller holds the turn."""
        while not self._ready and not self._ended:
            count = self._sock.recv_into(self._incoming.room())
            self._ended = not count
            self._ready.extend(map(_read, self._incoming.filled(count)) if count else ())
        return self._ready.popleft() if self._ready else None

    def _begin(self) -> int:
        """Before a question is answered: keeps the turn or passes it on. Returns the question's number."""
        with self._guard:
            self._busy += 1
            self._begun += 1
            if self._slots == 1 or self._slow <= 0.5 or not self._begun % _LOOK_EVERY:
                self._kept = self._begun
            else:
                self._pass_on()
            number = self._begun
        if self._slots > 1 and not self._watching.is_set():
            self._watching.set()
        return number

    def _pass_on(self) -> None:
        """Passes the turn to a waiting thread, or a new one. Called under _guard."""
        self._kept = 0
        if self._busy > len(self._threads) and len(self._threads) < self._slots - 1:
            thread = threading.Thread(target=self._work, name="penstock-model", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._turn.release()

    def _watch(self) -> None:
        """Takes the turn from a thread that keeps it too long. Sleeps while no questions come."""
        while self._watching.wait():
            seen, idle = 0, 0
            while idle < _WATCH_ON:
                time.sleep(_WATCH_EVERY)
                with self._guard:
                    if self._kept and self._kept == seen:
                        self._pass_on()
                        late = True
                    else:
                        late = False
                    idle = idle + 1 if self._begun == seen and not self._kept else 0
                    seen = self._begun
                if late:
                    self._send()
            self._watching.clear()

    def _answer(self, question: _Question) -> None:
        alone = self._kept
        waits = times_waited() if self._took > _LOOK_ABOVE else None  # this call has a cost of its own
        began = perf_counter()
        try:
            if question.payload is None:
                raise question.error or Malformed("a request without rows")
            payload = self._predictor.predict(question.payload, question.params)
            self._took = seconds = perf_counter() - began
            answer = _Answer(question.id, payload, seconds)
            if alone and alone == self._begun:  # beside others it would wait for the interpreter
                slow = seconds > _SLOW or (seconds > _WAITING and waits is not None and times_waited() > waits)
                self._slow += (slow - self._slow) / 4
        except Exception as error:
            answer = _Answer(question.id, None, perf_counter() - began, error)
        except BaseException as error:  # nobody interrupts this process: it is the model's own
            answer = _Answer(question.id, None, perf_counter() - began, failed(error))
        if self._ready and self._kept:  # the question that follows is here and takes no time
            with self._writing:
                self._unsent.append(answer)
                if len(self._unsent) < _TOGETHER:
                    return
            self._send()
        else:
            self._send(answer)

    def _send(self, *last: _Answer) -> None:
        """Sends what is unsent, and this."""
        with self._writing:
            unsent, self._unsent = [*self._unsent, *last], []
        pieces = [piece for answer in unsent for piece in self._write(answer)]
        if not pieces:
            return
        try:
            with self._writing:
                for piece in [b"".join(pieces)] if sum(map(len, pieces)) < _SMALL else pieces:
                    self._sock.sendall(piece)
        except OSError:  # the gateway is gone, or the model has closed the socket: no answer can be given any more
            os._exit(1)

    def _write(self, answer: _Answer) -> list[Buffer]:
        """The answer's frame."""
        error_sent = answer.error
        if answer.payload is not None:
            try:
                plan, body = encode_payload(answer.payload)
                return encode(Kind.ANSWER, answer.id, plan=plan, body=body, seconds=answer.seconds)
            except Malformed:
                error_sent = AnswerUnserializable("The model's answer is larger than the limit of a model process.")
            except BaseException as error:
                error_sent = error
        assert error_sent is not None
        return encode(Kind.ERROR, answer.id, note=describe(out_of_memory(error_sent, self._memory_limit) or error_sent))


def _read(frame: Frame) -> _Question:
    """What a frame asks."""
    try:
        if frame.kind is not Kind.PREDICT or frame.body is None:
            raise Malformed(f"{frame.kind.name} where a request was expected")
        params = unpack(frame.note) if frame.note else None
        return _Question(frame.id, decode(frame.plan, frame.body, question=True), params)
    except Exception as error:
        return _Question(frame.id, None, None, error)
