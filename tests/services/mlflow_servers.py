"""Real MLflow servers for tests, each with a database and an artifact directory of its own, and MLflow's own client."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from services.tools import give_up

ROOT = Path(__file__).parents[2]
BIN = ROOT / ".venv-mlflow" / "bin"


def require_mlflow() -> None:
    """Skips on a laptop, fails in CI, where MLflow's environment is missing."""
    if not (BIN / "mlflow").exists():
        give_up("MLflow's environment is missing: make mlflow-env")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """`mlflow server` as a process that can be stopped and started again."""

    def __init__(self, place: Path, options: Sequence[str], environment: dict[str, str]) -> None:
        self.place = place
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [
            str(BIN / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1",
            "--backend-store-uri", f"sqlite:///{place}/mlflow.db", *options,
        ]  # fmt: skip
        self._environment = {**clean_environment(), **environment}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, seconds: float = 180) -> None:
        with (self.place / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, cwd=self.place, env=self._environment, start_new_session=True
            )
        end = time.monotonic() + seconds
        while not self._healthy():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError((self.place / "server.log").read_text()[-3000:])
            time.sleep(0.1)

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def stop(self) -> None:
        """The process and those it started: they share a session that only they are in."""
        if self._process is None:
            return
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:  # it waits for connections that nobody uses
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(30)
        self._process = None


class Client:
    """MLflow's own client, in a process of MLflow's environment: `client.log(name="fraud")`."""

    def __init__(self, url: str, environment: dict[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [BIN / "python", Path(__file__).with_name("mlflow_client.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**clean_environment(), "MLFLOW_TRACKING_URI": url, **(environment or {})},
        )  # fmt: skip

    def __getattr__(self, verb: str) -> Any:
        def ask(**values: Any) -> Any:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps({"do": verb, **values}) + "\n")
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline())
            if "error" in answer:
                raise RuntimeError(answer["error"])
            return answer["answer"]

        return ask

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def running(place: Path, *options: str, environment: dict[str, str] | None = None) -> Iterator[Server]:
    server = Server(place, options, environment or {})
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def client_of(url: str, environment: dict[str, str] | None = None) -> Iterator[Client]:
    client = Client(url, environment)
    try:
        yield client
    finally:
        client.close()


def clean_environment() -> dict[str, str]:
    """Without what a developer's shell says about MLflow, and without its telemetry and questions."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PENSTOCK_"))}
    return {**kept, "MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet", "NO_COLOR": "1"}
