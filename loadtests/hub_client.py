"""Raw HTTP over kept connections, with as little client as possible: what is measured should be the server."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from time import monotonic, perf_counter
from typing import Any
from urllib.parse import urlencode, urlsplit

_IDLE_SECONDS = 2.0
_API = "/api/2.0/mlflow/"


class HubClient:
    """One connection to a tracking server."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = f"{parts.hostname}:{parts.port}"
        self._address = (parts.hostname, parts.port)
        self._connect()

    def _connect(self) -> None:
        self._socket = socket.create_connection(self._address, timeout=300)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._kept = b""
        self._used = monotonic()

    def post(self, path: str, content: dict[str, Any]) -> bytes:
        """The body of the answer. Raises RuntimeError for one that is no 200."""
        body = json.dumps(content).encode()
        head = f"POST {_API}{path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
        return self._ask(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def get(self, path: str, **query: Any) -> bytes:
        place = path if path.startswith("/") else f"{_API}{path}"
        return self._ask(f"GET {place}?{urlencode(query, doseq=True)} HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode())

    def close(self) -> None:
        self._socket.close()

    def _ask(self, request: bytes) -> bytes:
        if monotonic() - self._used > _IDLE_SECONDS:  # MLflow's server closes what is idle for five seconds
            self.close()
            self._connect()
        self._used = monotonic()
        self._socket.sendall(request)
        while b"\r\n\r\n" not in self._kept:
            self._more()
        head, _, rest = self._kept.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        self._kept = rest
        parts, size = [rest], len(rest)
        while size < length:
            part = self._socket.recv(1 << 20)
            if not part:
                raise RuntimeError("the server closed the connection")
            parts.append(part)
            size += len(part)
        whole = b"".join(parts)
        body, self._kept = whole[:length], whole[length:]
        if lines[0].split()[1] != b"200":
            raise RuntimeError(f"{lines[0].decode()}: {body[:300].decode(errors='replace')}")
        return body

    def _more(self) -> None:
        part = self._socket.recv(1 << 16)
        if not part:
            raise RuntimeError("the server closed the connection")
        self._kept += part


def at_once(url: str, connections: int, work: Callable[[HubClient, int], int]) -> tuple[int, float]:
    """How much all the connections did together, and in how many seconds. `work` is given a connection and its number."""
    done = [0] * connections
    failures: list[BaseException] = []

    def run(number: int) -> None:
        client = HubClient(url)
        try:
            done[number] = work(client, number)
        except BaseException as error:
            failures.append(error)
        finally:
            client.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(connections)]
    start = perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return sum(done), perf_counter() - start
