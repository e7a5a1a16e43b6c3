"""How much memory there is to have, on this machine or in this container."""

from __future__ import annotations

from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_CGROUPS = Path("/sys/fs/cgroup")


def available_bytes(meminfo: Path = _MEMINFO, cgroups: Path = _CGROUPS) -> int | None:
    """What processes here may still take before memory runs out: the machine's, or what is left of the container's
    limit. None where nobody can tell. Source: proc(5); cgroups 2 and 1."""
    found = [_machine_available(meminfo), _cgroup_available(cgroups)]
    known = [count for count in found if count is not None]
    return min(known) if known else None


def _machine_available(meminfo: Path) -> int | None:
    try:
        lines = meminfo.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def _cgroup_available(root: Path) -> int | None:
    """What was read from files is given back when it is needed, so that it does not count as used."""
    for limit, used, stat, cached in (
        (root / "memory.max", root / "memory.current", root / "memory.stat", "inactive_file"),
        (
            root / "memory" / "memory.limit_in_bytes",
            root / "memory" / "memory.usage_in_bytes",
            root / "memory" / "memory.stat",
            "total_inactive_file",
        ),
    ):
        try:
            most = limit.read_text(encoding="ascii").strip()
            if most == "max":
                return None
            counts = dict(line.split() for line in stat.read_text(encoding="ascii").splitlines())
            return max(0, int(most) - int(used.read_text(encoding="ascii")) + int(counts.get(cached, 0)))
        except (OSError, ValueError):
            continue
    return None
