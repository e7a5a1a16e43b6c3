"""The gateway's side of the program that forks model processes: started once, asked for a process at each load."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Collection
from contextlib import suppress
from typing import IO

from penstock.errors import ModelProcessLost
from penstock.machine.cores import THREAD_VARIABLES
from penstock.machine.interpreters import own_interpreter
from penstock.model_process.client.start import ModelProcessHandle, OnLine, environment_of
from penstock.model_process.program import boot

# A process with threads cannot be forked safely: neither libraries of numbers nor Arrow may have any.
_NO_THREADS = {**dict.fromkeys(THREAD_VARIABLES, "1"), "ARROW_DEFAULT_MEMORY_POOL": "system"}


class ForkedKeeper:
    """A keeper that is no child of this process: `output` is the file that it writes to, `told` the one in
    which its end is told."""

    pid = 0  # nobody here may signal it

    def __init__(self, output: int, told: int) -> None:
        self.stderr: IO[bytes] | None = os.fdopen(output, "rb")
        self._told = told

    def wait(self) -> int:
        """How it ended, as a return code. Blocks until then; once."""
        with open(self._told, "rb") as told:
            text = told.read(16)
        return int(text) if text else 1  # where it could not be forked, or the program that forks has ended

    def __repr__(self) -> str:
        return f"<ForkedKeeper {self._told}>"


class ModelProcessForks:
    """One fork server for this interpreter's libraries, started when it is first needed and ended by `close`. Safe to
    use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # The whole mutable state: the program and its socket, while there is one; whether there will be none any more.
        self._program: subprocess.Popen[bytes] | None = None
        self._sock: socket.socket | None = None
        self._closed = False

    def warm_up(self, flavors: Collection[str]) -> None:
        """Has the program import what these flavors need, before there is something to load beside requests. Does not
        wait for that."""
        with suppress(ModelProcessLost):
            self._ask(flavors, [], beside_requests=True)

    def launch(self, flavors: Collection[str], on_line: OnLine, *, beside_requests: bool) -> ModelProcessHandle:
        """A process to load a package of one of these flavors; as `start` begins one, but that beside requests it has
        low priority, as all have that are launched after it. Raises ModelProcessLost."""
        ours, theirs = socket.socketpair()
        watched, lifeline = os.pipe()
        output_read, output = os.pipe()
        told_read, told = os.pipe()
        try:
            self._ask(flavors, [theirs.fileno(), watched, output, told], beside_requests=beside_requests)
        except BaseException:
            ours.close()
            for file in (lifeline, output_read, told_read):
                os.close(file)
            raise
        finally:
            theirs.close()
            for file in (watched, output, told):
                os.close(file)
        return ModelProcessHandle(ForkedKeeper(output_read, told_read), ours, lifeline, on_line)

    def _ask(self, flavors: Collection[str], files: list[int], *, beside_requests: bool) -> None:
        order = {"flavors": sorted(flavors), "import_path": sys.path, "beside_requests": beside_requests}
        packet = json.dumps(order).encode()
        with self._lock:
            try:
                socket.send_fds(self._started(), [packet], files)
            except OSError:  # it has ended; another one is started
                self._end()
                try:
                    socket.send_fds(self._started(), [packet], files)
                except OSError as error:
                    raise ModelProcessLost(f"No process can be started that loads models: {error.strerror}.") from None

    def _started(self) -> socket.socket:
        """Raises OSError, and ModelProcessLost after the end."""
        if self._closed:
            raise ModelProcessLost("The server is being closed.")
        if self._sock is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                try:
                    self._program = _popen(theirs.fileno())
                except BaseException:
                    ours.close()
                    raise
            self._sock = ours
        return self._sock

    def _end(self) -> None:
        program, self._program = self._program, None
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()
        if program is not None:
            with suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            program.wait()

    def end(self) -> None:
        """Ends the program until it is needed again. No process that it has forked may be in use."""
        with self._lock:
            self._end()

    def close(self) -> None:
        """Ends the program. Processes that it has forked end with their handles. Safe to call twice."""
        with self._lock:
            self._closed = True
            self._end()

    def __repr__(self) -> str:
        return f"<ModelProcessForks {'not started' if self._program is None else self._program.pid}>"


def _popen(number: int) -> subprocess.Popen[bytes]:
    interpreter = own_interpreter()
    return subprocess.Popen(
        [str(interpreter.path), boot.__file__, boot.FORKS, str(number)],
        pass_fds=(number,),
        env={**environment_of(interpreter), **_NO_THREADS},
        process_group=0,  # a session of its own would have a share of the processor of its own, whatever its `nice`
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
