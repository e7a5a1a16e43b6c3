"""A load generator in one process: raw HTTP/1.1 over kept connections, closed or open loop. Prints one JSON object.

    python loadtests/generator.py http://127.0.0.1:8080/invocations --body body.json --connections 64 --seconds 5
    python loadtests/generator.py URL --body body.json --rate 2000 --connections 256 --seconds 60

Closed loop: every connection sends its next request when the last one is answered. Open loop (`--rate`): requests are
due at a constant rate whatever the server does, and their time counts from when they were due, so that a server that
stalls cannot hide it. Where no connection is free a due request waits for one, and that counts as well. What is not
answered in the end counts with the time it waited. Python's own HTTP clients would be the bottleneck; a protocol of its
own on uvloop is not: `cpu` in the answer is the share of a core that the generator itself took.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import json
import os
import resource
import sys
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, process_time
from urllib.parse import urlsplit

from histogram import Histogram

WARM_UP = 0.5
GRACE = 10.0

# A request sent this long after it was due counts as late.
LATE = 0.001

# How often, in seconds, the open loop looks what is due.
_TICK = 0.0002


@dataclass
class Tally:
    """What was seen of the measured time, in seconds.

    `latencies` of good answers to requests that were due in that time, from when they were due; `service` the same from
    when they were sent; `late` how long after its moment each was sent. `answers` by second and status are those that
    came in that time; `answered` counts all there ever were, those of the warm-up too.
    """

    latencies: array[float] = field(default_factory=lambda: array("d"))
    service: array[float] = field(default_factory=lambda: array("d"))
    late: array[float] = field(default_factory=lambda: array("d"))
    answers: dict[int, Counter[int]] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    errors: int = 0
    unanswered: int = 0
    answered: int = 0


class Connection(asyncio.Protocol):
    """One kept connection with at most one request on its way; opened anew where the server closes it."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self.due = self.sent = 0.0
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._run.opened(self)

    def send(self, due: float) -> None:
        assert self._transport is not None
        self.busy = True
        self.due = due
        self.sent = perf_counter()
        self._transport.write(self._run.request)

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[: end + 2].lower()
        if len(self._buffer) < end + 4 + content_length(head):
            return
        status = int(head[9:12])
        self._buffer = b""
        self.busy = False
        self._run.answered(status, self.due, self.sent)
        if b"\r\nconnection: close\r\n" in head:
            self.close()
        else:
            self._run.free(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._run.lost(self)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def content_length(head: bytes) -> int:
    """Of a head in lower case. Raises ValueError where it says none: this generator reads no chunked answers."""
    at = head.find(b"\r\ncontent-length:")
    if at < 0:
        raise ValueError("The server's answer has no Content-Length.")
    return int(head[at + 17 : head.find(b"\r\n", at + 2)])


class Run:
    """One measurement.

    The whole state: the tally, all connections and the free ones, requests that are due and wait for one, the most that
    waited, the measured time, whether nothing more is sent, whether all is over.
    """

    def __init__(self, request: bytes, rate: float | None, reopen: Callable[[], object] = lambda: None) -> None:
        self.request = request
        self.rate = rate
        self._reopen = reopen
        self.tally = Tally()
        self._connections: set[Connection] = set()
        self._free: deque[Connection] = deque()
        self._due: deque[float] = deque()
        self.most_waiting = 0
        self._start = self._end = float("inf")
        self._ending = self._over = False

    def measure_between(self, start: float, end: float) -> None:
        self._start, self._end = start, end

    def opened(self, connection: Connection) -> None:
        self._connections.add(connection)
        self.free(connection)

    def free(self, connection: Connection) -> None:
        """Gives a connection its next request: the one that waits longest, or in a closed loop a new one."""
        if self._due:
            self._send(connection, self._due.popleft())
        elif self.rate is None and not self._ending:
            self._send(connection, perf_counter())
        else:
            self._free.append(connection)

    def due(self, moment: float) -> None:
        if self._free:
            self._send(self._free.popleft(), moment)
        else:
            self._due.append(moment)
            self.most_waiting = max(self.most_waiting, len(self._due))

    def _send(self, connection: Connection, due: float) -> None:
        connection.send(due)
        if self._measured(due):
            self.tally.late.append(connection.sent - due)

    def _measured(self, moment: float) -> bool:
        return self._start <= moment < self._end

    def answered(self, status: int, due: float, sent: float) -> None:
        now = perf_counter()
        self.tally.answered += 1
        if self._measured(due) and status == 200:
            self.tally.latencies.append(now - due)
            self.tally.service.append(now - sent)
        if self._measured(now):
            self.tally.statuses[status] += 1
            self.tally.answers.setdefault(int(now - self._start), Counter())[status] += 1

    def lost(self, connection: Connection) -> None:
        """A server may close an idle connection; one with a request on its way is an error."""
        self._connections.discard(connection)
        if connection in self._free:
            self._free.remove(connection)
        if self._over:
            return
        if connection.busy and self._measured(connection.due):
            self.tally.errors += 1
        self._reopen()

    @property
    def waiting(self) -> bool:
        return bool(self._due) or any(c.busy for c in self._connections)

    def end_sending(self) -> None:
        self._ending = True

    def close(self) -> None:
        """What still waits counts with the time it has waited: at least that long it would have been."""
        self._over = True
        now = perf_counter()
        for due in [*self._due, *(c.due for c in self._connections if c.busy)]:
            if self._measured(due):
                self.tally.unanswered += 1
                self.tally.latencies.append(now - due)
        for connection in list(self._connections):
            connection.close()


async def measure(
    host: str, port: int, request: bytes, connections: int, seconds: float, rate: float | None, warm_up: float = WARM_UP
) -> Run:
    """Sends for `warm_up` and then `seconds`, waits for what is on its way, and returns what was seen."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    async def open_one(patient: bool) -> None:
        while True:
            try:
                await loop.create_connection(lambda: Connection(run), host, port)
                return
            except OSError:
                if not patient:
                    raise
                run.tally.errors += 1
                await asyncio.sleep(0.1)

    def reopen() -> None:
        task = loop.create_task(open_one(patient=True))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    run = Run(request, rate, reopen)
    begin = perf_counter()
    run.measure_between(float("inf"), float("inf"))
    for _ in range(connections):
        await open_one(patient=False)
    begin = perf_counter()
    end = begin + warm_up + seconds
    run.measure_between(begin + warm_up, end)
    if rate is None:
        await asyncio.sleep(end - perf_counter())
    else:
        await _arrivals(run, rate, begin, end)
    run.end_sending()
    give_up = perf_counter() + GRACE
    while run.waiting and perf_counter() < give_up:  # noqa: ASYNC110  (what is on its way changes with every answer)
        await asyncio.sleep(0.01)
    run.close()
    for task in tasks:
        task.cancel()
    return run


async def _arrivals(run: Run, rate: float, start: float, end: float) -> None:
    """Marks each request due at its moment; a late wake-up makes up for all that it missed."""
    number = 0
    tick = Tick(_TICK)
    try:
        while (now := perf_counter()) < end:
            while start + number / rate <= now:
                run.due(start + number / rate)
                number += 1
            await tick.next()
    finally:
        tick.close()


class Tick:
    """Wakes its waiter every so many seconds, by Linux's timerfd: the event loop's own timers are a millisecond coarse,
    and to turn the loop instead of sleeping makes the scheduler put a busy process last."""

    def __init__(self, seconds: float) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK)
        period = (int(seconds), int(seconds % 1 * 1e9))
        if self._fd < 0 or libc.timerfd_settime(self._fd, 0, (ctypes.c_long * 4)(*period, *period), None) < 0:
            raise OSError(ctypes.get_errno(), "There is no timer to be had.")
        self._woken = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._fd, self._on_tick)

    def _on_tick(self) -> None:
        os.read(self._fd, 8)
        self._woken.set()

    async def next(self) -> None:
        await self._woken.wait()
        self._woken.clear()

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)


def summary(run: Run, seconds: float, cpu: float) -> dict[str, object]:
    """Rates a second and milliseconds."""
    tally = run.tally
    times, late = Histogram(tally.latencies), Histogram(tally.late)
    ok = tally.statuses[200]
    return {
        "requests_per_second": sum(tally.statuses.values()) / seconds,
        "ok_per_second": ok / seconds,
        **{f"p{name}": times.percentile(share) * 1e3 for name, share in SHARES.items()},
        "max": times.percentile(1) * 1e3,
        "service_p99": Histogram(tally.service).percentile(0.99) * 1e3,
        "statuses": {str(k): v for k, v in sorted(tally.statuses.items())},
        "errors": tally.errors,
        "unanswered": tally.unanswered,
        "answered": tally.answered,
        "most_waiting": run.most_waiting,
        "late": sum(1 for each in tally.late if each > LATE),
        "late_p99": late.percentile(0.99) * 1e3,
        "late_max": late.percentile(1) * 1e3,
        "cpu": cpu,
        "by_second": [
            {str(k): v for k, v in tally.answers.get(second, Counter()).items()} for second in range(int(seconds))
        ],
        "histogram": times.as_json(),
    }


SHARES = {"50": 0.5, "90": 0.9, "99": 0.99, "999": 0.999}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--body", type=Path, required=True)
    parser.add_argument("--content-type", default="application/json")
    parser.add_argument("--accept", default="*/*")
    parser.add_argument("--connections", type=int, default=64, help="open at once, and no more")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--warm-up", type=float, default=WARM_UP, help="seconds of load before the measured ones")
    parser.add_argument("--rate", type=float, default=None, help="requests a second: an open loop")
    options = parser.parse_args()
    url = urlsplit(options.url)
    if url.hostname not in ("127.0.0.1", "localhost", "::1"):
        sys.exit("This generator loads servers on this machine alone.")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < options.connections + 64:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(options.connections + 64, hard), hard))
    body = options.body.read_bytes()
    head = (
        f"POST {url.path or '/'} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: {options.content_type}\r\n"
        f"Accept: {options.accept}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    import uvloop

    coroutine = measure(
        url.hostname, url.port or 80, head.encode() + body, options.connections, options.seconds, options.rate,
        options.warm_up,
    )  # fmt: skip
    began, used = perf_counter(), process_time()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        run = runner.run(coroutine)
    cpu = (process_time() - used) / (perf_counter() - began)
    print(json.dumps(summary(run, options.seconds, cpu)))


if __name__ == "__main__":
    main()
