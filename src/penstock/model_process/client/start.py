"""The gateway's side of a start: an interpreter, a process in it, and the socket to speak over.

Blocking, for a thread. What is started is a `keeper` with the model process inside; ending is letting go of its
lifeline, and then nothing of it stays.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Protocol, TypeAlias

from penstock.defaults import LOAD_TIMEOUT
from penstock.errors import ModelProcessLost
from penstock.machine.exit_status import how_it_ended
from penstock.machine.interpreters import Interpreter
from penstock.model_process.program import boot
from penstock.model_process.protocol.messages import MAX_ANSWER, Frame, Incoming, Kind, Malformed, encode
from penstock.model_process.protocol.remote_errors import rebuild
from penstock.model_process.protocol.startup import ModelStarted, Opened, StartModel, dump, parse
from penstock.payload import clipped

log = logging.getLogger("penstock.model_process")

# What a model prints, a line at a time.
OnLine: TypeAlias = Callable[[str], None]

# Begins a process: its interpreter, where its output goes, whether it is throttled while it loads. Raises
# ModelProcessLost.
Launch: TypeAlias = "Callable[[Interpreter, OnLine, bool], ModelProcessHandle]"

# How long a process whose connection has ended may take to end, too.
END_SECONDS = 5.0
_SOCKET_BUFFER = 4 << 20


class KeeperProcess(Protocol):
    """The process around a model process, a child of this one or not. `pid` is 0 where it is not to be known."""

    @property
    def pid(self) -> int: ...

    @property
    def stderr(self) -> IO[bytes] | None:
        """Its output, and that of the model process."""

    def wait(self) -> int:
        """Its return code, once it has ended."""


class ModelProcessHandle:
    """A started process. `ended` gives how it ended, in words, once all of it is gone."""

    def __init__(self, process: KeeperProcess, sock: socket.socket, lifeline: int, on_line: OnLine) -> None:
        self.sock = sock
        self.ended: Future[str] = Future()
        self._process = process
        self._lock = threading.Lock()
        # The whole mutable state: the lifeline, until it is let go of, and the last that it printed.
        self._lifeline: int | None = lifeline
        self._last_line = ""
        threading.Thread(target=self._listen, args=(on_line,), name="penstock-model-output", daemon=True).start()

    @property
    def keeper(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """Ends it, with all that it has started, at once. Safe to call twice."""
        with self._lock:
            lifeline, self._lifeline = self._lifeline, None
        if lifeline is not None:
            os.close(lifeline)

    def close(self) -> None:
        """Lets go of everything. The process is gone soon after."""
        self.kill()
        self.sock.close()

    def why_it_ended(self) -> str:
        """How it ended and what it printed last, for a process that is about to end."""
        try:
            how = self.ended.result(timeout=END_SECONDS)
        except TimeoutError:
            how = "stopped sending messages"
        last = f"; last output: {clipped(self._last_line)}" if self._last_line else ""
        return f"{how} while it loaded its package{last}"

    def model_pid(self) -> int | None:
        """The process id of the model process, the keeper's child."""
        try:
            children = Path(f"/proc/{self.keeper}/task/{self.keeper}/children").read_text(encoding="ascii").split()
            return int(children[0]) if children else None
        except (OSError, ValueError):
            return None

    def _listen(self, on_line: OnLine) -> None:
        """The keeper hands lines on at a bounded rate, and ends its output when it ends."""
        assert self._process.stderr is not None
        with self._process.stderr as output:
            for line in output:
                self._last_line = _harmless(line)
                on_line(self._last_line)
        code = self._process.wait()
        self.kill()
        self.ended.set_result(how_it_ended(code))

    def __repr__(self) -> str:
        return f"<ModelProcessHandle {self.keeper}{', ended' if self.ended.done() else ''}>"


def _harmless(line: bytes) -> str:
    """Nothing that a terminal would obey."""
    text = line.decode(errors="backslashreplace").rstrip()
    return text if text.isprintable() else "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in text)


