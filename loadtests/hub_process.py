"""A tracking server as a process of its own: started and waited for, its processes' memory and time, and its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import psutil
from hub_client import HubClient

_ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

PENSTOCK = str(Path(sys.executable).with_name("penstock"))


@contextmanager
def hub_process(directory: Path, store: str, *options: str) -> Iterator[tuple[str, psutil.Process, float]]:
    """`penstock hub` on a free port of loopback: its URL, its first process, and the seconds until it was healthy."""
    port = free_port()
    command = [PENSTOCK, "hub", "--store", store, "--port", str(port), *options]
    with server_process(command, directory, port) as started:
        yield started


@contextmanager
def server_process(command: Sequence[str], directory: Path, port: int) -> Iterator[tuple[str, psutil.Process, float]]:
    """The same for any command; its log is `server.log` in the directory."""
    begun = monotonic()
    with (directory / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, stdout=log, stderr=log, env=_ENVIRONMENT, cwd=directory, start_new_session=True
        )
    try:
        while True:
            try:
                client = HubClient(f"http://127.0.0.1:{port}")
                client.get("/health")
                client.close()
                break
            except (OSError, RuntimeError):
                if server.poll() is not None or monotonic() - begun > 120:
                    raise RuntimeError((directory / "server.log").read_text()[-2000:]) from None
                sleep(0.01)
        yield f"http://127.0.0.1:{port}", psutil.Process(server.pid), monotonic() - begun
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def family(process: psutil.Process) -> list[psutil.Process]:
    """A process and all that come from it."""
    return [process, *process.children(recursive=True)]


def cpu_seconds(process: psutil.Process) -> float:
    return sum(sum(each.cpu_times()[:2]) for each in family(process))


def memory_mb(process: psutil.Process) -> float:
    return sum(each.memory_info().rss for each in family(process)) / 1e6
