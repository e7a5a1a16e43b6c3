"""A worker process of `penstock hub --workers N`: `python -m penstock.cli.hub.worker CHANNEL COUNTS LISTENER`.

The arguments are numbers of inherited files. Only the supervisor starts it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from penstock.cli.worker import run_process

if TYPE_CHECKING:
    import socket

    from penstock.machine.exit_limit import ExitLimit


async def _run(limit: ExitLimit, end: socket.socket, counts: int, listener: socket.socket) -> None:
    from penstock.assembly.hub_workers import run_hub_worker
    from penstock.http.workers.channel import Channel
    from penstock.http.workers.messages import StartWorker
    from penstock.hub.workers.worker import VOCABULARY
    from penstock.logs import set_up_logging

    channel = await Channel.over(end, VOCABULARY)
    start = await channel.receive()
    if isinstance(start, StartWorker):  # or the supervisor is gone already
        set_up_logging(format=start.settings["options"]["log_format"], worker=start.number)
        await run_hub_worker(channel, start, counts, listener, limit)


if __name__ == "__main__":
    run_process(_run, *map(int, sys.argv[1:]))
