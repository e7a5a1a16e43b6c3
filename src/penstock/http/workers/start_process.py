"""Worker processes: how they are started."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence

from penstock.http.workers.channel import Channel, Vocabulary


async def start_process(
    command: Sequence[str], environment: Mapping[str, str], files: Sequence[int], vocabulary: Vocabulary
) -> tuple[asyncio.subprocess.Process, Channel]:
    """Starts a worker in a clean interpreter: threads and sessions of model libraries do not survive a fork.

    It is given the number of its end of the channel, then `files`, as arguments, and inherits these files alone; so
    the channel ends with either process. Raises OSError.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        passed = (theirs.fileno(), *files)
        try:
            process = await asyncio.create_subprocess_exec(
                *command, *map(str, passed), pass_fds=passed, env=environment, stdin=asyncio.subprocess.DEVNULL
            )
        except BaseException:
            ours.close()
            raise
    return process, await Channel.over(ours, vocabulary)
