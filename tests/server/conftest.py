"""Server processes for tests, the application in process, and a raw client that counts what it does."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import httpx
import pytest

from server.asgi import Bench

READY_WITHIN = 60.0


class ServerProcess:
    """`penstock serve` in a process of its own. Its output is read by threads, so that it never blocks on a pipe."""

    def __init__(self, arguments: list[str], environment: dict[str, str], directory: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "penstock", "serve", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=directory,
            env=environment,
        )
        self.url = self.admin_url = ""
        self._lines: Queue[str | None] = Queue()
        self._errors: list[str] = []
        self._readers = [
            threading.Thread(target=self._read_lines, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read_lines(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._errors.append(line)

    @property
    def stderr(self) -> str:
        return "".join(self._errors)

    def wait_ready(self) -> ServerProcess:
        """Waits for the line that says where it listens; the admin port's comes before it."""
        line = self._line()
        if found := re.fullmatch(r"admin on (http://\S+)", line):
            self.admin_url, line = found[1], self._line()
        found = re.fullmatch(r"serving on (http://\S+)", line)
        assert found, line
        self.url = found[1]
        return self

    @property
    def unread(self) -> list[str]:
        """The lines of its output so far that nobody has waited for."""
        return [line for line in self._lines.queue if line is not None]

    def wait_listening(self) -> ServerProcess:
        """Waits for the words that say where it listens while it has nothing to serve."""
        deadline = time.monotonic() + READY_WITHIN
        while (found := re.search(r"Listening on (http://\S+), not ready yet: ", self.stderr)) is None:
            assert self.process.poll() is None, f"it ended instead of listening:\n{self.stderr}"
            assert time.monotonic() < deadline, f"not listening after {READY_WITHIN:g} s:\n{self.stderr}"
            time.sleep(0.02)
        self.url = found[1]
        return self

    def _line(self) -> str:
        try:
            line = self._lines.get(timeout=READY_WITHIN)
        except Empty:
            raise AssertionError(f"not ready after {READY_WITHIN:g} s:\n{self.stderr}") from None
        assert line is not None, f"it ended instead of serving:\n{self.stderr}"
        return line

    def wait_exit(self, seconds: float = 30.0) -> int:
        code = self.process.wait(seconds)
        for reader in self._readers:
            reader.join(seconds)
        return code

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        for reader in self._readers:
            reader.join(10)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    @property
    def address(self) -> tuple[str, int]:
        url = httpx.URL(self.url)
        assert url.port is not None
        return url.host, url.port

    def resident_bytes(self) -> int:
        """What the process holds in memory, from /proc."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


Launch = Callable[..., ServerProcess]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """Starts `penstock serve` with these arguments, and ends what was started. Settings of the caller's own shell do
    not reach it."""
    with _launching(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def launch_shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launch]:
    """The same for servers that serve several tests of a file."""
    with _launching(tmp_path_factory.mktemp("shared")) as start:
        yield start


@contextmanager
def _launching(directory: Path) -> Iterator[Launch]:
    started: list[ServerProcess] = []

    def start(*arguments: object, port: int | None = 0, **variables: str) -> ServerProcess:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PENSTOCK_")}
        ports = [] if port is None else ["--port", str(port)]
        server = ServerProcess([*map(str, arguments), *ports], {**environment, **variables}, directory)
        started.append(server)
        return server

    try:
        yield start
    finally:
        for server in reversed(started):
            server.stop()


@pytest.fixture
async def bench(identity_onnx_package: Path) -> AsyncIterator[Bench]:
    """The application in this process, which takes bodies of 5000 bytes at most; nothing is served yet."""
    made = Bench(identity_onnx_package, max_body_bytes=5000)
    yield made
    await made.close()


@pytest.fixture
async def client(bench: Bench) -> AsyncIterator[httpx.AsyncClient]:
    """Asks the bench, which serves a model `m` that answers with its input."""
    bench.serve()
    async with bench.open() as http:
        yield http


class Connection:
    """One keep-alive connection, spoken to in bytes: quick enough for hundreds of clients in one test process."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, address: tuple[str, int]) -> Connection:
        return cls(*await asyncio.open_connection(*address))

    async def post(self, document: Any, path: str = "/invocations") -> tuple[int, dict[str, str], Any]:
        """Status, headers with lower-case names, and the decoded body."""
        body = json.dumps(document).encode()
        self.writer.write(
            f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        await self.writer.drain()
        return await self.answer()

    async def answer(self) -> tuple[int, dict[str, str], Any]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
        content = await self.reader.readexactly(int(headers["content-length"]))
        return int(head[0].split()[1]), headers, json.loads(content)

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


def samples(text: str, name: str, **labels: str) -> float:
    """The sum of a metric's samples that carry these labels, from Prometheus' text form."""
    total = 0.0
    for line in text.splitlines():
        found = re.fullmatch(rf"{name}(?:\{{(.*)\}})? (\S+)", line)
        if found and all(f'{key}="{value}"' in (found[1] or "") for key, value in labels.items()):
            total += float(found[2])
    return total
