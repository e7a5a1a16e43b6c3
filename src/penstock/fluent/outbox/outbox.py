"""The outbox: what a program logs goes into a queue, which costs it less than a microsecond, and two threads take it
from there.

The keeper writes what is in the queue to the spool, seven times a second, so that it survives the process. The sender
delivers what is in the spool, at the pace of the transport, and waits longer and longer while nobody answers. Both
wake seldom, since they take the interpreter from who trains. Neither ever holds him up, unless the queue is full; then
he waits a little, and what still does not fit is dropped and said so.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from time import monotonic
from typing import Any

from penstock.errors import TrackingUnavailable
from penstock.fluent.outbox.delivery import Delivery
from penstock.fluent.outbox.entries import lines_of
from penstock.fluent.outbox.pauses import Pauses
from penstock.fluent.outbox.segment import Segment
from penstock.fluent.outbox.source import DeliverySource
from penstock.fluent.outbox.writer import SpoolWriter
from penstock.fluent.transport.interface import TrackingTransport

log = logging.getLogger("penstock.tracking")

# How long the keeper gathers: what is at risk when the process is killed, with what a busy machine adds. Each time
# takes about 0.2 ms.
_GATHER_SECONDS = 0.13
# What is not gathered any longer, in bytes.
_MUCH_BYTES = 512 * 1024
_MAX_QUEUED = 100_000
_FULL_SECONDS = 1.0


class Outbox:
    """For one place. `make_segment` is called with the first entry; `spool_bytes` is what may wait on disk."""

    def __init__(
        self, transport: TrackingTransport, make_segment: Callable[[], Segment], spool_bytes: int, pauses: Pauses
    ) -> None:
        self._transport = transport
        self._spool_bytes = spool_bytes
        self._pauses = pauses
        self._writer = SpoolWriter(make_segment, spool_bytes)
        # The whole mutable state. The queue is put to without the lock; the keeper, while he rests, is to be woken.
        self._queue: deque[tuple[str, str, Any]] = deque()
        self._keeper_rests = True
        self.is_closed = False  # or a parent's, after a fork: nothing more is put
        # Under the lock: how many entries were taken from the queue and kept; how many threads wait for delivery, and
        # how often somebody did; failures in a row; whether the sender rests, delivers, and does so from memory; what
        # files in the spool have together; and whether waiting for room was in vain.
        self._renew_lock()
        self._taken = self._kept = 0
        self._waiters = self._flushes = self._failures = 0
        self._sender_rests = False
        self._is_idle, self._drains_memory = True, False
        self._file_bytes = 0
        self._is_full = self._closing = False
        self._threads: list[threading.Thread] = []

    def __repr__(self) -> str:
        return f"<Outbox for {self._transport.place}: {len(self._queue)} queued, {self._failures} failures>"

    def put(self, kind: str, run_id: str, item: Any) -> None:
        """Returns at once, unless the queue is full."""
        queue = self._queue
        if len(queue) >= _MAX_QUEUED and not self._room():
            self._lose(1)
            return
        queue.append((kind, run_id, item))
        if self._keeper_rests:
            self._wake()

    def put_all(self, kind: str, run_id: str, items: Iterable[Any]) -> None:
        """The same for several."""
        entries = [(kind, run_id, item) for item in items]
        if len(self._queue) >= _MAX_QUEUED and not self._room():
            self._lose(len(entries))
            return
        self._queue.extend(entries)
        if self._keeper_rests:
            self._wake()

    def add_file(self, run_id: str, path: str, write: Callable[[Path], object], directory: str = "") -> None:
        """`write` puts the content of an artifact at a place in the spool, from which it is delivered to `path` below
        the run's files, or below another `directory` of the server's. Raises OSError."""
        place = self._writer.opened().add_file()
        try:
            write(place)
            size = place.stat().st_size
        except BaseException:
            place.unlink(missing_ok=True)
            raise
        with self._lock:
            has_room = not self._failures or self._file_bytes + size <= self._spool_bytes
            self._file_bytes += size if has_room else 0
        if has_room:
            elsewhere = {"directory": directory} if directory else {}
            self.put("file", run_id, {"path": path, "name": place.name, **elsewhere})
        else:
            place.unlink()
            self._lose(1)

    def lose_file(self, run_id: str, path: str, error: OSError) -> None:
        """For which the spool has no room."""
        log.error("The file %r of run %s is lost: the spool has no room for it (%s).", path, run_id, error.strerror)
        self._lose(1)

    @property
    def is_failing(self) -> bool:
        """Whether nobody answered when last asked."""
        return self._failures > 0

    def flush(self, timeout: float, *, ask_again: bool = True) -> bool:
        """Whether everything that was put until now is delivered; False once it is known that it cannot be now, or
        after `timeout` seconds. It is in the spool then. `ask_again`: nothing is known until whoever did not answer
        before was asked once more."""
        deadline = monotonic() + timeout
        with self._lock:
            goal, failures = self._taken + len(self._queue), self._failures if ask_again else 0
            self._waiters += 1
            self._flushes += ask_again
            self._to_keep.notify()
            self._to_send.notify()
            try:
                while not self._is_delivered(goal):
                    left = deadline - monotonic()
                    known = self._kept >= goal and self._failures > failures
                    if known or left <= 0 or not self._threads:
                        return False
                    self._progress.wait(left)
                return True
            finally:
                self._waiters -= 1

    def close(self, timeout: float) -> bool:
        """The same, after which nothing more is put."""
        self.flush(timeout)
        with self._lock:
            self._closing = self.is_closed = self._keeper_rests = True
            self._to_keep.notify()
            self._to_send.notify()
        for thread in self._threads:
            thread.join(1.0)
        self._writer.finish()
        self.say_losses()
        done = not self._writer.waiting
        if self._writer.segment is not None and not any(thread.is_alive() for thread in self._threads):
            self._writer.segment.close()
        self._transport.close()
        return done

    def say_losses(self) -> None:
        """How much that was logged is lost, if anything is and it was not said before."""
        self._writer.say_losses()

    @property
    def spool(self) -> str:
        """Where what could not be delivered is."""
        return self._writer.segment.place if self._writer.segment is not None else ""

    def run_id_of(self, run_id: str) -> str:
        """The id that a run got where it could not have ours."""
        return self._writer.overflow.run_ids.get(run_id, run_id)

    def forget(self) -> None:
        """After a fork, in the child: queue, threads and segment are the parent's."""
        self._renew_lock()
        self.is_closed = self._keeper_rests = True
        self._threads = []
        if self._writer.segment is not None:
            self._writer.segment.forget()

    def _renew_lock(self) -> None:
        """With what is waited for under it: by the keeper, by the sender, and by those who wait for these. A handler of
        signals may log while the thread that it interrupts has the lock."""
        self._lock = threading.RLock()
        self._to_keep = threading.Condition(self._lock)
        self._to_send = threading.Condition(self._lock)
        self._progress = threading.Condition(self._lock)

    def _wake(self) -> None:
        with self._lock:
            if self.is_closed:
                self._lose(len(self._queue))
                self._queue.clear()
            elif self._threads or self._start():
                self._to_keep.notify()
                self._keeper_rests = (
                    False  # last: an interrupt before it wakes him twice, and one after it does no harm
                )
            else:
                self._keep_at_once()

    def _start(self) -> bool:
        """Whether there are threads; a program that ends has no new ones."""
        try:
            for work in (self._keep, self._send):
                thread = threading.Thread(target=work, name=f"penstock-log{work.__name__}", daemon=True)
                thread.start()
                self._threads.append(thread)
        except RuntimeError:
            return False
        return True

    def _keep_at_once(self) -> None:
        """For the next program."""
        taken = list(self._queue)
        self._queue.clear()
        self._writer.keep(lines_of(taken), len(taken), may_move=True)

    def _room(self) -> bool:
        """Whether the keeper made room while we waited a little; which is tried once, until he does."""
        with self._lock:
            if not self._is_full:
                self._is_full = not self._progress.wait_for(lambda: len(self._queue) < _MAX_QUEUED, _FULL_SECONDS)
            return not self._is_full

    def _lose(self, count: int) -> None:
        self._writer.lose(count)

    def _is_delivered(self, goal: int) -> bool:
        return self._kept >= goal and self._is_idle and not self._writer.waiting

    # -- the keeper ---------------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        while taken := self._gathered():
            with self._lock:
                may_move = not self._drains_memory
            try:
                self._writer.keep(lines_of(taken), len(taken), may_move=may_move)
            except Exception:
                log.exception("%d things that were logged cannot be written down.", len(taken))
                self._lose(len(taken))
            with self._lock:
                self._kept += len(taken)
                self._is_full = False
                self._progress.notify_all()
                if self._sender_rests or (self._writer.waiting >= _MUCH_BYTES and not self._failures):
                    self._to_send.notify()

    def _gathered(self) -> list[tuple[str, str, Any]]:
        """What was put in the time that it may wait; nothing at the end."""
        with self._lock:
            while not self._queue:
                if self._closing:
                    return []
                self._keeper_rests = True
                if not self._queue:  # or it was put to before he who put could see that
                    self._to_keep.wait()
                self._keeper_rests = False
            if not (self._waiters or self._closing):
                self._to_keep.wait(_GATHER_SECONDS)
            taken = [self._queue.popleft() for _ in range(len(self._queue))]
            self._taken += len(taken)
            return taken

    # -- the sender ---------------------------------------------------------------------------------------------------

    def _send(self) -> None:
        delivery: Delivery | None = None
        last = 0.0
        while (source := self._next_source(last)) is not None:
            # What is in memory may be moved to the spool after a delivery that failed, which is not gone on with then.
            if delivery is None or delivery.source is not source or source is self._writer.overflow:
                delivery = Delivery(self._transport, source)
            try:
                delivery.step()
            except TrackingUnavailable as error:
                self._wait_after(error)
                continue
            except Exception:
                log.exception("What was logged stays in the spool.")
                self._wait_after(TrackingUnavailable("It cannot be delivered."))
                continue
            last = monotonic()
            with self._lock:
                if self._failures:
                    log.warning("%s answers again, and gets what was logged meanwhile.", self._transport.place)
                self._failures, self._is_idle, self._drains_memory = 0, True, False
                if not self._writer.waiting:
                    self._file_bytes = 0
                self._progress.notify_all()

    def _next_source(self, last: float) -> DeliverySource | None:
        """Once there is something to deliver, and it is time; None at the end. `last` is when it was delivered."""
        with self._lock:
            while not self._closing:
                source = self._writer.source
                pause = last + self._transport.pace - monotonic()
                if source is None:
                    self._sender_rests = True
                    self._to_send.wait()
                    self._sender_rests = False
                elif pause > 0 and not self._waiters and self._writer.waiting < _MUCH_BYTES:
                    self._to_send.wait(pause)
                else:
                    self._is_idle, self._drains_memory = False, source is self._writer.overflow
                    return source
            return None

    def _wait_after(self, error: TrackingUnavailable) -> None:
        with self._lock:
            self._failures += 1
            self._is_idle, self._drains_memory = True, False
            if self._failures == 1:
                log.warning("%s What is logged is kept in %s until it is delivered.", error, self._writer.kept_in)
            self._progress.notify_all()
            pause, flushes = self._pauses.after(self._failures, error.retry_after), self._flushes
        self._writer.sync()
        with self._lock:
            self._to_send.wait_for(lambda: self._closing or self._flushes > flushes, pause)
