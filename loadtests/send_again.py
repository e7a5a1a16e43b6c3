"""Sends one body again and again on one connection, and prints how many seconds each answer took, as a JSON list.

    python loadtests/send_again.py URL BODY MEDIA [MOST]

Ends after MOST requests, or when its standard input is closed; fails where an answer is no 200. The first request does
not count: it may start what a server starts at the first large body. A blocking socket and bytes that are made
beforehand, so that it takes next to nothing of the core that others send from.
"""

from __future__ import annotations

import json
import select
import socket
import sys
from pathlib import Path
from time import perf_counter
from urllib.parse import urlsplit

from generator import content_length


def answer(sock: socket.socket) -> tuple[int, bytes]:
    """The status and the body of the answer that comes. Raises OSError where the connection ends before it."""
    buffer = bytearray()
    while (end := buffer.find(b"\r\n\r\n")) < 0:
        buffer += _more(sock)
    left = end + 4 + content_length(bytes(buffer[: end + 2]).lower()) - len(buffer)
    while left > 0:
        piece = _more(sock)
        buffer += piece
        left -= len(piece)
    return int(buffer[9:12]), bytes(buffer[end + 4 :])


def _more(sock: socket.socket) -> bytes:
    piece = sock.recv(1 << 20)
    if not piece:
        raise OSError("the server has closed the connection before its answer")
    return piece


def main() -> None:
    url, body, media = urlsplit(sys.argv[1]), Path(sys.argv[2]).read_bytes(), sys.argv[3]
    most = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    head = f"POST {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: {media}\r\nContent-Length: {len(body)}\r\n\r\n"
    request = head.encode() + body
    times: list[float] = []
    with socket.create_connection((url.hostname, url.port)) as sock:
        while not most or len(times) < most:
            if not most and select.select([sys.stdin], [], [], 0)[0]:
                break
            began = perf_counter()
            sock.sendall(request)
            status, said = answer(sock)
            times.append(perf_counter() - began)
            if status != 200:
                sys.exit(f"{status}: {said[:500]!r}")
    print(json.dumps(times[1:] or times))


if __name__ == "__main__":
    main()
