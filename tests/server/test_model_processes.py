"""Model processes under a real `penstock serve`: its end by any signal leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving import faulty_model as faulty
from serving.apart import asks, faulty_package

_LIMIT = 60.0


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return faulty_package(tmp_path_factory.mktemp("served") / "faulty")


class Served:
    """A server process and what can be asked of it."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "penstock", "serve", "--port", "0", "--trust-code", *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        self.url = line.removeprefix("serving on ").strip()

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=_LIMIT) as response:
            return json.load(response)

    def ask(self, inputs: list[list[float]], **headers: str) -> tuple[int, Any, Any]:
        body = json.dumps({"inputs": inputs}).encode()
        sent = urllib.request.Request(f"{self.url}/invocations", body, {"Content-Type": "application/json", **headers})
        try:
            with urllib.request.urlopen(sent, timeout=_LIMIT) as response:
                return response.status, json.load(response), response.headers
        except urllib.error.HTTPError as error:
            return error.code, json.load(error), error.headers

    def fault(self, fault: Any) -> tuple[int, Any, Any]:
        return self.ask(asks(fault).arrays[0].tolist())

    def end(self, number: int = signal.SIGTERM) -> str:
        self.process.send_signal(number)
        return self.process.communicate(timeout=_LIMIT)[1]


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    made: list[Served] = []

    def start(*arguments: str) -> Served:
        made.append(Served(*arguments))
        return made[-1]

    yield start
    for served in made:
        if served.process.poll() is None:
            served.end(signal.SIGKILL)


def _gone(pid: int) -> bool:
    """Whether there is no such process, or only its remains, which init will collect."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _until(condition: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + _LIMIT
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.01)


def _family(served: Served) -> list[int]:
    """The model process, its keeper, and a child that the model has put into a session of its own."""
    (process,) = served.get("/models/faulty")["versions"][0]["processes"]
    keeper = int(Path(f"/proc/{process['pid']}/stat").read_text().rpartition(")")[2].split()[1])
    _, answer, _ = served.fault(faulty.bears)
    return [process["pid"], keeper, int(answer["predictions"][0])]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_model_process_outlives_its_server(serve: Callable[..., Served], package: Path, number: int) -> None:
    served = serve(str(package))
    family = _family(served)
    assert not any(map(_gone, family))
    if number == signal.SIGKILL:
        os.kill(family[0], signal.SIGSTOP)  # even one that can do nothing by itself
    served.end(number)
    assert served.process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    _until(lambda: all(map(_gone, family)), f"{[pid for pid in family if not _gone(pid)]} are still there")


def test_a_crash_is_a_503_and_the_next_request_is_answered(serve: Callable[..., Served], package: Path) -> None:
    served = serve(str(package), "--memory-limit", "2GiB", "--log-format", "json")
    status, answer, headers = served.fault(faulty.exits)
    assert (status, answer["error_code"], headers["Retry-After"]) == (503, "TEMPORARILY_UNAVAILABLE", "1")
    assert served.ask([[1.0, 2.0]])[1] == {"predictions": [[2.0, 4.0]]}
    status, answer, _ = served.fault(faulty.grows)
    assert (status, answer["error_code"]) == (400, "BAD_REQUEST")
    assert "2.0 GiB" in answer["message"]
    (version,) = served.get("/models/faulty")["versions"]
    assert version["isolation"] == "process"
    (process,) = version["processes"]
    assert (process["state"], process["restarts"]) == ("ready", 1)
    with urllib.request.urlopen(f"{served.url}/metrics") as response:
        metrics = response.read().decode()
    assert 'penstock_requests_total{model="faulty",outcome="internal",protocol="invocations"' in metrics
    assert "penstock_model_process_memory_bytes" in metrics
    events = [json.loads(line) for line in served.end().splitlines()]
    assert any("the model process ended with code 3; restarting it at once" in event["message"] for event in events)


def test_each_worker_has_processes_of_its_own(serve: Callable[..., Served], package: Path) -> None:
    served = serve(str(package), "--workers", "2")
    pids = set()
    _until(
        lambda: pids.add(served.get("/models/faulty")["versions"][0]["processes"][0]["pid"]) or len(pids) == 2,  # type: ignore[func-returns-value]
        "both workers should answer",
    )
    served.end()
    _until(lambda: all(map(_gone, pids)), "they should end with their workers")


def test_the_gateway_imports_neither_the_code_nor_pandas(serve: Callable[..., Served], python_package: Path) -> None:
    served = serve(str(python_package))
    body = b'{"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2]]}}'
    sent = urllib.request.Request(f"{served.url}/invocations", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(sent, timeout=_LIMIT) as response:
        assert json.load(response) == {"predictions": [6.0]}
    mapped = Path(f"/proc/{served.process.pid}/maps").read_text()
    assert "/numpy/" in mapped
    assert "/pandas/" not in mapped
