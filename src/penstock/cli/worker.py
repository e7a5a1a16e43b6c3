"""A worker process of `penstock serve --workers N`: `python -m penstock.cli.worker CHANNEL COUNTS LISTENER [ADMIN]`.

The arguments are numbers of inherited files. Only the supervisor starts it.
"""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.machine.exit_limit import ExitLimit


def run_process(run: Callable[..., Coroutine[Any, Any, None]], channel: int, counts: int, *listeners: int) -> None:
    """Runs a worker's life: given the time to end in, its end of the channel, and the files that all workers share."""
    # These reach every process of a terminal, and are the supervisor's to answer: before anything slow.
    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    import asyncio
    import math
    import os

    from penstock.cli.streams import set_up_streams

    set_up_streams()
    from penstock.cli.serve import keep_memory_together, use_uvloop
    from penstock.machine.exit_limit import ExitLimit, ended_in_time

    for file in (channel, counts, *listeners):
        os.set_inheritable(file, False)
    keep_memory_together()
    use_uvloop()
    limit = ExitLimit(math.inf)  # until the settings are there
    with ended_in_time(limit):
        sockets = [socket.socket(fileno=file) for file in listeners]
        asyncio.run(run(limit, socket.socket(fileno=channel), counts, *sockets))


async def _run(
    limit: ExitLimit, end: socket.socket, counts: int, listener: socket.socket, admin: socket.socket | None = None
) -> None:
    from penstock.http.workers.channel import Channel
    from penstock.http.workers.messages import StartWorker
    from penstock.server.workers.worker import VOCABULARY

    channel = await Channel.over(end, VOCABULARY)
    start = await channel.receive()
    if not isinstance(start, StartWorker):
        return  # the supervisor is gone already
    sys.path[:] = start.import_path
    from penstock.assembly.options import run_options_of
    from penstock.assembly.workers import run_worker
    from penstock.config import ServerSettings
    from penstock.logs import set_up_logging

    settings = ServerSettings.model_validate(start.settings)
    set_up_logging(format=settings.log_format, level=settings.log_level, worker=start.number)
    limit.seconds = run_options_of(settings).exit_seconds
    with limit.after():
        await run_worker(channel, start, settings, counts, listener, admin, limit)


if __name__ == "__main__":
    run_process(_run, *map(int, sys.argv[1:]))
