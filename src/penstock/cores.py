"""The processor's cores: how many may be used, and the share of each of several processes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from math import ceil
from pathlib import Path

# Read once, when the library is imported: so they are set before a process starts.
THREAD_VARIABLES = (
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


def threads_each(cores: int, processes: int) -> int:
    """How many threads one process may compute with, so that all together keep the cores busy and no busier."""
    return max(1, cores // processes)


def environment_with_threads(environment: Mapping[str, str], threads: int) -> dict[str, str]:
    """The environment with the libraries' thread pools at their share, where the user did not say another."""
    return {**dict.fromkeys(THREAD_VARIABLES, str(threads)), **environment}