@dataclass(frozen=True, slots=True)
class Started:
    """A process that has proven its package and waits for questions."""

    process: ModelProcessHandle
    incoming: Incoming
    digest: str
    model: ModelStarted
    seconds: float


def start(
    begin: StartModel,
    interpreter: Interpreter,
    on_line: OnLine,
    *,
    throttled: bool = False,
    timeout: float = LOAD_TIMEOUT,
    on_launched: Callable[[ModelProcessHandle], None] = lambda process: None,
    launch: Launch | None = None,
) -> Started:
    """Starts a process and waits until it has proven its package, for `timeout` seconds at most; `throttled` where this
    machine serves requests meanwhile. `on_launched` is given the process at once: killing it ends the wait. `launch`
    begins the process, where that is not to be done from nothing. An interpreter that is not this program's own needs
    the distributions of HOST_NEEDS (`environments`) and no Penstock. Raises what loading raises, and ModelProcessLost
    where the process ends, hangs, or sends something else."""
    if interpreter.is_own:
        begin = replace(begin, import_path=tuple(sys.path))
    began = time.monotonic()
    process = (launch or _launch)(interpreter, on_line, throttled)
    try:
        on_launched(process)
        incoming = Incoming(max_body=MAX_ANSWER)
        digest, model = _handshake(process, begin, incoming, began, timeout)
        return Started(process, incoming, digest, model, time.monotonic() - began)
    except BaseException:
        process.close()
        raise


def _launch(interpreter: Interpreter, on_line: OnLine, throttled: bool) -> ModelProcessHandle:
    ours, theirs = socket.socketpair()
    watched, lifeline = os.pipe()
    for end in (ours, theirs):
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            end.setsockopt(socket.SOL_SOCKET, option, _SOCKET_BUFFER)
    try:
        process = subprocess.Popen(
            [str(interpreter.path), boot.__file__, str(theirs.fileno()), str(watched), *([boot.THROTTLED] * throttled)],
            pass_fds=(theirs.fileno(), watched),
            env=environment_of(interpreter),
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        os.close(lifeline)
        ours.close()
        raise ModelProcessLost(f"{interpreter.path} cannot be started: {error.strerror}.") from None
    finally:
        theirs.close()
        os.close(watched)
    return ModelProcessHandle(process, ours, lifeline, on_line)


def environment_of(interpreter: Interpreter) -> dict[str, str]:
    """The gateway's, without its own settings: tokens and passwords among them are no business of a model's."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    return {**own, **interpreter.variables}


def _handshake(
    process: ModelProcessHandle, begin: StartModel, incoming: Incoming, began: float, timeout: float
) -> tuple[str, ModelStarted]:
    sock = process.sock
    try:
        for piece in encode(Kind.START, note=dump(begin)):
            sock.sendall(piece)
        frames = _frames(sock, incoming, began + timeout)
        opened = parse(Opened, _expect(Kind.OPENED, frames))
        model = parse(ModelStarted, _expect(Kind.STARTED, frames))
    except TimeoutError:
        raise ModelProcessLost(
            f"The model process did not load the package in time: it was ended after {timeout:g} seconds.",
            hint="Raise the setting load_timeout if the package needs longer.",
        ) from None
    except ValueError as error:
        raise ModelProcessLost(f"The model process sent an invalid message: {error}.") from None
    except (EOFError, OSError):
        raise ModelProcessLost(f"The model process {process.why_it_ended()}.") from None
    sock.setblocking(False)
    return opened.digest, model


def _frames(sock: socket.socket, incoming: Incoming, deadline: float) -> Iterator[Frame]:
    while True:
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        count = sock.recv_into(incoming.room())
        if not count:
            raise EOFError
        yield from incoming.filled(count)


def _expect(kind: Kind, frames: Iterator[Frame]) -> bytes:
    """The note of the next frame. Raises ValueError where it is of another kind, and the error that a FAILED holds."""
    frame = next(frames)
    if frame.kind is Kind.FAILED:
        raise rebuild(frame.note)
    if frame.kind is not kind:
        raise Malformed(f"{frame.kind.name} instead of {kind.name}")
    return frame.note
