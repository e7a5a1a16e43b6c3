"""Readers as a pool: a task waits for its turn, runs within its limits, and comes back with its result or an error.

A body that ends its reader is its caller's mistake, said in one sentence; the next reader is forked at once. Nothing of
that takes the event loop longer than a message does: payloads of text are put together in a thread that takes rests.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeAlias

from penstock.errors import AnswerUnserializable, InputTooLarge, MalformedInput, Overloaded, PenstockError
from penstock.machine.memory import size_text
from penstock.machine.memory_file import MemoryFile
from penstock.metrics.readers import ReaderMetrics
from penstock.model_process.protocol.json_values import unpack
from penstock.model_process.protocol.payload_values import decode, encode
from penstock.model_process.protocol.remote_errors import rebuild
from penstock.payload import Payload
from penstock.reader_process.launcher import Launcher, lost_readers
from penstock.reader_process.limits import ReaderLimits
from penstock.reader_process.messages import LIBRARIES, Outcome, ReaderTask
from penstock.reader_process.process import ReaderLost, ReaderProcess
from penstock.reader_process.queue import ReaderQueue, Waiting
from penstock.wire.interface import CodecSpec, DecodedRequest

log = logging.getLogger("penstock.readers")

# Results up to this size are put together on the event loop.
_SMALL = 32 * 1024

# A task of which the processor has done so little still waits for it; it is ended when so many times its limit is over,
# and may be sent again: that the machine has other things to do says nothing about the body.
_PATIENCE = 4.0

# The rest after a piece of a long result, in seconds.
_REST = 0.0002

# The exit code of a process that has ended comes within so many seconds.
_CODE_WITHIN = 0.5

_THREADS = 2

# Codecs whose specs are kept at hand.
_MAX_CODECS = 64

OnPause: TypeAlias = Callable[[], object]


@dataclass(frozen=True, slots=True)
class ReadResult:
    """A body that was read: payload, params as the model gets them, what the protocol remembers, and the body's bytes
    without their encodings."""

    payload: Payload
    params: Any
    state: dict[str, Any]
    size: int


@dataclass(frozen=True, slots=True)
class _Codec:
    """What readers know a codec by, and the file that tells it to them."""

    number: int
    spec: CodecSpec
    file: MemoryFile


class ReaderPool:
    """Up to `readers` processes, none before the first task. Whoever made it closes it."""

    def __init__(
        self, readers: int = 2, limits: ReaderLimits | None = None, metrics: ReaderMetrics | None = None
    ) -> None:
        self._limits = limits or ReaderLimits()
        self._metrics = metrics or ReaderMetrics()
        # Of its own: the threads that everything shares may be waiting for a registry that does not answer.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="penstock-readers")
        self._launcher = Launcher(self._told_of_end, self._threads)
        # The whole mutable state: tasks that wait and run; who waits for a reader; idle readers and all of them; the
        # codecs that were used lately, by the identity of their specs, and the last number; modules that readers need.
        self._queue = ReaderQueue(readers)
        self._turns: dict[Waiting, asyncio.Future[None]] = {}
        self._idle: list[ReaderProcess] = []
        self._readers: dict[int, ReaderProcess] = {}
        self._specs: dict[int, _Codec] = {}
        self._numbers = count(1)
        self._preload: set[str] = set()

    async def read(
        self, client: str, spec: CodecSpec, media: str, body: MemoryFile, encodings: tuple[str, ...], max_bytes: int
    ) -> ReadResult:
        """Reads a body. Raises what `Codec.read` and unpacking raise, and Overloaded."""
        limits, codec = self._limits, self._codec(spec)
        task = ReaderTask("read", codec.number, media, limits.timeout, limits.memory, max_bytes, encodings)
        outcome, result = await self._run(client, codec, task, body)
        made: ReadResult = await self._finish(task, outcome, lambda rest: _read_result(outcome, result, rest))
        return made

    async def write(
        self, client: str, spec: CodecSpec, media: str, payload: Payload, request: DecodedRequest
    ) -> tuple[bytes, str]:
        """The answer, and its media type. Raises what `Codec.write` raises, and Overloaded."""
        given = MemoryFile()
        plan = await asyncio.get_running_loop().run_in_executor(self._threads, _put, payload, given, _sleep)
        limits, codec = self._limits, self._codec(spec)
        task = ReaderTask("write", codec.number, media, limits.timeout, limits.memory, plan=plan, state=request.state())
        outcome, result = await self._run(client, codec, task, given)
        made: tuple[bytes, str] = await self._finish(task, outcome, lambda rest: _written(outcome, result))
        return made

    async def _finish(self, task: ReaderTask, outcome: Outcome, make: Callable[[OnPause], Any]) -> Any:
        if outcome.out_of_memory:
            raise _too_much(task, task.memory if task.kind == "write" else self._limits.bytes(outcome.size))
        try:
            if not outcome.failed and outcome.size + outcome.plan <= _SMALL:
                return make(lambda: None)
            return await asyncio.get_running_loop().run_in_executor(self._threads, make, _sleep)
        except (ValueError, TypeError):
            raise _unusable(task, "sent an invalid result") from None

    async def _run(self, client: str, codec: _Codec, task: ReaderTask, given: MemoryFile) -> tuple[Outcome, MemoryFile]:
        waiting = Waiting(client, given.size, time.monotonic())
        try:
            await self._turn(waiting)
        except BaseException:
            given.close()
            raise
        began = time.monotonic()
        self._metrics.wait[task.kind].observe(began - waiting.since)
        seconds = 0.0
        try:
            reader = await self._reader(codec.spec, task)
            try:
                outcome, result = await self._done(reader, codec, task, given)
            except asyncio.CancelledError:
                self._end(reader, "caller", "was ended, since nobody waits for its result")
                raise
            except BaseException:  # whatever it is: a reader is idle, or gone
                self._end(reader, "crash", "was ended")
                raise
            seconds = outcome.seconds
            self._preload.update(outcome.imported)
            if outcome.out_of_memory:
                self._metrics.kills["memory"].value += 1
            reader.preloaded.update(outcome.imported)
            if reader.ended:
                self._let_go(reader)
            else:
                self._idle.append(reader)
            return outcome, result
        finally:
            given.close()
            now = time.monotonic()
            self._metrics.seconds[task.kind].observe(now - began)
            self._queue.finish(waiting, max(seconds, now - began), now)
            self._go_on()

    async def _turn(self, waiting: Waiting) -> None:
        """Waits until it is this task's turn. Raises Overloaded."""
        if self._queue.refuses(waiting.client):
            raise Overloaded("Too many bodies wait to be read.", limit="readers")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns[waiting] = turn
        self._queue.waiting.append(waiting)
        try:
            self._go_on()
            await turn
        except BaseException:
            self._queue.finish(waiting, 0.0, time.monotonic())
            self._go_on()
            raise
        finally:
            del self._turns[waiting]

    def _go_on(self) -> None:
        while (waiting := self._queue.take(time.monotonic())) is not None:
            turn = self._turns[waiting]
            if not turn.done():
                turn.set_result(None)
        self._metrics.waiting.value = len(self._queue.waiting)

    async def _reader(self, spec: CodecSpec, task: ReaderTask) -> ReaderProcess:
        """An idle reader that has imported what the task takes, or a new one."""
        modules = set(spec.protocol.libraries(task.media, spec.frames))
        self._preload |= modules
        needs = modules & set(LIBRARIES)  # all else is quickly imported
        for reader in reversed(self._idle):
            if needs <= reader.preloaded and not reader.ended:
                self._idle.remove(reader)
                return reader
        if self._idle:
            self._let_go(self._idle.pop(0))
        reader = await self._launcher.launch(frozenset(self._preload))
        self._readers[reader.pid] = reader
        self._metrics.processes.value = len(self._readers)
        return reader

    def _let_go(self, reader: ReaderProcess) -> None:
        reader.close()
        self._readers.pop(reader.pid, None)
        self._metrics.processes.value = len(self._readers)

    async def _done(
        self, reader: ReaderProcess, codec: _Codec, task: ReaderTask, given: MemoryFile
    ) -> tuple[Outcome, MemoryFile]:
        """The outcome; the task ends at its limit. Raises the error of a task whose process ended, and Overloaded where
        that is no fault of the task."""
        files = [given.fd]
        if task.codec not in reader.codecs:
            reader.codecs.add(task.codec)
            files.insert(0, codec.file.fd)
        used, began = reader.processor_seconds(), time.monotonic()
        limit = left = self._limits.seconds(task.max_bytes if task.encodings else given.size)
        outcome = reader.start(task, files)
        try:
            while True:
                done, _ = await asyncio.wait([outcome], timeout=left)
                if done:
                    return outcome.result()
                left = limit - (reader.processor_seconds() - used)
                if left <= 0:
                    self._end(reader, "time", "took too long")
                    raise _too_slow(task, limit)
                if time.monotonic() - began > limit * _PATIENCE:
                    self._end(reader, "starved", "got too little processor time")
                    raise Overloaded("The machine is too busy to read this body or write its answer.", limit="readers")
        except ReaderLost as lost:
            await asyncio.wait([reader.code], timeout=_CODE_WITHIN)
            if reader.code.done() and reader.code.result() == -signal.SIGXCPU:
                self._end(reader, "time", "took too long")
                raise _too_slow(task, limit) from None
            self._end(reader, "crash", str(lost))
            if not reader.code.done() and not self._launcher.started(reader):
                raise lost_readers() from None  # they end with the process that has started them
            raise _unusable(task, "crashed") from None

    def _end(self, reader: ReaderProcess, reason: str, how: str) -> None:
        reader.kill(how)
        if self._readers.pop(reader.pid, None) is not None:
            self._metrics.kills[reason].value += 1
            self._metrics.processes.value = len(self._readers)
            log.info("Reader process %d %s.", reader.pid, how)

    def _told_of_end(self, pid: int, code: int) -> None:
        """The system says that a reader has ended; its socket says so too."""
        reader = self._readers.get(pid)
        if reader is not None:
            if not reader.code.done():
                reader.code.set_result(code)
            if reader in self._idle:
                self._idle.remove(reader)
                self._let_go(reader)

    def _codec(self, spec: CodecSpec) -> _Codec:
        """A codec's number and file, kept as long as it is among those that were asked for lately."""
        known = self._specs.pop(id(spec), None)
        if known is None:
            file = MemoryFile()
            file.write([pickle.dumps(spec)])  # for our own readers, which give none back
            file.seal()
            known = _Codec(next(self._numbers), spec, file)
            if len(self._specs) >= _MAX_CODECS:
                del self._specs[next(iter(self._specs))]
        self._specs[id(spec)] = known
        return known

    def close(self) -> None:
        """Ends every process."""
        self._launcher.close()
        for reader in list(self._readers.values()):
            reader.kill("was closed")
        self._threads.shutdown(wait=False)

    def __repr__(self) -> str:
        return f"<ReaderPool {len(self._readers)} processes, {self._queue!r}>"


