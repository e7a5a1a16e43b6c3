"""A real `penstock hub`, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def hub_process(directory: Path, *arguments: str) -> Iterator[str]:
    """Its URL. The store is in the directory; it ends by SIGTERM, within its time."""
    command = [sys.executable, "-m", "penstock", "hub", "--store", str(directory / "store"), "--port", "0", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PENSTOCK_", "MLFLOW_"))}
    with (directory / "hub.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=environment, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("serving on "), (directory / "hub.log").read_text()
        yield line.removeprefix("serving on ").strip()
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 0, (directory / "hub.log").read_text()
