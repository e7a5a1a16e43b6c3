"""A server that begins an answer and then sends a byte of it now and then, without end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_EVERY = 0.01


@contextmanager
def dripping_server(head: bytes) -> Iterator[str]:
    """Its address."""
    ends = threading.Event()
    listening = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection, _ = listening.accept()
        with connection, suppress(OSError):
            connection.recv(65536)
            connection.sendall(head)
            while not ends.wait(_EVERY):
                connection.sendall(b"1")

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    with listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        ends.set()
        thread.join()
