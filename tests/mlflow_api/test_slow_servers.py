"""Servers that send a byte at a time, more than they may, or lead elsewhere: each call ends in its time."""

from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from penstock.errors import RegistryUnavailable
from penstock.mlflow_api.client import CallTimeouts, MlflowRestClient
from penstock.mlflow_api.connections import leads_inside

IMPATIENT = CallTimeouts(connect=5, read=5, total=0.4, retries=1, backoff=0)
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@contextmanager
def server(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """The address of a server that talks as it is told to every client."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

        def serve(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                connection.recv(65536)
                talk(connection)

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def drip(head: bytes, byte: bytes) -> Callable[[socket.socket], None]:
    def talk(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(byte)
            time.sleep(0.02)

    return talk


def ask(url: str, timeouts: CallTimeouts = IMPATIENT) -> None:
    client = MlflowRestClient(url, timeouts=timeouts)
    try:
        client.get("registered-models/get", name="m")
    finally:
        client.close()


@pytest.mark.parametrize(
    ("head", "byte"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"),
        (OK + b"Content-Length: 1000\r\n\r\n", b" "),
        (OK + b"\r\n", b" "),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nfff\r\n", b" "),
    ],
    ids=["status", "header", "headers", "body", "body without a length", "chunks", "a chunk"],
)
def test_an_answer_that_drips_ends_with_the_call(head: bytes, byte: bytes) -> None:
    began = time.monotonic()
    with server(drip(head, byte)) as url, pytest.raises(RegistryUnavailable):
        ask(url)
    assert time.monotonic() - began < 4.0


def test_a_file_that_drips_ends_with_its_download() -> None:
    with server(drip(OK + b"Content-Length: 1000\r\n\r\n", b"x")) as url:
        client = MlflowRestClient(url)
        ends = time.monotonic() + 0.3
        with pytest.raises(RegistryUnavailable):
            list(client.read_artifact(f"{url}/file", lambda: ends - time.monotonic()))
        client.close()


def test_an_answer_without_end_is_not_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.mlflow_api.client._ANSWER_LIMIT", 100_000)

    def pour(connection: socket.socket) -> None:
        connection.sendall(OK + b"\r\n")
        while True:
            connection.sendall(b" " * 65536)

    with server(pour) as url, pytest.raises(RegistryUnavailable, match="answers with more than"):
        ask(url, CallTimeouts(total=30))


def test_an_answer_that_is_packed_is_not_unpacked() -> None:
    packed = gzip.compress(b" " * 100_000_000, 1)

    def send(connection: socket.socket) -> None:
        connection.sendall(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed)

    with server(send) as url, pytest.raises(RegistryUnavailable, match="compressed"):
        ask(url)


def test_an_answer_that_is_cut_is_no_answer() -> None:
    with (
        server(lambda connection: connection.sendall(OK + b"Content-Length: 10\r\n\r\n{}")) as url,
        pytest.raises(RegistryUnavailable),
    ):
        ask(url)


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("127.0.0.1", True),
        ("169.254.169.254", True),
        ("::1", True),
        ("::ffff:169.254.169.254", True),
        ("fe80::1%eth0", True),
        ("0.0.0.0", True),
        ("10.0.0.7", False),
        ("93.184.216.34", False),
    ],
)
def test_which_addresses_lead_inside(address: str, inside: bool) -> None:
    assert leads_inside(address) is inside


def test_artifacts_on_another_host_do_not_lead_inside() -> None:
    """The registry's own host may be inside; another that it names may not."""
    with server(lambda connection: connection.sendall(OK + b"Content-Length: 2\r\n\r\n{}")) as url:
        client = MlflowRestClient("http://registry.example:5000", timeouts=IMPATIENT)
        with pytest.raises(RegistryUnavailable, match="leads inside"):
            client.list_artifacts(f"{url}/api/2.0/mlflow-artifacts/artifacts/1/m")
        client.close()
