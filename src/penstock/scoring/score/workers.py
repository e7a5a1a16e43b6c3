"""Who predicts: this thread, several threads, or several processes; and stages that run ahead of one another.

Whatever the number of workers, chunks come out in the order in which they went in, and no more of them are under way
than the workers need: that bounds memory.
"""

from __future__ import annotations

import atexit
import gc
import os
import queue
import shutil
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import Any, TypeVar

from penstock.errors import PenstockError, ScoringError
from penstock.loading import LoadedModel, LoadOptions, load_path
from penstock.machine.cores import ProcessorWaits
from penstock.scoring.read.chunks import Chunk
from penstock.scoring.score.scorer import Scored, Task, decode_chunk, score_chunk, score_ready
from penstock.scoring.score.shared_chunks import pack, shared_directory, unpack

T = TypeVar("T")

# How many chunks a stage may be ahead of the next one.
_AHEAD = 2
# Starting processes that each load the model is worth it from about here on.
_WORTH_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Workers:
    """`kind` is inline, threads or processes."""

    kind: str
    count: int = 1

    def __str__(self) -> str:
        return "1 worker" if self.kind == "inline" else f"{self.count} {self.kind}"


def choose_workers(
    wanted: str | int, cores: int, *, threads: bool, seconds: float | None, apart: bool = False
) -> Workers:
    """How many workers, and which. `threads` says that several threads predict at once with this model, `apart` that
    each of them needs a process started; `seconds` is about how long one worker would predict, None where that cannot
    be told."""
    count = cores if wanted == "auto" else int(wanted)
    if count <= 1:
        return Workers("inline")
    if threads and not apart:
        return Workers("threads", count)
    if wanted == "auto" and seconds is not None and seconds < _WORTH_SECONDS:
        return Workers("inline")
    return Workers("threads" if threads else "processes", count)


def working_time() -> float:
    """A clock, in seconds, for what this thread does, whether it computes or waits for something. It stands still while
    others have the core that the thread wants, where the system tells (Linux): how busy a machine is just now does not
    say how long the work is."""
    with closing(ProcessorWaits()) as waits:
        return perf_counter() - waits.seconds()


def score_all(
    chunks: Iterable[Chunk], model: LoadedModel, task: Task, workers: Workers, options: LoadOptions
) -> Iterator[Scored]:
    """The chunks' results, in order. Closing the iterator ends the workers."""
    if workers.kind == "inline":
        with ahead(chunks) as read, ahead(map(partial(decode_chunk, task), read)) as decoded:
            yield from (score_ready(model.predictor.predict, task, ready) for ready in decoded)
        return
    if workers.kind == "threads":
        with _ended(ThreadPoolExecutor(workers.count, thread_name_prefix="score")) as pool, ahead(chunks) as read:
            yield from _in_order(pool, partial(score_chunk, model.predictor.predict, task), read, workers.count + 1)
        return
    with (
        shared_directory() as directory,
        _ended(_process_pool(workers.count, model, task, options, directory)) as pool,
        ahead(pack(chunk, directory) for chunk in chunks) as read,
    ):
        yield from _in_order(pool, _score_in_process, read, workers.count + 1)


@contextmanager
def _ended(pool: Executor) -> Iterator[Executor]:
    """Ends the workers whatever happens."""
    try:
        yield pool
    except BrokenExecutor as error:
        raise ScoringError(
            "A worker process died; the system may have been out of memory.", hint="Use fewer workers."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _in_order(
    pool: Executor, score: Callable[[Chunk], Scored], chunks: Iterator[Chunk], window: int
) -> Iterator[Scored]:
    waiting: deque[Future[Scored]] = deque()
    for chunk in chunks:
        waiting.append(pool.submit(score, chunk))
        if len(waiting) > window:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


@contextmanager
def ahead(items: Iterable[T], depth: int = _AHEAD) -> Iterator[Iterator[T]]:
    """An iterator over the same items that are made in a thread, up to `depth` of them before they are asked for."""
    made: queue.Queue[tuple[bool, Any]] = queue.Queue(depth)
    stopped = threading.Event()

    def put(item: tuple[bool, Any]) -> None:
        while not stopped.is_set():
            with suppress(queue.Full):
                made.put(item, timeout=0.1)
                return

    def make() -> None:
        try:
            for item in items:
                put((True, item))
                if stopped.is_set():
                    break
            put((False, None))
        except BaseException as error:  # raised again where the items are used
            put((False, error))
        finally:
            if hasattr(items, "close"):
                items.close()

    def given() -> Iterator[T]:
        while (item := made.get())[0]:
            yield item[1]
        if item[1] is not None:
            raise item[1]

    thread = threading.Thread(target=make, name="read-ahead", daemon=True)
    thread.start()
    try:
        yield given()
    finally:
        stopped.set()
        thread.join(5)  # it may wait for a stream that gives nothing; then it ends with the process


class Deferred:
    """Calls made later, one after the other, in a thread of their own; at most two wait. What one raises, the next
    `call` or `drain` raises; those that wait behind it are not made."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="write-behind")
        self._waiting: deque[Future[None]] = deque()
        self._failed = False

    def call(self, function: Callable[..., object], *arguments: Any) -> None:
        while len(self._waiting) >= _AHEAD or (self._waiting and self._waiting[0].done()):
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(self._made, function, *arguments))

    def _made(self, function: Callable[..., object], *arguments: Any) -> None:
        if self._failed:
            return
        try:
            function(*arguments)
        except BaseException:
            self._failed = True
            raise

    def drain(self) -> None:
        """Waits until everything is done."""
        while self._waiting:
            self._waiting.popleft().result()

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


# The state of a worker process: its model and task, or why there is no model. It is set once, when the process starts,
# and read by each call, since a pool hands its functions nothing that belongs to the process. Elsewhere it stays None.
_here: tuple[LoadedModel | PenstockError, Task] | None = None


def _process_pool(
    count: int, model: LoadedModel, task: Task, options: LoadOptions, directory: str
) -> ProcessPoolExecutor:
    from multiprocessing import get_context

    # Spawned: a process forked from one with threads may inherit a lock that nobody will release.
    pool = ProcessPoolExecutor(
        count,
        get_context("spawn"),
        initializer=_start_process,
        initargs=(str(model.package.path), options, task, directory),
    )
    # Ctrl-C reaches every process of a terminal, but only the first one decides what becomes of the chunks under way:
    # the others are born with it blocked.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        for _ in range(count):
            pool.submit(_idle)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pool


def _idle() -> None:
    """A task that makes the pool start a process."""


def _start_process(package: str, options: LoadOptions, task: Task, directory: str) -> None:
    global _here
    atexit.register(gc.freeze)  # as the first process does, by the command line: it ends sooner
    threading.Thread(target=_end_with_parent, args=(directory,), daemon=True).start()
    try:
        _here = (load_path(package, options), task)
    except PenstockError as error:
        _here = (error, task)


def _end_with_parent(directory: str) -> None:
    """A worker whose parent was killed would wait for chunks for ever; and nobody else would clean up."""
    from multiprocessing import connection, parent_process

    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        shutil.rmtree(directory, ignore_errors=True)
        os._exit(1)


def _score_in_process(chunk: Chunk) -> Scored:
    assert _here is not None
    model, task = _here
    if isinstance(model, PenstockError):
        return Scored(replace(chunk, data=None), None, failure=model)
    return score_chunk(model.predictor.predict, task, unpack(chunk))
