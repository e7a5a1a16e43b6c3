"""The demo's servers, real `penstock serve` and `penstock hub` processes, and requests to them."""

from __future__ import annotations

import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from time import perf_counter
from types import TracebackType
from urllib.parse import urlsplit

from penstock.cli.demo.shell import DemoFailed, Shell, in_this_environment, last_lines

READY_TIMEOUT = 60.0
STOP_TIMEOUT = 40.0
ANNOUNCEMENT = "serving on "
SHOWN_HEADERS = ("X-Model-Version", "Server-Timing")


@dataclass(frozen=True, slots=True)
class HttpReply:
    status: int
    headers: Message
    body: str


def serving(shell: Shell, *arguments: str) -> AbstractContextManager[str]:
    """`penstock serve` with these arguments."""
    return running(shell, "penstock", "serve", *arguments)


@contextmanager
def running(shell: Shell, *command: str) -> Iterator[str]:
    """Runs a server; gives its URL once it is ready; stops it with SIGTERM.

    Raises DemoFailed where it does not start, or does not end with code 0.
    """
    shell.command(command)
    name = "hub" if command[1] == "hub" else "server"
    log = shell.work / f"{command[1]}.log"
    with log.open("w", encoding="utf-8") as stderr:
        process = subprocess.Popen(
            in_this_environment(command),
            cwd=shell.work,
            env=shell.environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
    try:
        line = _first_line(process)
        if not line.startswith(ANNOUNCEMENT):
            raise DemoFailed(f"The {name} did not start: {last_lines(log.read_text(encoding='utf-8'))}")
        shell.output(line)
        yield line.removeprefix(ANNOUNCEMENT)
        _stop(shell, process, log, name)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _first_line(process: subprocess.Popen[str]) -> str:
    """The first line that the process prints; empty where it ends, or stays silent for too long."""
    assert process.stdout is not None
    deadline = threading.Timer(READY_TIMEOUT, process.kill)
    deadline.start()
    try:
        return process.stdout.readline().strip()
    finally:
        deadline.cancel()


def _stop(shell: Shell, process: subprocess.Popen[str], log: Path, name: str) -> None:
    process.terminate()
    code = process.wait(STOP_TIMEOUT)
    if code != 0:
        raise DemoFailed(
            f"The {name} exited with code {code} after SIGTERM: {last_lines(log.read_text(encoding='utf-8'))}"
        )
    shell.say(f"After SIGTERM the {name} finished the requests in flight and exited with code 0.")


def ask(shell: Shell, url: str, data: str) -> None:
    """Sends a request, shown as a curl line: JSON, or @FILE (.json or .csv) in the work directory, as curl takes it.

    Shows the answer. Raises DemoFailed for a status other than 200.
    """
    kind = "text/csv" if data.endswith(".csv") else "application/json"
    shell.command(["curl", "-si", url, "-H", f"Content-Type: {kind}", "--data-binary", data])
    body = (shell.work / data[1:]).read_bytes() if data.startswith("@") else data.encode()
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=30)
    try:
        reply = post(connection, parts.path, body, kind)
    finally:
        connection.close()
    for name in SHOWN_HEADERS:
        if name in reply.headers:
            shell.output(f"{name}: {reply.headers[name]}")
    shell.say(reply.body)
    if reply.status != 200:
        raise DemoFailed(f"{url} answered with status {reply.status}.")


def post(connection: HTTPConnection, path: str, body: bytes, kind: str) -> HttpReply:
    connection.request("POST", path, body, {"Content-Type": kind})
    response = connection.getresponse()
    return HttpReply(response.status, response.headers, response.read().decode())


def get(url: str) -> str:
    """The text at a URL. Raises DemoFailed for a status other than 200."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=30)
    try:
        connection.request("GET", parts.path)
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    if response.status != 200:
        raise DemoFailed(f"{url} answered with status {response.status}.")
    return text


class RequestStream:
    """A steady stream of one request after the other, in a thread, counted by the version that answered."""

    PAUSE = 0.002

    def __init__(self, url: str, json: str) -> None:
        self._url = urlsplit(url)
        self._body = json.encode()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        # The whole mutable state, guarded by the condition.
        self._changed = threading.Condition()
        self.answers: Counter[str] = Counter()
        self.failed = 0
        self.slowest = 0.0

    def __enter__(self) -> RequestStream:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def wait_for(self, version: str, count: int, timeout: float = 30.0) -> None:
        """Returns when this version has answered so many requests. Raises DemoFailed."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.answers[version] >= count, timeout):
                raise DemoFailed(
                    f"Version {version} answered {self.answers[version]} requests in {timeout:g} s. {self}"
                )

    def _run(self) -> None:
        connection = HTTPConnection(self._url.netloc, timeout=30)
        while not self._stopping.wait(self.PAUSE):
            began = perf_counter()
            try:
                reply = post(connection, self._url.path, self._body, "application/json")
                version = reply.headers.get("X-Model-Version", "") if reply.status == 200 else ""
            except (OSError, HTTPException):
                connection.close()  # the next request opens another
                version = ""
            self._count(version, perf_counter() - began)
        connection.close()

    def _count(self, version: str, seconds: float) -> None:
        with self._changed:
            if version:
                self.answers[version] += 1
            else:
                self.failed += 1
            self.slowest = max(self.slowest, seconds)
            self._changed.notify_all()

    def __str__(self) -> str:
        by = ", ".join(f"by version {version}: {count}" for version, count in sorted(self.answers.items()))
        total = self.answers.total() + self.failed
        return f"{total} requests, {self.failed} failed; answered {by}; the slowest took {self.slowest * 1e3:.1f} ms."