# What each task does, in words, and the error of a task that cannot be done: a body is its sender's, an answer is the
# model's.
_WORDS = {"read": "The body cannot be read", "write": "The model's answer cannot be written"}


def _too_slow(task: ReaderTask, seconds: float) -> PenstockError:
    why = f"{_WORDS[task.kind]} within {seconds:.1f} s of processor time."
    return _refused(task, why, "read_timeout")


def _too_much(task: ReaderTask, memory: int) -> PenstockError:
    return _refused(task, f"{_WORDS[task.kind]} within {size_text(memory)} of memory.", "reader_memory")


def _refused(task: ReaderTask, why: str, setting: str) -> PenstockError:
    hint = f"Send fewer rows in one request, or raise the setting {setting}."
    return InputTooLarge(why, hint=hint) if task.kind == "read" else AnswerUnserializable(why, hint=hint)


def _unusable(task: ReaderTask, how: str) -> PenstockError:
    why = f"{_WORDS[task.kind]}: the process that did it {how}."
    return MalformedInput(why) if task.kind == "read" else AnswerUnserializable(why)


def _sleep() -> None:
    time.sleep(_REST)


def _put(payload: Payload, file: MemoryFile, rest: OnPause) -> int:
    """Writes a payload into a file; the length of its plan, which is the last of it."""
    plan, pieces = encode(payload, question=True, rest=rest)
    file.write([*pieces, plan])
    file.seal()
    return len(plan)


def _read_result(outcome: Outcome, result: MemoryFile, rest: OnPause) -> ReadResult:
    """Raises the error that the reader had."""
    data = _data(outcome, result)
    note = data[len(data) - outcome.note :]
    if outcome.failed:
        raise _error(note)
    arrays = len(data) - outcome.note - outcome.plan
    plan = bytes(data[arrays : arrays + outcome.plan])
    params, state = unpack(note)
    return ReadResult(decode(plan, data[:arrays], question=True, packed=True, rest=rest), params, state, outcome.size)


def _written(outcome: Outcome, result: MemoryFile) -> tuple[bytes, str]:
    data = _data(outcome, result)
    note = data[len(data) - outcome.note :]
    if outcome.failed:
        raise _error(note)
    # Read by the system, beside which other threads go on: to copy a hundred megabytes here would hold them up.
    return result.read(len(data) - outcome.note), str(unpack(note))


def _data(outcome: Outcome, result: MemoryFile) -> memoryview:
    """Raises ValueError where there is less than the outcome says."""
    if outcome.plan + outcome.note > result.size or not result.size:
        raise ValueError("a result that is too short")
    return memoryview(result.map())


def _error(note: memoryview) -> Exception:
    return rebuild(bytes(note))
