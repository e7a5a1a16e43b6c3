"""How much memory a process and all that it started hold, and how much more at the most while something happens."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

_EVERY = 0.02
_PROC = Path("/proc")


def family(pid: int) -> list[int]:
    """A process and what it started, and what those started, as far as it still runs."""
    found = [pid]
    for parent in found:
        for task in (_PROC / str(parent) / "task").glob("*/children"):
            with suppress(OSError):
                found += [int(child) for child in task.read_text().split()]
    return found


def held(pid: int) -> int:
    """Bytes that a process and its children hold, each page that several share counted once (Pss)."""
    return sum(_value(child, "smaps_rollup", "Pss:") for child in family(pid))


class MemoryProbe:
    """The most that a process and its children held while the block ran, over what they held before: samples of all of
    them, and the kernel's own mark of the process's highest, which misses nothing."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._before = self._most = held(pid)
        self._own = _value(pid, "status", "VmRSS:")
        self.growth = 0

    def __enter__(self) -> MemoryProbe:
        with suppress(OSError):
            (_PROC / str(self._pid) / "clear_refs").write_text("5")  # the mark begins anew
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._most = max(self._most, held(self._pid))
        highest = _value(self._pid, "status", "VmHWM:")
        self.growth = max(self._most - self._before, highest - self._own, 0)

    def _watch(self) -> None:
        while not self._ended.wait(_EVERY):
            self._most = max(self._most, held(self._pid))


def _value(pid: int, file: str, field: str) -> int:
    """A field in bytes; 0 of a process that has gone."""
    with suppress(OSError):
        for line in (_PROC / str(pid) / file).read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    return 0
