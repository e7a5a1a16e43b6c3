"""SIGHUP: to a server it says "read your settings again", unless it is the terminal's last word."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

# Windows has no such signal.
_HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)


def has_terminal() -> bool:
    """Whether this process belongs to a terminal that is still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | getattr(os, "O_NOCTTY", 0)))
    except OSError:
        return False
    return True


def ends_with_its_terminal() -> bool:
    """Whether a server that starts now is to end when its terminal closes: not one that was started by nohup, or by a
    service manager."""
    return _HANGUP is not None and signal.getsignal(_HANGUP) is not signal.SIG_IGN and has_terminal()


@asynccontextmanager
async def on_hangup(reload: Callable[[], None], *, ends: bool) -> AsyncIterator[None]:
    """While it lasts, SIGHUP calls `reload`; where the server `ends` with its terminal and that is gone, the signal
    ends it as SIGTERM does. Afterwards, while the server ends, it is ignored."""
    if _HANGUP is None:
        yield
        return

    def on_signal() -> None:
        if ends and not has_terminal():
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            reload()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(_HANGUP, on_signal)
    try:
        yield
    finally:
        loop.remove_signal_handler(_HANGUP)
        with suppress(ValueError):  # not in the main thread
            signal.signal(_HANGUP, signal.SIG_IGN)
