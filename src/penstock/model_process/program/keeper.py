"""The process around a model process: it runs none of the model's code, and outlives whatever that does.

It starts the model in a process group of its own, hands its output on at a bounded rate, and ends when the model ends,
as the model ended. When the gateway lets go of the lifeline, dies, or is killed, it kills the model and all that the
model has started: also what hangs, is stopped, or went to another session (on Linux).
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from contextlib import ExitStack, suppress
from typing import NoReturn

from penstock.model_process.program.log_relay import LogRelay

_READ = 1 << 16
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36

# A load in its own process holds up no request by itself, and rests longer than one in the gateway.
RESTS = 1.5

# How long what the model left behind is looked for.
_SWEEPS = 20


def keep(control: int, lifeline: int, *, throttled: bool) -> NoReturn:
    """Runs the model program in a child process, and ends when that does. `throttled` is for the load: its imports,
    too, take processor time from what this machine serves."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    parent = os.getpid()
    output_read, output_write = os.pipe()
    child = os.fork()
    if child == 0:
        _become_model(parent, control, lifeline, output_read, output_write, throttled)
    os.close(control)
    os.close(output_write)
    Keeper(child, lifeline, output_read).run()


def _become_model(
    parent: int, control: int, lifeline: int, output_read: int, output_write: int, throttled: bool
) -> NoReturn:
    os.setpgid(0, 0)  # no session of its own: what has one has a share of the processor of its own, whatever its `nice`
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    os.close(lifeline)
    os.close(output_read)
    os.dup2(output_write, 1)
    os.dup2(output_write, 2)
    os.close(output_write)
    throttling = ExitStack()
    if throttled:
        from penstock.machine import throttle

        throttling.enter_context(throttle.throttled(yielding=True, rests=RESTS))
    from penstock.model_process.program.main import main

    main(control, throttling)
    sys.exit(0)


def _prctl(option: int, value: int) -> None:
    """Linux alone has it; elsewhere the lifeline does what it can."""
    if sys.platform == "linux":
        import ctypes

        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


class Keeper:
    """Watches one child, its output, and the lifeline. All mutable state is the output's."""

    def __init__(self, child: int, lifeline: int, output_read: int) -> None:
        self._child = child
        self._lifeline = lifeline
        self._output_read = output_read
        self._output = LogRelay(time.monotonic())
        os.set_blocking(output_read, False)
        os.set_blocking(2, False)

    def run(self) -> NoReturn:
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        woken, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        files = [self._lifeline, woken, self._output_read]
        while not self._ended():
            ready, _, _ = select.select(files, [], [], self._output.timeout(time.monotonic()))
            if self._lifeline in ready:
                self._kill()
                break
            if woken in ready:
                os.read(woken, _READ)
            if self._output_read in ready and not self._hand_on():
                files.remove(self._output_read)
            self._write(self._output.due(time.monotonic()))
        self._end()

    def _ended(self) -> bool:
        """Whether the child has; it is left to be waited for, so that its number stays its own."""
        try:
            return os.waitid(os.P_PID, self._child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def _hand_on(self) -> bool:
        """Reads some output; False at its end."""
        try:
            read = os.read(self._output_read, _READ)
        except BlockingIOError:
            return True
        self._write(self._output.add(read, time.monotonic()))
        return bool(read)

    def _write(self, lines: bytes) -> None:
        """To the gateway, or nowhere: a gateway that does not read does not hold the model up."""
        if lines:
            with suppress(OSError):
                os.write(2, lines)

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child, signal.SIGKILL)
        with suppress(ProcessLookupError):
            os.kill(self._child, signal.SIGKILL)  # it may not have its group yet

    def _end(self) -> NoReturn:
        """Kills what is left, and ends as the child did."""
        with suppress(OSError):
            for _ in range(64):  # last words; a child of its own may go on talking
                if not (read := os.read(self._output_read, _READ)):
                    break
                self._write(self._output.add(read, time.monotonic()))
        self._kill()
        _, status = os.waitpid(self._child, 0)
        self._sweep()
        self._write(self._output.last())
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            with suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_DFL)
            _no_core()
            os.kill(os.getpid(), number)
        os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1)

    @staticmethod
    def _sweep() -> None:
        """What the model started elsewhere has become a child of this process, and goes too."""
        for _ in range(_SWEEPS):
            try:
                with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
                    left = [int(pid) for pid in file.read().split()]
            except OSError:
                return
            if not left:
                return
            for pid in left:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
                with suppress(ChildProcessError):
                    os.waitpid(pid, 0)


def _no_core() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
