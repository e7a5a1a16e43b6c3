"""SIGHUP reads the settings again, unless the terminal that the server belongs to is gone."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import subprocess
import sys

import pytest

from penstock.assembly.live import hangup
from penstock.assembly.live.hangup import on_hangup
from serving.fakes import until


@pytest.mark.parametrize(("ends", "terminal"), [(False, False), (True, True)])
async def test_the_signal_asks_for_a_new_reading(ends: bool, terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hangup, "has_terminal", lambda: terminal)
    asked: list[None] = []
    async with on_hangup(lambda: asked.append(None), ends=ends):
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: asked)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # a server that ends has nothing to read any more
    os.kill(os.getpid(), signal.SIGHUP)
    await asyncio.sleep(0)
    assert len(asked) == 1


async def test_a_terminal_that_closes_ends_the_server_that_was_started_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hangup, "has_terminal", lambda: False)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    try:
        async with on_hangup(lambda: pytest.fail("it is no question for settings"), ends=True):
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.wait_for(ended.wait(), 10)
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


def ends_where(*, ignored: bool, terminal: bool) -> str:
    """What a process says that starts so."""
    code = "from penstock.assembly.live.hangup import ends_with_its_terminal as ends; print(ends())"

    def prepare() -> None:
        # Ignored as nohup does; whoever started the tests may have been started so, too.
        signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
        if terminal:
            import fcntl
            import termios

            fcntl.ioctl(inside, termios.TIOCSCTTY, 0)

    outside, inside = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdin=inside, capture_output=True, text=True, check=True, timeout=60,
            start_new_session=True, preexec_fn=prepare,
        )  # fmt: skip
    finally:
        os.close(outside)
        os.close(inside)
    return done.stdout.strip()


def test_only_a_server_of_a_terminal_ends_with_it() -> None:
    assert ends_where(ignored=False, terminal=True) == "True"
    assert ends_where(ignored=True, terminal=True) == "False"
    assert ends_where(ignored=False, terminal=False) == "False"
