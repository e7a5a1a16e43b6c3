"""The memory of this machine, how much of it a model process may use, and running out of that, in words."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from math import inf
from pathlib import Path

from penstock.errors import ArtifactInvalid, PackageError, PenstockError, PredictError

_LEAST = 1024**3
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def machine_memory(limits: Sequence[Path] = _LIMITS) -> int | None:
    """The bytes that this container or machine has; None where nobody says. Source: cgroups 2 and 1."""
    found = []
    for path in limits:
        with suppress(OSError, ValueError):
            found.append(int(path.read_text(encoding="ascii")))
    with suppress(OSError, ValueError):
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(found, default=None)


def process_memory(machine: int | None) -> int:
    """The bytes that a model process may use unless a setting says otherwise: half, so that one which fills it leaves
    room for the gateway. No less than libraries need. 0, any, where nobody knows the machine's."""
    return 0 if machine is None else max(machine // 2, _LEAST)


def size_text(count: float) -> str:
    """Bytes for a person: 512 MiB, 2.0 GiB."""
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def out_of_memory(error: BaseException, limit: int) -> PenstockError | None:
    """What to say where a MemoryError is behind an error; None where it is not."""
    behind = memory_error_behind(error)
    if behind is None:
        return None
    kind = PredictError if isinstance(error, PredictError) or not isinstance(error, PackageError) else ArtifactInvalid
    if not limit:
        words = kind("The model needs more memory than is available.")
    else:
        words = kind(
            f"The model needs more memory than the limit of its process, {size_text(limit)}.",
            hint="Raise the setting memory_limit, or send fewer rows in one request.",
        )
    words.__cause__ = behind
    return words


def memory_error_behind(error: BaseException) -> MemoryError | None:
    """The MemoryError that an error was raised from, or is; None where there is none."""
    behind: BaseException | None = error
    while behind is not None and not isinstance(behind, MemoryError):
        behind = behind.__cause__
    return behind


def resident_bytes(pid: int) -> int:
    """What a process has in memory now; 0 where nobody can tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    import resource

    return pages * resource.getpagesize()


def memory_left() -> float:
    """Bytes of data that this process may still take by its own limit; infinite where it has none."""
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
    return inf if limit == resource.RLIM_INFINITY else max(0, limit - data_bytes())


def data_bytes() -> int:
    """What the limit on data counts in this process: memory that is its own and may be written."""
    import resource

    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5]) * resource.getpagesize()
