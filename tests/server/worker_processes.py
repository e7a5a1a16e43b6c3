"""The worker processes of a server, as the system and the server itself show them, and models that try them."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from penstock.package.save import save_model
from server.conftest import ServerProcess


def workers_of(server: ServerProcess) -> list[int]:
    """The process numbers of the workers, by their age."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    return [int(child) for child in children if b"penstock.cli.worker" in command_of(int(child))]


def command_of(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def alive(process: int) -> bool:
    """Whether it runs: neither gone nor a zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def sockets_of(process: int) -> int:
    links = [os.readlink(f"/proc/{process}/fd/{file}") for file in os.listdir(f"/proc/{process}/fd")]
    return sum(link.startswith("socket:") for link in links)


async def ready_of(server: ServerProcess) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=server.url) as client:
        answer: dict[str, Any] = (await client.get("/readyz")).json()
        return answer


async def all_serve(server: ServerProcess, workers: int = 2) -> None:
    deadline = time.monotonic() + 30
    while (await ready_of(server))["workers"] != {"serving": workers, "wanted": workers}:
        assert time.monotonic() < deadline, server.stderr
        await asyncio.sleep(0.02)


CRASHING_MODEL = """
import os
import signal


def predict(inputs, params):
    if os.path.exists({crash!r}):
        os.kill(os.getpid(), signal.SIGKILL)
    return inputs
"""


SLOW_MODEL = """
import os
import time


def predict(inputs, params):
    open({started!r}, "a").close()
    deadline = time.monotonic() + 20
    while not os.path.exists({release!r}) and time.monotonic() < deadline:
        time.sleep(0.005)
    return inputs
"""


def python_model(source: str, place: Path) -> Path:
    """A package that runs this code on arrays (-1, 2)."""
    file = place / "model.py"
    file.write_text(source, encoding="utf-8")
    return save_model(file, place / "made", example=np.array([[1.0, 2.0], [3.0, 4.0]])).path
