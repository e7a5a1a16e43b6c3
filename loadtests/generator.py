"""A load generator in one process: raw HTTP/1.1 over kept connections, closed or open loop. Prints one JSON object.

    python loadtests/generator.py http://127.0.0.1:8080/invocations --body body.json --connections 64 --seconds 5
    python loadtests/generator.py URL --body body.json --rate 2000 --seconds 60

Closed loop: every connection sends its next request when the last one is answered. Open loop (`--rate`): requests are
due at a constant rate whatever the server does, and their time counts from when they were due, so that a server that
stalls cannot hide it. Python's own HTTP clients would be the bottleneck; a protocol of its own on uvloop is not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from array import array
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from urllib.parse import urlsplit

WARM_UP = 1.0


@dataclass
class Tally:
    """What was seen after the warm-up: seconds of the answered requests, counts by status, errors of connections."""

    seconds: array[float] = field(default_factory=lambda: array("d"))
    ok_seconds: array[float] = field(default_factory=lambda: array("d"))
    statuses: Counter[int] = field(default_factory=Counter)
    errors: int = 0

    def add(self, status: int, seconds: float) -> None:
        self.statuses[status] += 1
        self.seconds.append(seconds)
        if status == 200:
            self.ok_seconds.append(seconds)


class Connection(asyncio.Protocol):
    """One kept connection with at most one request on its way."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._due = 0.0
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._run.free(self)

    def send(self, due: float) -> None:
        assert self._transport is not None
        self.busy = True
        self._due = due
        self._transport.write(self._run.request)

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        size = content_length(self._buffer[:head])
        if len(self._buffer) < head + 4 + size:
            return
        status = int(self._buffer[9:12])
        self._buffer = b""
        self.busy = False
        self._run.answered(status, self._due)
        self._run.free(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._run.over:
            self._run.lost(self)


def content_length(head: bytes) -> int:
    lower = head.lower()
    at = lower.find(b"content-length:")
    if at < 0:
        return 0
    end = lower.find(b"\r\n", at)
    return int(lower[at + 15 : end if end >= 0 else None])


class Run:
    """One measurement. The whole state: the tally, free connections, requests that are due and wait for one."""

    def __init__(self, request: bytes, rate: float | None) -> None:
        self.request = request
        self.rate = rate
        self.tally = Tally()
        self.over = False
        self._counting_from = float("inf")
        self._free: deque[Connection] = deque()
        self._due: deque[float] = deque()
        self.backlog = 0

    def count_from(self, moment: float) -> None:
        self._counting_from = moment

    def free(self, connection: Connection) -> None:
        if self.over:
            return
        if self.rate is None:
            connection.send(perf_counter())
        elif self._due:
            connection.send(self._due.popleft())
        else:
            self._free.append(connection)

    def due(self, moment: float) -> None:
        if self._free:
            self._free.popleft().send(moment)
        else:
            self._due.append(moment)
            self.backlog = max(self.backlog, len(self._due))

    def answered(self, status: int, due: float) -> None:
        if due >= self._counting_from and not self.over:
            self.tally.add(status, perf_counter() - due)

    def lost(self, connection: Connection) -> None:
        self.tally.errors += 1


async def measure(host: str, port: int, request: bytes, connections: int, seconds: float, rate: float | None) -> Run:
    run = Run(request, rate)
    loop = asyncio.get_running_loop()
    opened = [await loop.create_connection(lambda: Connection(run), host, port) for _ in range(connections)]
    start = perf_counter()
    run.count_from(start + WARM_UP)
    end = start + WARM_UP + seconds
    if rate is None:
        await asyncio.sleep(end - perf_counter())
    else:
        await _arrivals(run, rate, start, end)
    run.over = True
    for transport, _ in opened:
        transport.close()
    return run


async def _arrivals(run: Run, rate: float, start: float, end: float) -> None:
    """Marks each request due at its moment; a late wake-up makes up for all that it missed."""
    number = 0
    while (now := perf_counter()) < end:
        while (due := start + number / rate) <= now:
            run.due(due)
            number += 1
        await asyncio.sleep(max(0.0, due - perf_counter()))


def percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def summary(run: Run, seconds: float) -> dict[str, object]:
    """Rates a second and milliseconds."""
    ok = sorted(run.tally.ok_seconds)
    times = {
        f"p{name}": percentile(ok, share) * 1e3
        for name, share in (("50", 0.5), ("90", 0.9), ("99", 0.99), ("999", 0.999))
    }
    return {
        "requests_per_second": len(run.tally.seconds) / seconds,
        "ok_per_second": len(ok) / seconds,
        **times,
        "max": ok[-1] * 1e3 if ok else float("nan"),
        "statuses": {str(k): v for k, v in sorted(run.tally.statuses.items())},
        "errors": run.tally.errors,
        "most_waiting": run.backlog,
        "histogram": [percentile(ok, i / 200) * 1e3 for i in range(201)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--body", type=Path, required=True)
    parser.add_argument("--content-type", default="application/json")
    parser.add_argument("--accept", default="*/*")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rate", type=float, default=None)
    options = parser.parse_args()
    url = urlsplit(options.url)
    if url.hostname not in ("127.0.0.1", "localhost", "::1"):
        sys.exit("This generator loads servers on this machine alone.")
    body = options.body.read_bytes()
    head = (
        f"POST {url.path or '/'} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: {options.content_type}\r\n"
        f"Accept: {options.accept}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    import uvloop

    coroutine = measure(
        url.hostname, url.port or 80, head.encode() + body, options.connections, options.seconds, options.rate
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        run = runner.run(coroutine)
    print(json.dumps(summary(run, options.seconds)))


if __name__ == "__main__":
    main()
