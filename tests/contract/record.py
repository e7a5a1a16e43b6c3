"""Records what MLflow's real scoring server answers. Run by the MLflow environment's Python:

    PYTHONPATH=tests .venv-mlflow/bin/python -m contract.record [PACKAGE…]

Every package gets a server process of its own, on loopback and on a port that is free; it is stopped when its requests
are answered. What changes from run to run (stack traces, addresses, places on disk) is left out, so that a second
recording is the same, byte for byte.
"""

from __future__ import annotations

import http.client
import json
import os
import platform
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from contract.corpus import PACKAGES, package_names, requests_for
from contract.requests import Request, body_of, headers_of, method_of, path_of

RECORDED = Path(__file__).parent / "recorded"
READY_WITHIN = 120.0
AT_ONCE = max(2, os.cpu_count() or 1)
_MESSAGE_LENGTH = 160


def main(names: list[str]) -> None:
    RECORDED.mkdir(exist_ok=True)
    if not names:
        for old in RECORDED.glob("*.json"):
            old.unlink()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for name, count in pool.map(_record, names or package_names()):
            print(f"{name}: {count} answers", flush=True)


def _record(name: str) -> tuple[str, int]:
    requests = requests_for(name)
    with _server(name) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        answers = [exchange(connection, request) for request in requests]
        connection.close()
    _write(name, [{**request, "answer": answer} for request, answer in zip(requests, answers, strict=True)])
    return name, len(answers)


def _write(name: str, exchanges: list[Request]) -> None:
    """One line an exchange, so that a change in one is a change in one line."""
    head = {"package": name, "mlflow": version("mlflow"), "python": ".".join(platform.python_version_tuple()[:2])}
    lines = ",\n".join(json.dumps(exchange, separators=(",", ":")) for exchange in exchanges)
    text = f'{json.dumps(head)[:-1]}, "exchanges": [\n{lines}\n]}}\n'
    (RECORDED / f"{name}.json").write_text(text, encoding="utf-8")


@contextmanager
def _server(name: str) -> Iterator[int]:
    """MLflow's FastAPI application under uvicorn; stopped in the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")},
        "__pyfunc_model_path__": str(PACKAGES / name),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "TZ": "UTC",
    }
    environment.pop("PYTHONPATH", None)  # pickles must bring their classes along
    command = [sys.executable, "-m", "uvicorn", "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [*command, "mlflow.pyfunc.scoring_server.app:app"], env=environment, cwd=place, stdout=log, stderr=log
        )
        try:
            _wait(process, port, log, name)
            yield port
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Any, name: str) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/ping")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    log.seek(0)
    raise RuntimeError(f"MLflow's server for {name} did not start:\n{log.read()[-3000:]}")


def exchange(connection: http.client.HTTPConnection, request: Request) -> dict[str, Any]:
    try:
        return _ask(connection, request)
    except (http.client.BadStatusLine, ConnectionError):  # it had closed the connection
        connection.close()
        return _ask(connection, request)


def _ask(connection: http.client.HTTPConnection, request: Request) -> dict[str, Any]:
    body = body_of(request)
    sends = bool(body) or method_of(request) == "POST"
    headers = {key: value.encode("utf-8") for key, value in headers_of(request).items()}
    connection.request(method_of(request), path_of(request), body if sends else None, headers)
    response = connection.getresponse()
    content = response.read().decode("utf-8", "surrogateescape")
    found: dict[str, Any] = {"status": response.status, "type": response.headers.get("Content-Type")}
    try:
        document = json.loads(content)
    except ValueError:
        return {**found, "text": content if response.status < 400 else _settled(content)[:_MESSAGE_LENGTH]}
    return {**found, "json": _kept(document) if response.status >= 400 else document}


def _kept(document: Any) -> Any:
    """An error's code and message, which is shortened and freed of what changes from run to run."""
    if not isinstance(document, dict):
        return document
    kept = {key: value for key, value in document.items() if key not in ("stack_trace", "sqlstate", "error_class")}
    if isinstance(kept.get("message"), str):
        message = _settled(kept["message"])
        kept["message"] = message if len(message) <= _MESSAGE_LENGTH else f"{message[: _MESSAGE_LENGTH - 1]}…"
    return kept


def _settled(text: str) -> str:
    text = re.sub(r"0x[0-9a-f]{6,}", "0x…", text)
    return re.sub(r"(/[\w.-]+)+/(site-packages|packages|tmp\w*)/", r"…/\2/", text)


if __name__ == "__main__":
    main(sys.argv[1:])
