"""A stand-in for an MLflow server: repeats what a real one answered, and whatever a test tells it instead.

python tests/registry/replay.py      asks a real MLflow (.venv-mlflow) everything again: mlflow_answers.json
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from urllib.request import Request, urlopen

ANSWERS = Path(__file__).with_name("mlflow_answers.json")


class Replay:
    """`rules` come first: a path's ending -> what handles the request. `requests` is the list of (method, path)."""

    def __init__(self, upstream: str = "") -> None:
        self._upstream = upstream
        self.recorded: dict[str, dict[str, Any]] = {} if upstream else json.loads(ANSWERS.read_text())
        self.facts: dict[str, Any] = self.recorded.pop("facts", {})
        self.rules: dict[str, Callable[[Handler], None]] = {}
        self.requests: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[Any] = []
        self.connections = 0
        owner = self

        class Bound(Handler):
            replay = owner

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def answer(self, method: str, target: str, body: bytes) -> dict[str, Any] | None:
        key = key_of(method, target, body)
        if key not in self.recorded and self._upstream:
            self.recorded[key] = _ask(self._upstream + target, method, body)
        return self.recorded.get(key)

    def use_tls(self, certificate: Path, key: Path) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = self.url.replace("http:", "https:")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    replay: Replay

    def setup(self) -> None:
        super().setup()
        self.replay.connections += 1

    def log_message(self, *_: Any) -> None:
        pass

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        self.replay.requests.append((self.command, self.path))
        self.replay.headers.append(dict(self.headers))
        self.replay.bodies.append(json.loads(body) if body else None)
        for ending, rule in self.replay.rules.items():
            if path.endswith(ending):
                rule(self)
                return
        found = self.replay.answer(self.command, self.path, body)
        if found is None:
            self.say(404, b"<!doctype html><title>404 Not Found</title>", "text/html; charset=utf-8")
        else:
            self.say(found["status"], _bytes(found), found["type"])

    def say(self, status: int, content: bytes | dict[str, Any], kind: str = "application/json", **headers: str) -> None:
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = _serve


def key_of(method: str, target: str, body: bytes) -> str:
    parts = urlsplit(target)
    fields = sorted(parse_qsl(parts.query)) if not body else sorted(json.loads(body).items())
    return f"{method} {parts.path} {json.dumps(fields)}"


def _ask(url: str, method: str, body: bytes) -> dict[str, Any]:
    from urllib.error import HTTPError

    request = Request(url, body or None, {"Content-Type": "application/json"}, method=method)
    try:
        with urlopen(request, timeout=30) as answer:
            status, kind, content = answer.status, answer.headers["Content-Type"], answer.read()
    except HTTPError as error:
        status, kind, content = error.code, error.headers["Content-Type"], error.read()
    return {"status": status, "type": kind, **_shown(kind, content)}


def _shown(kind: str, content: bytes) -> dict[str, Any]:
    """In the most readable form, without who recorded it and where. Files keep every byte."""
    if kind.startswith("application/json"):
        return {"json": _anonymous(json.loads(content))}
    try:
        return {"text": content.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


def _bytes(found: dict[str, Any]) -> bytes:
    if "json" in found:
        return json.dumps(found["json"]).encode()
    return found["text"].encode() if "text" in found else base64.b64decode(found["base64"])


def _anonymous(value: Any) -> Any:
    if isinstance(value, list):
        private = ("mlflow.source.", "mlflow.user")
        return [_anonymous(v) for v in value if not (isinstance(v, dict) and str(v.get("key")).startswith(private))]
    if isinstance(value, dict):
        return {k: ("someone" if k == "user_id" else _anonymous(v)) for k, v in value.items()}
    return value
