"""The servers that are compared, each a process on one core: the floor, Penstock with its shipped defaults, MLflow."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parent.parent
MLFLOW_PYTHON = ROOT / ".venv-mlflow" / "bin" / "python"
SERVER_CORE, LOAD_CORE, BOTH_CORES = "0", "1", "0,1"
_START_LIMIT = 120.0


@dataclass(frozen=True)
class Server:
    """A running server: where it is, how many seconds it took to answer first, and its process."""

    url: str
    seconds_to_ready: float
    process: subprocess.Popen[bytes]

    def memory(self) -> float:
        """Resident megabytes of the process and its children."""
        import psutil

        top = psutil.Process(self.process.pid)
        return float(sum(p.memory_info().rss for p in [top, *top.children(recursive=True)]) / 1e6)

    def cpu_seconds(self) -> float:
        """Processor time that the process and its children have used so far."""
        import psutil

        top = psutil.Process(self.process.pid)
        return float(sum(sum(p.cpu_times()[:2]) for p in [top, *top.children(recursive=True)]))


class MemoryWatch:
    """Resident megabytes of a server, looked at twice a second: (seconds since the start, megabytes)."""

    def __init__(self, server: Server) -> None:
        self.samples: list[tuple[float, float]] = []
        self._server = server
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        begin = time.perf_counter()
        while not self._ended.wait(0.5):
            self.samples.append((round(time.perf_counter() - begin, 2), round(self._server.memory(), 1)))


@contextmanager
def floor() -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "floor:app", "--port", str(port), "--no-access-log"]
    with running([*command, "--log-level", "error"], port, "/", cwd=Path(__file__).parent) as server:
        yield server


@contextmanager
def penstock(
    *models: Path | str,
    arguments: tuple[str, ...] = (),
    cores: str = SERVER_CORE,
    command: tuple[str, ...] = (sys.executable, "-m", "penstock"),
) -> Iterator[Server]:
    """`command` is this version's, unless another one is to be compared."""
    port = free_port()
    serve = [*command, "serve", *map(str, models), "--port", str(port), "--log-level", "warning", *arguments]
    with running(serve, port, "/readyz", cores=cores) as server:
        yield server


@contextmanager
def mlflow(package: Path) -> Iterator[Server]:
    """MLflow's own scoring server, from its environment: make mlflow-env makes that. `mlflow models serve` starts just
    this command."""
    port = free_port()
    app = "mlflow.pyfunc.scoring_server.app:app"
    command = [str(MLFLOW_PYTHON), "-m", "uvicorn", app, "--port", str(port), "--log-level", "error", "--no-access-log"]
    # It would leave bytecode in the package, which is sealed.
    env = {"__pyfunc_model_path__": str(package), "PYTHONDONTWRITEBYTECODE": "1"}
    with running(command, port, "/ping", env=env) as server:
        yield server


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def allow_many_files() -> None:
    """Thousands of connections need as many open files, here and in the processes started from here."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def running(
    command: list[str],
    port: int,
    path: str,
    *,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    cores: str = SERVER_CORE,
) -> Iterator[Server]:
    """A server process on these cores, once it answers at `path`. Raises SystemExit with its last words."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            ["taskset", "-c", cores, *command],
            cwd=cwd, env={**os.environ, **(env or {})}, stderr=words, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            _wait(f"http://127.0.0.1:{port}{path}", process, began + _START_LIMIT, words)
            yield Server(f"http://127.0.0.1:{port}", time.perf_counter() - began, process)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(url: str, process: subprocess.Popen[bytes], until: float, words: IO[bytes]) -> None:
    """Asks until the server answers. Raises SystemExit where it ends or takes too long."""
    while time.perf_counter() < until:
        if process.poll() is not None:
            words.seek(0)
            said = words.read().decode(errors="replace")[-2000:]
            raise SystemExit(f"The server ended with {process.returncode}: {process.args!r}\n{said}")
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
