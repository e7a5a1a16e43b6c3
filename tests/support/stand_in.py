"""Programs that stand in for a cloud's service, each in a process of its own, since some patch what they like."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stand_in(program: str, *arguments: str) -> Iterator[str]:
    """Runs a Python program whose first line is the port that it listens on. Gives its URL."""
    server = subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert server.stdout is not None
    try:
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
    finally:
        server.kill()
        server.communicate()
