"""A server that runs out of what the system gives: files, and readers of what it prints."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import httpx

from server.conftest import Launch

ROW = {"inputs": [[1, 2, 3]]}


def test_without_free_files_clients_are_told_so_and_later_ones_are_served(
    launch: Launch, identity_onnx_package: Path
) -> None:
    server = launch(identity_onnx_package).wait_ready()
    taken = len(os.listdir(f"/proc/{server.process.pid}/fd"))
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (taken + 90, taken + 90))
    with ExitStack() as held:
        for _ in range(taken + 90):
            held.enter_context(socket.create_connection(server.address, timeout=10))
        with httpx.Client(base_url=server.url, timeout=10) as client:
            refused = client.post("/invocations", json=ROW)
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert "Too many connections" in refused.text
    with httpx.Client(base_url=server.url, transport=httpx.HTTPTransport(retries=3), timeout=10) as client:
        for _ in range(20):
            answer = client.post("/invocations", json=ROW)
            if answer.status_code == 200:
                break
        assert answer.status_code == 200
    server.stop()
    assert server.stderr.count("connections refused") == 1


def test_a_server_whose_output_nobody_reads_any_more_serves_on(identity_onnx_package: Path) -> None:
    """As after `penstock serve … 2>&1 | head`."""
    process = subprocess.Popen(
        [sys.executable, "-m", "penstock", "serve", str(identity_onnx_package), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = next(line.removeprefix("serving on ").strip() for line in process.stdout if line.startswith("serving on"))
        process.stdout.close()
        with httpx.Client(base_url=url, timeout=10) as client:
            for _ in range(3):
                assert client.post("/invocations", content=b"{").status_code == 400  # which is logged
                assert client.post("/invocations", json=ROW).status_code == 200
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
