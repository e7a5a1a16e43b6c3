"""The end of a server process, in time, whatever hangs in it.

A thread in a library's C code cannot be ended, and Python waits for it when the program ends; an event loop that is
stuck hears no signal. So a thread of its own hears signals first, passes them on to the event loop, and when the time
for an orderly end is over it writes out what is still to be written and ends the process. Model processes and readers
end by themselves once this process is gone.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

log = logging.getLogger("penstock.server")

# If writing the last lines hangs, too, or the interpreter is held for good, the process ends so many seconds later.
_LAST_SECONDS = 0.2

# How long the process may go on once everything is closed, and where what it served has failed.
CLOSED_SECONDS = 0.3
FAILED_SECONDS = 5.0


class ExitLimit:
    """Ends this process within `seconds` of its first SIGTERM or SIGINT. Nothing happens before a signal, or `within`.
    `leave` ends the process."""

    def __init__(
        self, seconds: float, *, leave: Callable[[], object] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.seconds = seconds
        self.status = 0  # that the process ends with
        self._leave = leave or self._exit
        self._nowhere = open(os.devnull, "w") if leave is None else None  # noqa: SIM115  (closed at the end)
        self._clock = clock
        # The whole mutable state: when the process is to end, where signals are passed on to, whether it is cancelled.
        self._due: float | None = None
        self._forward: int | None = None
        self._cancelled = False
        self._lock = threading.Lock()
        self._signals, self._wake = socket.socketpair()
        self._wake.setblocking(False)
        self._thread = threading.Thread(target=self._watch, name="penstock-exit-limit", daemon=True)
        self._thread.start()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Signals go by this limit to the event loop that handles them. Called in the main thread, once the loop has
        its handlers."""
        before = signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        self._forward = before if before >= 0 else None
        try:
            yield
        finally:
            self._forward = None
            signal.set_wakeup_fd(before, warn_on_full_buffer=False)

    def within(self, seconds: float) -> None:
        """The process ends in so many seconds at the latest. A later call can only make that sooner."""
        due = self._clock() + seconds
        with self._lock:
            if self._cancelled or (self._due is not None and self._due <= due):
                return
            self._due = due
        self._poke()
        if self._nowhere is not None:
            faulthandler.dump_traceback_later(seconds + _LAST_SECONDS, exit=True, file=self._nowhere)

    @contextmanager
    def after(self) -> Iterator[None]:
        """Around all that is served: what is there afterwards has little time to end."""
        try:
            yield
        except BaseException:
            self.status = 1
            self.within(FAILED_SECONDS)  # whoever failed still has something to say
            raise
        self.within(CLOSED_SECONDS)

    def cancel(self) -> None:
        """The process goes on."""
        with self._lock:
            self._cancelled, self._due = True, None
        if self._nowhere is not None:
            faulthandler.cancel_dump_traceback_later()
            self._nowhere.close()
        self._poke()
        self._thread.join()
        self._signals.close()
        self._wake.close()

    def _poke(self) -> None:
        with suppress(OSError):  # full: it is awake
            self._wake.send(b"\0")

    def _watch(self) -> None:
        while not self._cancelled:
            due = self._due
            left = None if due is None else due - self._clock()
            if left is not None and left <= 0:
                self._leave()
                return
            self._signals.settimeout(left)
            try:
                heard = self._signals.recv(64)
            except TimeoutError:
                continue
            if (signals := heard.replace(b"\0", b"")) and (forward := self._forward) is not None:
                with suppress(OSError):
                    os.write(forward, signals)
            if {signal.SIGTERM, signal.SIGINT} & set(signals):
                self.within(self.seconds)

    def _exit(self) -> NoReturn:
        """Ends the process at once, after a line on what it leaves behind."""
        log.warning("Exiting although work is unfinished: %s.", ", ".join(busy_threads()) or "the event loop hangs")
        for stream in (*(getattr(handler, "stream", None) for handler in logging.getLogger().handlers), sys.stdout):
            with suppress(Exception):
                stream.flush()  # type: ignore[union-attr]
        os._exit(self.status)

    def __repr__(self) -> str:
        left = "not set" if self._due is None else f"in {self._due - self._clock():.1f} s"
        return f"<ExitLimit {left}>"


@contextmanager
def ended_in_time(limit: ExitLimit) -> Iterator[None]:
    """Around the event loop's whole life. Threads that are still at work afterwards are left behind, since Python would
    wait for them; without any the limit is lifted."""
    try:
        yield
    except BaseException:
        limit.cancel()
        raise
    if busy_threads():
        limit.within(0.0)
    else:
        limit.cancel()


def busy_threads() -> list[str]:
    """The names of threads that Python would wait for and that are at work; those of pools that wait for work are
    not."""
    frames = sys._current_frames()
    busy = []
    for thread in threading.enumerate():
        frame = frames.get(thread.ident or 0)
        idle = frame is None or (frame.f_code.co_name == "_worker" and frame.f_globals.get("__name__") == _POOLS)
        if not thread.daemon and thread is not threading.main_thread() and not idle:
            busy.append(thread.name)
    return busy


_POOLS = "concurrent.futures.thread"
