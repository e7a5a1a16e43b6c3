"""SIGTERM is obeyed within the drain timeout and two seconds, whatever hangs in a real server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from server.conftest import Launch, ServerProcess

DRAIN_TIMEOUT = 0
LIMIT = DRAIN_TIMEOUT + 2.0

# Hangs in C when it is asked for 7, or when it is loaded with HANG set.
HANGING = """
import ctypes
import os

if os.environ.get("HANG"):
    open({started!r}, "a").close()
    ctypes.CDLL(None).sleep(100)


def predict(inputs, params):
    rows = [row[0] for row in inputs.values.tolist()]
    if 7 in rows:
        open({started!r}, "a").close()
        ctypes.CDLL(None).sleep(100)
    return rows
"""


@pytest.fixture
def started(tmp_path: Path) -> Path:
    return tmp_path / "started"


@pytest.fixture
def hanging(tmp_path: Path, started: Path) -> Path:
    import pandas as pd

    from penstock.package.save import save_model

    source = tmp_path / "hanging.py"
    source.write_text(HANGING.format(started=str(started)), encoding="utf-8")
    return save_model(source, tmp_path / "hanging", example=pd.DataFrame({"a": [1.0, 2.0]})).path


def wait_for(condition: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def ask(server: ServerProcess, value: int) -> None:
    """Sends a request whose answer is not waited for."""
    body = b'{"dataframe_split": {"columns": ["a"], "data": [[%d]]}}' % value
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    connection = socket.create_connection(server.address)
    connection.sendall(head % len(body) + body)
    threading.Thread(target=_wait_for_end, args=(connection,), daemon=True).start()


def _wait_for_end(connection: socket.socket) -> None:
    with connection, suppress(OSError):
        while connection.recv(4096):
            pass


def seconds_to_end(server: ServerProcess, number: int = signal.SIGTERM) -> float:
    signalled = time.monotonic()
    server.signal(number)
    server.wait_exit(20)
    return time.monotonic() - signalled


@pytest.mark.parametrize(
    ("isolation", "workers"), [("none", 1), ("process", 1), pytest.param("none", 2, marks=pytest.mark.services)]
)
def test_a_model_that_hangs_is_left(launch: Launch, hanging: Path, started: Path, isolation: str, workers: int) -> None:
    server = launch(
        hanging, "--trust-code", "--isolation", isolation, "--workers", workers, "--drain-timeout", DRAIN_TIMEOUT
    ).wait_ready()
    ask(server, 7)
    wait_for(started.exists)
    assert seconds_to_end(server) < LIMIT
    assert server.process.returncode == 0


def test_a_second_signal_ends_it_at_once(launch: Launch, hanging: Path, started: Path) -> None:
    server = launch(hanging, "--trust-code", "--isolation", "none", "--drain-timeout", 60).wait_ready()
    ask(server, 7)
    wait_for(started.exists)
    server.signal(signal.SIGTERM)
    wait_for(lambda: "Draining" in server.stderr)
    assert seconds_to_end(server, signal.SIGINT) < 2.0


def test_a_load_under_way_is_left(launch: Launch, hanging: Path, started: Path) -> None:
    server = launch(hanging, "--trust-code", "--isolation", "none", "--drain-timeout", DRAIN_TIMEOUT, HANG="1")
    wait_for(started.exists)
    assert seconds_to_end(server) < LIMIT


def test_a_worker_that_is_stopped_is_killed(launch: Launch, identity_onnx_package: Path) -> None:
    server = launch(identity_onnx_package, "--workers", 2, "--drain-timeout", DRAIN_TIMEOUT).wait_ready()
    found = subprocess.run(["pgrep", "-P", str(server.process.pid)], capture_output=True, text=True, check=True)
    os.kill(int(found.stdout.split()[0]), signal.SIGSTOP)
    assert seconds_to_end(server) < LIMIT


@pytest.fixture
def dripping() -> Iterator[str]:
    """The address of a registry that answers a byte at a time, for ever."""
    asked = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                while not asked.wait(0.2):
                    connection.sendall(b" ")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        asked.set()
        thread.join(10)


def test_a_registry_that_drips_is_left(launch: Launch, dripping: str) -> None:
    server = launch("m", "--registry", dripping, "--drain-timeout", DRAIN_TIMEOUT)
    wait_for(lambda: _handles_signals(server))
    assert seconds_to_end(server) < LIMIT


def _handles_signals(server: ServerProcess) -> bool:
    """Whether the server has come as far as to handle signals: it listens before it asks the registry."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    caught = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(caught & 1 << (signal.SIGTERM - 1))
