"""The program that forks model processes: it has imported what most packages need, so that a new one loads at once.

It reads no package itself, has one thread, and gives every process a keeper of its own, as a start from nothing does.
It ends with the gateway; a keeper ends when the gateway lets go of its lifeline.

Once requests are answered, it and all that it forks step back behind the gateway at the processor. They have
interpreters of their own, which no event loop waits for: rests, as loads in the gateway take, would make them slow and
help nobody.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import select
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from penstock.machine.exit_status import ended_children
from penstock.model_process.program.keeper import keep

# The files of a launch, in this order: the model's socket, the lifeline, where output goes, where the end is told.
FILES = 4
MAX_PACKET = 64 * 1024

_USUAL_MODULES = (
    "penstock.loading",
    "penstock.package",
    "penstock.model_process.program.main",
    "penstock.model_process.program.service",
)
_OUT_OF_MEMORY_FIRST = "1000"

# How far it steps back, in steps of `nice`: to a tenth of a processor that the gateway wants for itself. With the most
# steps it would get a seventieth, and a busy gateway could not be given a new version.
_NICE = 10


def serve_forks(number: int) -> NoReturn:
    """Answers the packets on an inherited socket, until that ends."""
    os.set_inheritable(number, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the gateway's
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ForkServer(socket.socket(fileno=number)).run()


class ForkServer:
    """The whole mutable state: for each keeper that runs, the file in which its end is told; whether it has stepped
    back."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._keepers: dict[int, int] = {}
        self._behind = False
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)

    def run(self) -> NoReturn:
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        while True:
            ready, _, _ = select.select([asked := self._sock.fileno(), self._woken], [], [])
            if self._woken in ready:
                os.read(self._woken, MAX_PACKET)
                self._reap()
            if asked in ready:
                self._take()

    def _take(self) -> None:
        """One packet: what to import, and the files of a process to fork, if it is about one."""
        packet, files, _, _ = socket.recv_fds(self._sock, MAX_PACKET, FILES, socket.MSG_CMSG_CLOEXEC)
        if not packet:
            os._exit(0)
        order: dict[str, Any] = json.loads(packet)
        sys.path[:] = order["import_path"]
        if order["beside_requests"]:
            self._step_back()
        _preload(order["flavors"])
        if len(files) == FILES:
            self._fork(files)
        else:  # none; or fewer, where this process may open no more
            _close(files)

    def _step_back(self) -> None:
        """For good, since nobody may take it back."""
        if not self._behind:
            os.nice(_NICE)
        self._behind = True

    def _fork(self, files: Sequence[int]) -> None:
        control, lifeline, output, told = files
        gc.collect()
        gc.freeze()  # pages that nobody writes to stay shared
        try:
            pid = os.fork()
        except OSError:
            _close(files)  # the gateway sees a process that ended
            return
        if pid == 0:
            try:
                _close([told])
                self._become_keeper(control, lifeline, output)
            finally:
                os._exit(1)
        self._keepers[pid] = told
        _close([control, lifeline, output])

    def _become_keeper(self, control: int, lifeline: int, output: int) -> NoReturn:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        self._sock.close()
        _close([self._woken, self._wake, *self._keepers.values()])
        os.dup2(output, 2)
        _close([output])
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(_OUT_OF_MEMORY_FIRST, encoding="ascii")
        keep(control, lifeline, throttled=False)

    def _reap(self) -> None:
        """Tells how each keeper ended, as a number, to whoever waits for it."""
        for pid, code in ended_children():
            if (told := self._keepers.pop(pid, None)) is not None:
                with suppress(OSError):
                    os.write(told, str(code).encode())
                os.close(told)

    def __repr__(self) -> str:
        return f"<ForkServer, {len(self._keepers)} keepers>"


def _preload(flavors: Sequence[str]) -> None:
    """What loading packages and predicting need in any case, and what these flavors do."""
    from penstock.flavors.table import get_flavor

    for module in _USUAL_MODULES:
        import_module(module)
    for name in flavors:
        with suppress(Exception):  # the process that needs it meets the error, and has words for it
            get_flavor(name).preload()


def _close(files: Sequence[int]) -> None:
    for file in files:
        os.close(file)
