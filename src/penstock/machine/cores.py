"""The processor's cores: how many may be used, each process's share of them, and how long one was waited for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from math import ceil
from pathlib import Path

# Read once, when the library is imported: so they are set before a process starts.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
_CGROUPS = Path("/sys/fs/cgroup")
_SCHEDULED = Path("/proc/thread-self/schedstat")


def usable_cores() -> int:
    """The cores that this process may use, rounded up: its affinity, and a container's limit of processor time."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = cgroup_cores()
    return cores if limit is None else min(cores, max(1, ceil(limit)))


def cgroup_cores(root: Path = _CGROUPS) -> float | None:
    """The processor time that this container may use, in cores; None without a limit. Source: cgroups 2 and 1."""
    try:
        quota, period = (root / "cpu.max").read_text(encoding="ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        quota, period = (
            (root / "cpu" / f"cpu.cfs_{name}_us").read_text(encoding="ascii") for name in ("quota", "period")
        )
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError):
        return None


def threads_each(cores: int, processes: int) -> int:
    """How many threads one process may compute with, so that all together keep the cores busy and no busier."""
    return max(1, cores // processes)


def environment_with_threads(environment: Mapping[str, str], threads: int) -> dict[str, str]:
    """The environment with the libraries' thread pools at their share, where the user did not say another."""
    return {**dict.fromkeys(THREAD_VARIABLES, str(threads)), **environment}


class ProcessorWaits:
    """Seconds that the thread which made this was ready to run and had no processor. Linux counts them; 0 elsewhere."""

    def __init__(self) -> None:
        self._file: int | None = None
        with suppress(OSError):
            self._file = os.open(_SCHEDULED, os.O_RDONLY | os.O_CLOEXEC)

    def seconds(self) -> float:
        if self._file is None:
            return 0.0
        try:
            return int(os.pread(self._file, 64, 0).split()[1]) * 1e-9
        except (OSError, ValueError, IndexError):
            return 0.0

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
