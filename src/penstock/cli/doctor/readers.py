"""Whether reader processes can work here, how many there will be, and whether their memory is there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from penstock.cli.doctor.finding import LOOK, OK, Finding
from penstock.sizes import shown_size

if TYPE_CHECKING:
    from penstock.config import Settings

# What readers may have of the memory of a machine or container, all together; the rest is the server's and its models'.
_SHARE = 0.5

# The least that the setting takes.
_LEAST_MEMORY = 64 << 20


def readers(settings: Settings, memory: int | None) -> Finding:
    """For a machine or container with so many bytes of memory; None where nobody knows."""
    from penstock.assembly.options import reader_count
    from penstock.machine.cores import usable_cores
    from penstock.reader_process.limits import ReaderLimits

    if missing := _missing():
        return Finding(
            LOOK,
            "readers",
            f"{missing}, so bodies that are too large for the event loop are refused",
            "Use Linux, and a seccomp profile that allows memfd_create and fork, as those of Docker and Kubernetes do.",
        )
    workers = settings.workers or usable_cores()
    count = reader_count(settings) * workers
    each = ReaderLimits(settings.read_timeout, settings.reader_memory).bytes(settings.max_body_bytes)
    found = f"up to {count} processes for large bodies, of {shown_size(each)} each at most"
    if memory is None or count * each <= memory * _SHARE:
        return Finding(OK, "readers", found)
    fitting = max(_LEAST_MEMORY, int(memory * _SHARE / count) >> 20 << 20)
    advice = (
        "Large bodies that come together may use up the memory, and the system then ends processes, readers first: set "
        f"--reader-memory {fitting >> 20}MiB, or lower --max-body-bytes or --readers."
    )
    return Finding(LOOK, "readers", f"{found}; there are {shown_size(memory)}", advice)


def _missing() -> str:
    """What this system lacks, in words; empty where all is there. Found out by trying: rights on paper say little."""
    from penstock.machine.memory_file import MemoryFile

    if not hasattr(os, "fork"):
        return "this system cannot fork processes"
    try:
        file = MemoryFile()
        file.write([b"x"])
        file.seal()
        file.close()
    except (OSError, AttributeError) as error:
        return f"there are no files in memory here ({getattr(error, 'strerror', None) or error})"
    return ""
