"""Worker processes: how they are started."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import BinaryIO

from penstock.http.workers.channel import Channel, Vocabulary


def shared_file() -> BinaryIO:
    """A file for the workers to share, in memory where that can be: a container may have no place to write to."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("penstock-workers"), "w+b")
    return tempfile.TemporaryFile()


def worker_command(module: str) -> list[str]:
    """The same interpreter. Where this one does not look for modules in the working directory, it does not either."""
    here = sys.path[0] in ("", os.getcwd())
    return [sys.executable, *([] if here else ["-P"]), "-m", module]


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
