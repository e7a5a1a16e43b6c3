"""Clients that send their bodies slowly, beside quick ones. Fails if a slow client gets no right answer, or if the quick
ones' 99th percentile grows to more than three times what it was without the slow ones (and 50 ms more than that).

    locust -f loadtests/locust_slow.py [--host http://127.0.0.1:8080]

A host must serve `adds`, see locust_mixed.py.
"""

from __future__ import annotations

import json
import time
from urllib.parse import urlsplit

import gevent
import standing
from answers import misfit, random_rows
from gevent import socket
from locust import FastHttpUser, User, constant, constant_throughput, task
from locust.env import Environment

PATH = "/models/adds/invocations"
ALONE, BESIDE, SLOW = "quick, alone", "quick, beside slow ones", "slow"
QUICK_CALLERS, SLOW_CALLERS = 8, 64
PIECES, PAUSE = 20, 0.2
ALONE_FOR = 10.0

standing.defaults(headless=True, num_users=QUICK_CALLERS + SLOW_CALLERS, spawn_rate=100, run_time="30s")
standing.serve(registry=True)


class QuickCaller(FastHttpUser):
    fixed_count = QUICK_CALLERS
    wait_time = constant_throughput(20)

    @task
    def predict(self) -> None:
        rows, name = random_rows(2), BESIDE if SlowCaller.running else ALONE
        with self.client.post(PATH, json={"inputs": rows}, name=name, catch_response=True) as answer:
            if answer.status_code == 200 and (wrong := misfit(rows, answer.headers["x-model-version"], answer.json())):
                answer.failure(wrong)


class SlowCaller(User):
    """Sends a body in pieces with pauses between, ten seconds after the quick callers. `running` is how many do."""

    fixed_count = SLOW_CALLERS
    wait_time = constant(0)
    running = 0

    def on_start(self) -> None:
        gevent.sleep(ALONE_FOR)
        SlowCaller.running += 1

    @task
    def predict(self) -> None:
        rows = random_rows(50)
        body, began, wrong = json.dumps({"inputs": rows}).encode(), time.perf_counter(), None
        try:
            status, version, content = self._ask(body)
            wrong = f"status {status}" if status != 200 else misfit(rows, version, json.loads(content))
        except OSError as error:
            wrong = str(error)
        self.environment.events.request.fire(
            request_type="POST", name=SLOW, response_time=(time.perf_counter() - began) * 1e3,
            response_length=0, exception=RuntimeError(wrong) if wrong else None, context={},
        )  # fmt: skip

    def _ask(self, body: bytes) -> tuple[int, str, bytes]:
        """Status, version and content of the answer to a body sent in pieces."""
        url = urlsplit(self.environment.host)
        with socket.create_connection((url.hostname, url.port or 80), timeout=60) as connection:
            head = f"POST {PATH} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: application/json\r\n"
            connection.sendall(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode())
            size = len(body) // PIECES + 1
            for start in range(0, len(body), size):
                connection.sendall(body[start : start + size])
                gevent.sleep(PAUSE)
            received = b""
            while piece := connection.recv(65_536):
                received += piece
        lines, _, content = received.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in lines.decode().lower().split("\r\n")[1:])
        return int(lines[9:12]), headers.get("x-model-version", ""), content


def problems(environment: Environment) -> list[str]:
    stats = environment.stats
    alone, beside = (stats.get(name, "POST").get_response_time_percentile(0.99) for name in (ALONE, BESIDE))
    if not alone or not beside or not stats.get(SLOW, "POST").num_requests:
        return ["One of the two stages is missing."]
    if beside > 3 * alone + 50:
        return [f"Slow clients slow the quick ones down: 99 % within {beside} ms, {alone} ms without them."]
    return []


standing.judge(problems)
