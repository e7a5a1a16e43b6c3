"""The gateway's side of the fork server: starts it once, and asks it for readers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import Executor

from penstock.errors import Overloaded
from penstock.reader_process.messages import receive_fds
from penstock.reader_process.process import ReaderProcess

log = logging.getLogger("penstock.readers")

_PROGRAM = "penstock.reader_process.fork_server"

# What the program's environment keeps of the gateway's: nothing that a setting, a token or a password could be in.
_KEPT = ("LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PATH", "TZ", "TZDIR")
_OWN = {
    "OPENBLAS_NUM_THREADS": "1",  # a process with threads cannot be forked safely
    "OMP_NUM_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}


class Launcher:
    """One fork server, started at the first `launch`, in one of `threads`. `on_ended` is told the process number and
    exit code of a reader that has ended."""

    def __init__(self, on_ended: Callable[[int, int], None], threads: Executor) -> None:
        self._on_ended = on_ended
        self._threads = threads
        # The whole mutable state: the program and its socket while there is one, whether it is being started, and who
        # waits for a reader with which modules, the first that asked first.
        self._program: subprocess.Popen[bytes] | None = None
        self._sock: socket.socket | None = None
        self._starting: asyncio.Task[socket.socket] | None = None
        self._waiting: deque[tuple[asyncio.Future[ReaderProcess], Collection[str]]] = deque()

    async def launch(self, preload: Collection[str]) -> ReaderProcess:
        """A new reader, forked after those modules were imported. Raises Overloaded where there can be none now."""
        sock = await self._started()
        reader: asyncio.Future[ReaderProcess] = asyncio.get_running_loop().create_future()
        self._waiting.append((reader, preload))
        try:
            sock.send(json.dumps({"preload": sorted(preload)}).encode())
        except OSError:
            self._lost()
        try:
            return await reader
        except asyncio.CancelledError:
            if reader.done() and not reader.cancelled() and reader.exception() is None:
                reader.result().close()  # it came in the moment in which nobody wanted it any more
            raise

    def started(self, reader: ReaderProcess) -> bool:
        """Whether the program that has forked this reader still runs, as far as anybody knows."""
        return self._program is not None and self._program.pid == reader.parent

    async def _started(self) -> socket.socket:
        if self._sock is not None:
            return self._sock
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
            self._starting.add_done_callback(self._start_is_over)
        return await asyncio.shield(self._starting)

    def _start_is_over(self, starting: asyncio.Task[socket.socket]) -> None:
        self._starting = None
        if not starting.cancelled():
            starting.exception()  # seen: whoever waited may have gone

    async def _start(self) -> socket.socket:
        spawning = asyncio.get_running_loop().run_in_executor(self._threads, _spawn)
        try:
            self._program, ours = await asyncio.shield(spawning)
        except OSError as error:
            log.error("No process can be started that reads bodies: %s.", error)
            raise lost_readers() from None
        except asyncio.CancelledError:
            spawning.add_done_callback(_discard)
            raise
        ours.setblocking(False)
        asyncio.get_running_loop().add_reader(ours.fileno(), self._heard)
        self._sock = ours
        return ours

    def _heard(self) -> None:
        assert self._sock is not None
        try:
            packet, fds = receive_fds(self._sock)
        except BlockingIOError:
            return
        except OSError:
            packet, fds = b"", []
        if not packet:
            self._lost()
            return
        message = json.loads(packet)
        if "ended" in message:
            self._on_ended(message["ended"], message["code"])
            return
        waiting, preload = self._waiting.popleft()
        if "failed" in message or not fds:
            log.error("No process can be forked that reads bodies: %s.", message.get("failed", "too many open files"))
            if not waiting.done():
                waiting.set_exception(lost_readers())
            return
        assert self._program is not None
        reader = ReaderProcess(socket.socket(fileno=fds[0]), message["pid"], preload, self._program.pid)
        if waiting.done():  # whoever asked has gone
            reader.close()
        else:
            waiting.set_result(reader)

    def _lost(self) -> None:
        """The program has ended; another one is started when somebody asks."""
        log.warning("The process that starts readers of bodies has ended; another one is started when it is needed.")
        self._end()
        waiting, self._waiting = self._waiting, deque()
        for reader, _ in waiting:
            if not reader.done():
                reader.set_exception(lost_readers())

    def _end(self) -> None:
        sock, self._sock = self._sock, None
        program, self._program = self._program, None
        if sock is not None:
            asyncio.get_running_loop().remove_reader(sock.fileno())
            sock.close()
        if program is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            program.wait()

    def close(self) -> None:
        """Ends the program and every reader. Safe to call twice."""
        if self._starting is not None:
            self._starting.cancel()
        self._end()
        for reader, _ in self._waiting:
            reader.cancel()

    def __repr__(self) -> str:
        return f"<Launcher {'not started' if self._program is None else self._program.pid}>"


def lost_readers() -> Overloaded:
    """The error of a caller whose body nobody can read at the moment."""
    return Overloaded("No process can read the body at the moment.", limit="readers")


def _discard(spawning: asyncio.Future[tuple[subprocess.Popen[bytes], socket.socket]]) -> None:
    """Ends a program that was started for nobody: it ends with its socket."""
    if not spawning.cancelled() and spawning.exception() is None:
        program, sock = spawning.result()
        sock.close()
        program.wait()


def _spawn() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """The program, and the socket to it. Raises OSError."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        return _popen(theirs), ours
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()


def _popen(sock: socket.socket) -> subprocess.Popen[bytes]:
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return subprocess.Popen(
        [sys.executable, "-s", "-P", "-m", _PROGRAM, str(sock.fileno())],
        pass_fds=(sock.fileno(),),
        env={**environment, **_OWN, "PYTHONPATH": path},
        cwd="/",
        process_group=0,  # a session of its own would have a share of the processor of its own, whatever its `nice`
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
