"""The gateway's side of a start: an interpreter, a process in it, and the socket to speak over.

Blocking, for a thread. What is started is a `keeper` with the model's process inside; ending is letting go of its
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
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from penstock.errors import ModelProcessLost
from penstock.machine.exit_status import how_it_ended
from penstock.model_process.program import boot
from penstock.model_process.protocol.messages import Frame, Incoming, Kind, Malformed, encode
from penstock.model_process.protocol.remote_errors import rebuild
from penstock.model_process.protocol.startup import ModelStarted, Opened, StartModel, dump, parse
from penstock.payload import clipped

log = logging.getLogger("penstock.host")

# What a model prints, a line at a time.
Say: TypeAlias = Callable[[str], None]

# A load that takes longer hangs.
START_SECONDS = 600.0

# How long one that said nothing more may take to end.
LAST_WORDS = 5.0
_SOCKET_BUFFER = 4 << 20
_MOST_BODY = 256 << 20


@dataclass(frozen=True, slots=True)
class InterpreterCommand:
    """The Python that a model runs in, and what its environment has beside the gateway's. The gateway's own, unless
    another one is named, which needs the distributions of HOST_NEEDS (`environments`) and no Penstock."""

    python: Path = field(default_factory=lambda: Path(sys.executable))
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_own(self) -> bool:
        return self.python == Path(sys.executable)


class ModelProcessHandle:
    """A started process. `ended` gives how it ended, in words, once all of it is gone."""

    def __init__(self, process: subprocess.Popen[bytes], sock: socket.socket, lifeline: int, say: Say) -> None:
        self.sock = sock
        self.ended: Future[str] = Future()
        self._process = process
        self._lock = threading.Lock()
        # The whole mutable state: the lifeline, until it is let go of, and the last that it printed.
        self._lifeline: int | None = lifeline
        self._last_line = ""
        threading.Thread(target=self._listen, args=(say,), name="penstock-model-output", daemon=True).start()

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

    def last_words(self) -> str:
        """How it ended and what it printed last, for a process that is about to end."""
        try:
            how = self.ended.result(timeout=LAST_WORDS)
        except TimeoutError:
            how = "went silent"
        said = f", saying: {clipped(self._last_line)}" if self._last_line else ""
        return f"{how} while it loaded its package{said}"

    def model_pid(self) -> int | None:
        """The number of the model's own process, the keeper's child."""
        try:
            children = Path(f"/proc/{self.keeper}/task/{self.keeper}/children").read_text(encoding="ascii").split()
            return int(children[0]) if children else None
        except (OSError, ValueError):
            return None

    def _listen(self, say: Say) -> None:
        """The keeper hands lines on at a bounded rate, and ends its output when it ends."""
        assert self._process.stderr is not None
        with self._process.stderr as output:
            for line in output:
                self._last_line = _harmless(line)
                say(self._last_line)
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
    hello: ModelStarted
    seconds: float


def start(
    begin: StartModel,
    interpreter: InterpreterCommand,
    say: Say,
    *,
    gently: bool = False,
    patience: float = START_SECONDS,
    launched: Callable[[ModelProcessHandle], None] = lambda process: None,
) -> Started:
    """Starts a process and waits until it has proven its package; `gently` where this machine serves others meanwhile.
    `launched` is given the process at once: killing it ends the wait. Raises what loading raises, and ModelProcessLost
    where the process ends, hangs, or says something else."""
    if interpreter.is_own:
        begin = replace(begin, import_path=tuple(sys.path))
    began = time.monotonic()
    process = _launch(interpreter, say, gently)
    try:
        launched(process)
        incoming = Incoming(most_body=_MOST_BODY)
        digest, hello = _greet(process, begin, incoming, began + patience)
        return Started(process, incoming, digest, hello, time.monotonic() - began)
    except BaseException:
        process.close()
        raise


def _launch(interpreter: InterpreterCommand, say: Say, gently: bool) -> ModelProcessHandle:
    ours, theirs = socket.socketpair()
    watched, lifeline = os.pipe()
    for end in (ours, theirs):
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            end.setsockopt(socket.SOL_SOCKET, option, _SOCKET_BUFFER)
    try:
        process = subprocess.Popen(
            [str(interpreter.python), boot.__file__, str(theirs.fileno()), str(watched), *([boot.GENTLY] * gently)],
            pass_fds=(theirs.fileno(), watched),
            env=_environment(interpreter),
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        os.close(lifeline)
        ours.close()
        raise ModelProcessLost(f"{interpreter.python} cannot be started: {error.strerror}.") from None
    finally:
        theirs.close()
        os.close(watched)
    return ModelProcessHandle(process, ours, lifeline, say)


def _environment(interpreter: InterpreterCommand) -> dict[str, str]:
    """The gateway's, without its own settings: tokens and passwords among them are no business of a model's."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    return {**own, **interpreter.environment}


def _greet(
    process: ModelProcessHandle, begin: StartModel, incoming: Incoming, until: float
) -> tuple[str, ModelStarted]:
    sock = process.sock
    try:
        for piece in encode(Kind.BEGIN, note=dump(begin)):
            sock.sendall(piece)
        frames = _frames(sock, incoming, until)
        opened = parse(Opened, _expect(Kind.OPENED, frames))
        hello = parse(ModelStarted, _expect(Kind.HELLO, frames))
    except TimeoutError:
        raise ModelProcessLost("The model's process did not load its package in time.") from None
    except ValueError as error:
        raise ModelProcessLost(f"The model's process said what nobody understands: {error}.") from None
    except (EOFError, OSError):
        raise ModelProcessLost(f"The model's process {process.last_words()}.") from None
    sock.setblocking(False)
    return opened.digest, hello


def _frames(sock: socket.socket, incoming: Incoming, until: float) -> Iterator[Frame]:
    while True:
        sock.settimeout(max(0.001, until - time.monotonic()))
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
