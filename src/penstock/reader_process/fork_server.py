"""The program that forks readers: `python -m penstock.reader_process.fork_server SOCKET`, an inherited socket's number.

It has imported what readers need, so that a new one is there in milliseconds and shares that memory with the others.
It reads no body itself, has one thread, and knows nothing of the gateway's environment. It ends with the gateway, and
so does every reader.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import resource
import signal
import socket
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from penstock.machine.exit_status import ended_children
from penstock.reader_process.messages import receive_fds, send
from penstock.reader_process.reader import read_forever

# How much readers are behind others at the processor, in steps of `nice`; and first when memory runs out.
_NICE = 5
_OUT_OF_MEMORY_FIRST = "1000"
_PR_SET_PDEATHSIG = 1
_MAX_FILES = 64


def main(sock: socket.socket) -> NoReturn:
    """Forks a reader for every packet, after it has imported what that names. Sends its process number, with its
    socket; and the number and exit status of each that has ended."""
    os.set_inheritable(sock.fileno(), False)
    _step_back()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the gateway's, which ends this one
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: _tell_ended(sock))
    while True:
        packet, _ = receive_fds(sock)
        if not packet:
            os.killpg(0, signal.SIGKILL)
        for name in json.loads(packet)["preload"]:
            with contextlib.suppress(Exception):  # whoever needs it meets the error, and has words for it
                import_module(name)
        gc.collect()
        gc.freeze()  # pages that nobody writes to stay shared
        _fork(sock)


def _step_back() -> None:
    os.nice(_NICE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(_MAX_FILES, most) if most >= 0 else _MAX_FILES, most))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OUT_OF_MEMORY_FIRST, encoding="ascii")


def _fork(sock: socket.socket) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])  # its end is told after its beginning
    try:
        theirs, own = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
    except OSError as error:
        with contextlib.suppress(OSError):
            send(sock, json.dumps({"failed": str(error)}).encode(), [])
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        return
    if pid == 0:
        _be_reader(sock, theirs, own)
    own.close()
    with contextlib.suppress(OSError), theirs:
        send(sock, json.dumps({"pid": pid}).encode(), [theirs.fileno()])
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])


def _be_reader(*sockets: socket.socket) -> NoReturn:
    try:
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(0)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        for sock in sockets[:-1]:
            sock.close()
        read_forever(sockets[-1])
    finally:
        os._exit(1)


def _tell_ended(sock: socket.socket) -> None:
    for pid, code in ended_children():
        told: dict[str, Any] = {"ended": pid, "code": code}
        with contextlib.suppress(OSError):
            send(sock, json.dumps(told).encode(), [])


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
