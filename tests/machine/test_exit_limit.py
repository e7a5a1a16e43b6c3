"""A process that is told to end ends in time, whatever hangs in it. Each hangs in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest

from penstock.machine.exit_limit import ExitLimit, busy_threads

# Ends 0.3 s after a signal, with what `hang` does in a thread, and `loop` in the event loop once it runs.
PROGRAM = """
import asyncio, ctypes, logging, os, re, signal, sys, threading, time
from penstock.machine.exit_limit import ExitLimit, ended_in_time

def hold_the_interpreter():
    ctypes.PyDLL(None).sleep(30)

def sleep_in_c():
    ctypes.CDLL(None).sleep(30)

async def main(limit):
    loop = asyncio.get_running_loop()
    heard = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, heard.set)
    with limit.after(), limit.watching():
        print("ready", flush=True)
        {loop}
        await heard.wait()
        {then}

logging.basicConfig()
limit = ExitLimit(0.3)
with ended_in_time(limit):
    asyncio.run(main(limit))
"""

IN_A_THREAD = "threading.Thread(target={}).start()"
IN_A_POOL = "loop.run_in_executor(None, {})"


def end(loop: str = "pass", then: str = "pass") -> tuple[int, float, str]:
    """How such a program ends, how many seconds after SIGTERM, and what it says."""
    program = PROGRAM.format(loop=loop, then=then)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.05)  # so that it is in what hangs
        signalled = time.monotonic()
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=20)[1].decode()
        return process.returncode, time.monotonic() - signalled, said


def test_a_program_in_which_nothing_hangs_ends_by_itself() -> None:
    assert end()[::2] == (0, "")


@pytest.mark.parametrize("where", [IN_A_THREAD, IN_A_POOL])
def test_a_thread_that_never_ends_is_left_behind_with_a_line_that_names_it(where: str) -> None:
    code, seconds, said = end(where.format("sleep_in_c"))
    assert code == 0
    assert seconds < 2.0
    assert "Exiting although work is unfinished: " in said
    assert "sleep_in_c" in said or "asyncio_0" in said


def test_a_loop_that_hangs_before_the_signal_is_left_behind() -> None:
    code, seconds, said = end("while True: sleep_in_c()")
    assert (code, "the event loop hangs" in said) == (0, True)
    assert seconds < 2.0


def test_an_interpreter_that_is_held_for_good_after_the_signal_ends_all_the_same() -> None:
    code, seconds, _ = end(then="hold_the_interpreter()")
    assert code == 1
    assert seconds < 2.0


def test_the_end_can_only_come_sooner() -> None:
    left = threading.Event()
    limit = ExitLimit(60.0, leave=left.set)
    limit.within(30.0)
    limit.within(60.0)
    assert "in 30.0 s" in repr(limit) or "in 29." in repr(limit)
    limit.within(0.0)
    assert left.wait(10)
    limit.cancel()


def test_a_limit_that_is_cancelled_ends_nothing() -> None:
    left = threading.Event()
    limit = ExitLimit(60.0, leave=left.set)
    limit.cancel()
    limit.within(0.0)
    assert not left.is_set()
    assert threading.current_thread().name not in busy_threads()
