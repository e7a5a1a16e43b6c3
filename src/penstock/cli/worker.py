"""A worker process of `penstock serve --workers N`: `python -m penstock.cli.worker CHANNEL COUNTS LISTENER [ADMIN]`.

The arguments are numbers of inherited files. Only the supervisor starts it.
"""

from __future__ import annotations

import signal
import socket
import sys


def main(channel: int, counts: int, *listeners: int) -> None:
    # Ctrl-C reaches every process of a terminal, and is the supervisor's to answer: before anything slow.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import asyncio
    import os

    from penstock.cli.serve import keep_memory_together, use_uvloop

    for file in (channel, counts, *listeners):
        os.set_inheritable(file, False)
    keep_memory_together()
    use_uvloop()
    asyncio.run(_run(socket.socket(fileno=channel), counts, *(socket.socket(fileno=file) for file in listeners)))


async def _run(end: socket.socket, counts: int, listener: socket.socket, admin: socket.socket | None = None) -> None:
    from penstock.http.workers.channel import Channel
    from penstock.http.workers.messages import StartWorker
    from penstock.server.workers.worker import VOCABULARY

    channel = await Channel.over(end, VOCABULARY)
    start = await channel.receive()
    if not isinstance(start, StartWorker):
        return  # the supervisor is gone already
    sys.path[:] = start.import_path
    from penstock.assembly.workers import run_worker
    from penstock.config import ServerSettings
    from penstock.logs import set_up_logging

    settings = ServerSettings.model_validate(start.settings)
    set_up_logging(format=settings.log_format, level=settings.log_level, worker=start.number)
    await run_worker(channel, start, settings, counts, listener, admin)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
