"""The servers that are compared, each a process on one core: the floor, Penstock with its shipped defaults, MLflow."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
MLFLOW_PYTHON = ROOT / ".venv-mlflow" / "bin" / "python"
SERVER_CORE, LOAD_CORE = "0", "1"
_START_LIMIT = 120.0


@dataclass(frozen=True)
class Server:
    """A running server: where it is, how long it took to answer first, and its process."""

    url: str
    seconds_to_ready: float
    process: subprocess.Popen[bytes]

    def memory(self) -> float:
        """Resident megabytes of the process and its children."""
        import psutil

        top = psutil.Process(self.process.pid)
        return float(sum(p.memory_info().rss for p in [top, *top.children(recursive=True)]) / 1e6)


@contextmanager
def floor() -> Iterator[Server]:
    port = _free_port()
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "floor:app",
        "--port",
        str(port),
        "--no-access-log",
        "--log-level",
        "error",
    ]
    with _running(command, port, "/", cwd=Path(__file__).parent) as server:
        yield server


@contextmanager
def penstock(package: Path, *arguments: str) -> Iterator[Server]:
    port = _free_port()
    command = [sys.executable, "-m", "penstock", "serve", str(package), "--port", str(port), "--log-level", "warning"]
    with _running([*command, *arguments], port, "/readyz") as server:
        yield server


@contextmanager
def mlflow(package: Path) -> Iterator[Server]:
    """MLflow's own scoring server, from its environment: make mlflow-env makes that."""
    port = _free_port()
    app = "mlflow.pyfunc.scoring_server.app:app"
    command = [str(MLFLOW_PYTHON), "-m", "uvicorn", app, "--port", str(port), "--log-level", "error", "--no-access-log"]
    with _running(command, port, "/ping", env={"__pyfunc_model_path__": str(package)}) as server:
        yield server


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _running(
    command: list[str], port: int, path: str, *, cwd: Path | None = None, env: dict[str, str] | None = None
) -> Iterator[Server]:
    pinned = ["taskset", "-c", SERVER_CORE, *command]
    began = time.perf_counter()
    process = subprocess.Popen(
        pinned, cwd=cwd, env={**os.environ, **(env or {})}, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        _wait(f"http://127.0.0.1:{port}{path}", process, began + _START_LIMIT)
        yield Server(f"http://127.0.0.1:{port}", time.perf_counter() - began, process)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(url: str, process: subprocess.Popen[bytes], until: float) -> None:
    """Asks until the server answers. Raises SystemExit where it ends or takes too long."""
    while time.perf_counter() < until:
        if process.poll() is not None:
            raise SystemExit(f"The server ended with {process.returncode}: {process.args!r}")
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except urllib.error.HTTPError as error:
            if error.code < 500:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise SystemExit(f"The server is not ready after {_START_LIMIT:.0f} s: {process.args!r}")
