"""Worker processes: how they are started, and the share of the machine that each may use."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path

from penstock.server.control import Channel

# Read once, when the library is imported: so they are set before a worker starts.
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS"
)  # fmt: skip
_CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> int:
    """The cores that this process may use: its affinity, and a container's limit of processor time."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        limit = quota_of(_CGROUP_LIMIT.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return cores
    return min(cores, limit) if limit else cores


def quota_of(line: str) -> int | None:
    """Whole cores, rounded up, of a cgroup's `cpu.max`: `quota period` in microseconds, or `max period`."""
    quota, period = line.split()
    return None if quota == "max" else max(1, ceil(int(quota) / int(period)))


def threads_each(cores: int, workers: int) -> int:
    """How many threads one worker may compute with, so that all together keep the cores busy and no busier."""
    return max(1, cores // workers)


def worker_environment(environment: Mapping[str, str], threads: int) -> dict[str, str]:
    """The environment with the libraries' thread pools at their share, where the user did not say another."""
    return {**dict.fromkeys(_THREAD_VARIABLES, str(threads)), **environment}


async def start_process(
    command: Sequence[str], environment: Mapping[str, str], files: Sequence[int]
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
    return process, await Channel.over(ours)
