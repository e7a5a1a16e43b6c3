"""The outbox: what a program logs goes into a queue, which costs it a microsecond, and two threads take it from there.

The keeper writes what is in the queue to the spool, six times a second, so that it survives the process. The
sender delivers what is in the spool, and waits longer and longer while nobody answers. Neither ever holds up who logs,
unless the queue is full; then he waits a little, and what still does not fit is dropped and said so.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

from penstock.errors import TrackingUnavailable
from penstock.fluent.outbox.delivery import Delivery
from penstock.fluent.outbox.entries import records_of
from penstock.fluent.outbox.pauses import Pauses
from penstock.fluent.outbox.segment import Segment
from penstock.fluent.transport.interface import TrackingTransport

log = logging.getLogger("penstock.tracking")

# How long the keeper gathers: what is at risk when the process is killed.
_GATHER_SECONDS = 0.15
_MAX_QUEUED = 100_000
_FULL_SECONDS = 1.0


class Outbox:
    """For one place. `make_segment` is called with the first entry; `spool_bytes` is what may wait on disk."""

    def __init__(
        self, transport: TrackingTransport, make_segment: Callable[[], Segment], spool_bytes: int, pauses: Pauses
    ) -> None:
        self._transport = transport
        self._make_segment = make_segment
        self._spool_bytes = spool_bytes
        self._pauses = pauses
        # The whole mutable state, all of it under the condition: what is queued; how many entries were queued and are
        # in the spool; whether somebody waits, and how often somebody did; failures in a row; what files in the spool
        # have together; what was dropped; whether waiting for room was in vain, and whether the spool
        # took nothing when last written.
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._queue: list[tuple[str, str, Any]] = []
        self._put = self._kept = 0
        self._segment: Segment | None = None
        self._hurried = self._closing = False
        self.is_closed = False  # or a parent's, after a fork: nothing more is put
        self._flushes = self._failures = 0
        self._file_bytes = 0
        self._full = self._unwritten = False
        self._idle = True
        self._dropped = 0
        self._threads: list[threading.Thread] = []

    def __repr__(self) -> str:
        return f"<Outbox for {self._transport.place}: {len(self._queue)} queued, {self._failures} failures>"

    def put(self, kind: str, run_id: str, item: Any) -> None:
        """Returns at once, unless the queue is full."""
        with self._lock:
            if len(self._queue) >= _MAX_QUEUED and not self._room():
                self._drop()
                return
            self._queue.append((kind, run_id, item))
            self._put += 1
            if len(self._queue) == 1:
                if not self._threads:
                    self._start()
                self._changed.notify_all()

    def add_file(self, run_id: str, path: str, write: Callable[[Path], object]) -> None:
        """`write` puts the content of an artifact at a place in the spool, from which it is delivered to `path`. Raises
        OSError."""
        with self._changed:
            segment = self._opened()
        place = segment.add_file()
        write(place)
        size = place.stat().st_size
        with self._changed:
            if self._failures and self._file_bytes + size > self._spool_bytes:
                place.unlink()
                self._drop()
                return
            self._file_bytes += size
        self.put("file", run_id, {"path": path, "name": place.name})

    @property
    def is_failing(self) -> bool:
        """Whether nobody answered when last asked."""
        return self._failures > 0

    def flush(self, timeout: float, *, ask_again: bool = True) -> bool:
        """Whether everything that was put until now is delivered; False once it is known that it cannot be now, or
        after `timeout` seconds. It is in the spool then. `ask_again`: nothing is known until whoever did not answer
        before was asked once more."""
        deadline = monotonic() + timeout
        with self._changed:
            goal, failures = self._put, self._failures if ask_again else 0
            self._hurried = True
            self._flushes += ask_again
            self._changed.notify_all()
            while not self._is_delivered(goal):
                left = deadline - monotonic()
                known = (self._kept >= goal or self._unwritten) and self._failures > failures
                if known or left <= 0 or not self._threads:
                    return False
                self._changed.wait(left)
            return True

    def close(self, timeout: float) -> bool:
        """The same, after which nothing more is put."""
        done = self.flush(timeout)
        with self._changed:
            self._closing = self.is_closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(1.0)
        if self._queue:
            log.error("%d things that were logged are lost: the spool took nothing.", len(self._queue))
        if self._segment is not None and not any(thread.is_alive() for thread in self._threads):
            self._segment.close()
        self._transport.close()
        return done

    @property
    def spool(self) -> str:
        """Where what could not be delivered is."""
        return str(self._segment.directory) if self._segment is not None else ""

    def run_id_of(self, run_id: str) -> str:
        """The id that a run got where it could not have ours."""
        return self._segment.run_ids.get(run_id, run_id) if self._segment is not None else run_id

    def forget(self) -> None:
        """After a fork, in the child: queue, threads and segment are the parent's."""
        self.is_closed = True
        if self._segment is not None:
            self._segment.forget()

    def _start(self) -> None:
        for work in (self._keep, self._send):
            thread = threading.Thread(target=work, name=f"penstock-log{work.__name__}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _opened(self) -> Segment:
        if self._segment is None:
            self._segment = self._make_segment()
        return self._segment

    def _room(self) -> bool:
        """Whether the keeper made room while we waited a little; which is tried once, until he does."""
        if not self._full:
            self._full = not self._changed.wait_for(lambda: len(self._queue) < _MAX_QUEUED, _FULL_SECONDS)
        return not self._full

    def _drop(self) -> None:
        self._dropped += 1
        if self._dropped & (self._dropped - 1) == 0:  # the 1st, 2nd, 4th, 8th …
            log.error(
                "%d things that were logged are lost: %s takes nothing, and the spool is full or cannot be written. "
                "Make room, or raise PENSTOCK_SPOOL_MB.",
                *(self._dropped, self._transport.place),
            )

    def _is_delivered(self, goal: int) -> bool:
        return self._kept >= goal and self._idle and (self._segment is None or not self._segment.waiting)

    # -- the keeper ---------------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closing)
                if not self._queue:
                    return
                self._changed.wait_for(lambda: self._hurried or self._closing, _GATHER_SECONDS)
                taken, self._queue = self._queue, []
                failing = self._failures > 0
                self._changed.notify_all()
            if self._write(b"".join(record.line() for record in records_of(taken)), durable=failing):
                with self._changed:
                    self._kept += len(taken)
                    self._hurried = self._full = self._unwritten = False
                    self._changed.notify_all()
            else:
                with self._changed:
                    self._queue[:0] = taken
                    self._unwritten = True
                    self._changed.notify_all()
                    if self._closing:
                        return
                    self._changed.wait(_FULL_SECONDS)

    def _write(self, lines: bytes, *, durable: bool) -> bool:
        """Whether the spool took it."""
        try:
            with self._changed:
                segment = self._opened()
            if segment.waiting and segment.waiting + len(lines) > self._spool_bytes:
                return False
            segment.append(lines, durable=durable)
        except OSError as error:
            log.warning("The spool cannot be written: %s.", error)
            return False
        return True

    # -- the sender ---------------------------------------------------------------------------------------------------

    def _send(self) -> None:
        delivery: Delivery | None = None
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or (self._segment is not None and self._segment.waiting))
                if self._closing:
                    return
                assert self._segment is not None
                delivery = delivery or Delivery(self._transport, self._segment)
                self._idle = False
            try:
                delivery.step()
            except TrackingUnavailable as error:
                self._wait_after(error)
                continue
            except Exception:
                log.exception("What was logged stays in the spool.")
                self._wait_after(TrackingUnavailable("It cannot be delivered."))
                continue
            with self._changed:
                if self._failures:
                    log.warning("%s answers again, and gets what was logged meanwhile.", self._transport.place)
                self._failures, self._idle = 0, True
                if not self._segment.waiting:
                    self._file_bytes = 0
                self._changed.notify_all()

    def _wait_after(self, error: TrackingUnavailable) -> None:
        with self._changed:
            self._failures += 1
            self._idle = True
            if self._failures == 1:
                log.warning("%s What is logged is kept in %s until it is delivered.", error, self.spool)
            self._changed.notify_all()
            pause, flushes = self._pauses.after(self._failures, error.retry_after), self._flushes
            self._changed.wait_for(lambda: self._closing or self._flushes > flushes, pause)
