"""When this process started, by the clock that files are dated by."""

from __future__ import annotations

import os
import time
from functools import cache
from pathlib import Path

_IMPORTED = time.time()


@cache
def process_started() -> float:
    """Seconds since the epoch. Elsewhere than on Linux it is when this module was imported, the earliest that is known.
    Source: proc(5), field 22 of /proc/pid/stat, in ticks since the system was booted."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        since_boot = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - since_boot)
    except (OSError, ValueError, IndexError, AttributeError):
        return _IMPORTED
