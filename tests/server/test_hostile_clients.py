"""A real server and clients that do what no client should."""

from __future__ import annotations

import socket
from pathlib import Path

import httpx

from server.conftest import Launch


def test_endless_heads_and_floods_of_requests_cost_a_server_little(launch: Launch, identity_onnx_package: Path) -> None:
    server = launch(identity_onnx_package).wait_ready()
    before = server.resident_bytes()
    with socket.create_connection(server.address, timeout=10) as endless:
        endless.sendall(b"GET / HTTP/1.1\r\nX: ")
        answer = b""
        try:
            for _ in range(2000):
                endless.sendall(b"y" * 10_000)
            answer = endless.recv(100)
        except OSError:
            pass  # it was cut off while it sent
        assert not answer or answer.startswith(b"HTTP/1.1 431")
    with socket.create_connection(server.address, timeout=10) as flood:
        try:
            for _ in range(50):
                flood.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
        except OSError:
            pass
    assert httpx.post(f"{server.url}/invocations", json={"inputs": [[1, 2, 3]]}).status_code == 200
    assert server.resident_bytes() - before < 50e6
    assert "Traceback" not in server.stderr
