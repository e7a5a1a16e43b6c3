"""The stock MLflow client, and MLflow's own web page, against a hub."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from penstock.assembly.hub import open_tokens
from services.browser import page_after_scripts
from services.hub_process import hub_process

pytestmark = pytest.mark.services

SCRIPT = Path(__file__).with_name("log_to_hub.py")
_FORWARDED = ("content-type", "sec-fetch-site", "origin", "host")


def logged(python: Path, url: str, **variables: str) -> dict[str, Any]:
    environment = {**os.environ, "MLFLOW_TRACKING_URI": url, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", **variables}
    done = subprocess.run([python, SCRIPT], env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    seen: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return seen


def test_the_stock_client_logs_searches_and_fetches(mlflow_python: Path, tmp_path: Path) -> None:
    with hub_process(tmp_path) as url:
        seen = logged(mlflow_python, url)
    run_id = seen.pop("run_id")
    assert len(run_id) == 32
    assert seen == {
        "found": ["first"],
        "params": {"depth": "3", "kind": "oak"},
        "loss": 0.2,
        "nan": True,
        "history": [1.0, 0.5, 1 / 3, 0.25, 0.2],
        "files": ["d.json", "notes"],
        "text": "hello",
        "after_delete": ["second"],
        "status": "FINISHED",
    }


def test_a_token_lets_the_client_in(mlflow_python: Path, tmp_path: Path) -> None:
    with closing(open_tokens(str(tmp_path / "store"))) as tokens:
        token = tokens.add("ann", "admin")
    with hub_process(tmp_path) as url:
        assert logged(mlflow_python, url, MLFLOW_TRACKING_TOKEN=token)["found"] == ["first"]
        login = {"MLFLOW_TRACKING_USERNAME": "whoever", "MLFLOW_TRACKING_PASSWORD": token}
        assert "first" in logged(mlflow_python, url, **login)["found"]
        with pytest.raises(HTTPError) as refused:
            urlopen(f"{url}/api/2.0/mlflow/experiments/get?experiment_id=0")
        with refused.value as answer:
            assert answer.code == 401


def test_mlflows_own_page_shows_what_is_in_the_hub(
    mlflow_python: Path, mlflow_site_packages: Path, tmp_path: Path
) -> None:
    with hub_process(tmp_path) as url:
        run_id = logged(mlflow_python, url)["run_id"]
        with page_of_mlflow(mlflow_site_packages / "mlflow" / "server" / "js" / "build", url) as page:
            runs = page_after_scripts(f"{page}/#/experiments/1/runs", tmp_path / "profile")
            run = page_after_scripts(f"{page}/#/experiments/1/runs/{run_id}", tmp_path / "profile")
    assert "first" in runs
    assert "second" in runs
    assert "depth" in run
    assert "loss" in run


@contextmanager
def page_of_mlflow(build: Path, hub: str) -> Iterator[str]:
    """MLflow's page and the hub at one address, as MLflow serves them."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/":
                self._send(200, "text/html", (build / "index.html").read_bytes())
            elif path.startswith("/static-files/"):
                file = build / path.removeprefix("/static-files/")
                kind = "text/css" if file.suffix == ".css" else "text/javascript"
                self._send(200 if file.is_file() else 404, kind, file.read_bytes() if file.is_file() else b"")
            else:
                self._forward(None)

        def do_POST(self) -> None:
            self._forward(self.rfile.read(int(self.headers.get("content-length", 0))))

        def _forward(self, body: bytes | None) -> None:
            headers = {name: self.headers[name] for name in _FORWARDED if name in self.headers}
            try:
                with urlopen(Request(f"{hub}{self.path}", body, headers, method=self.command)) as answer:
                    self._send(answer.status, answer.headers["content-type"], answer.read())
            except HTTPError as error:
                with error:
                    self._send(error.code, "application/json", error.read())

        def _send(self, status: int, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
