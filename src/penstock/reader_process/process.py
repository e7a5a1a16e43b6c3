"""The gateway's side of one reader: a task goes out, its outcome comes in, or the process is ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterable

from penstock.machine.memory_file import MemoryFile
from penstock.reader_process.messages import Outcome, ReaderTask, packed, parse, receive, send


class ReaderLost(Exception):
    """The process has ended, or was ended, before its task was done; the text says how, and follows "the reader"."""


class ReaderProcess:
    """A reader with at most one task at a time, forked by the process `parent`. `preloaded` are modules that it has
    imported, `codecs` the numbers of those that it has been told; `code` is the exit code to come, negative for a
    signal."""

    def __init__(self, sock: socket.socket, pid: int, preloaded: Iterable[str] = (), parent: int = 0) -> None:
        self.pid = pid
        self.parent = parent
        self.preloaded = set(preloaded)
        self.codecs: set[int] = set()
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self.code: asyncio.Future[int] = self._loop.create_future()
        # The whole mutable state: the task under way, and whether the process is known to have ended.
        self._outcome: asyncio.Future[tuple[Outcome, MemoryFile]] | None = None
        self.ended = False
        sock.setblocking(False)
        self._loop.add_reader(sock.fileno(), self._heard)

    def start(self, task: ReaderTask, files: list[int]) -> asyncio.Future[tuple[Outcome, MemoryFile]]:
        """Hands over a task and its files. The future raises ReaderLost."""
        self._outcome = outcome = self._loop.create_future()
        try:
            send(self._sock, packed(task), files)
        except OSError:
            self._lose("has ended")
        return outcome

    def processor_seconds(self) -> float:
        """What it has used since it was forked; 0 where it has ended."""
        try:
            return time.clock_gettime((~self.pid << 3) | 2)  # as clock_getcpuclockid(3) makes it
        except OSError:
            return 0.0

    def kill(self, how: str) -> None:
        """Ends the process at once, whatever it does."""
        if not self.ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self._lose(how)

    def close(self) -> None:
        """Lets an idle one go: it ends when it sees that."""
        self._lose("was closed")

    def _heard(self) -> None:
        try:
            received = receive(self._sock)
        except BlockingIOError:
            return
        except OSError:
            received = None
        if received is None:
            self._lose("crashed")
            return
        packet, files = received
        outcome = self._outcome
        try:
            message = parse(Outcome, packet)
            if outcome is None or len(files) != 1 or not files[0].is_sealed:
                raise ValueError("not what was asked for")
        except (ValueError, OSError):
            self.kill("sent an invalid message")
            return
        self._outcome = None
        if not outcome.done():
            outcome.set_result((message, files[0]))
        if message.retiring:
            self._lose("was closed")

    def _lose(self, how: str) -> None:
        if self.ended:
            return
        self.ended = True
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        outcome, self._outcome = self._outcome, None
        if outcome is not None and not outcome.done():
            outcome.set_exception(ReaderLost(how))
            outcome.exception()  # seen: nobody may be waiting for it any more

    def __repr__(self) -> str:
        state = "ended" if self.ended else "busy" if self._outcome is not None else "idle"
        return f"<ReaderProcess {self.pid} {state}>"
