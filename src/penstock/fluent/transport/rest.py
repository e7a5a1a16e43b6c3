"""Calls of MLflow's REST as requests, and what the answers mean.

Source: the REST API of MLflow 3.18 as its own client speaks it.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from functools import cached_property
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode

from penstock.errors import TrackingRefused, TrackingUnavailable
from penstock.fluent.transport.exchange import Exchange, ExchangeBody, ExchangeLimits
from penstock.fluent.transport.interface import TrackingTransport
from penstock.fluent.transport.locations import list_local, local_path_of, proxied_path_of, write_local

_API = "/api/2.0/mlflow"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_HUB = "penstock-hub"  # as it names itself

# What most calls answer is small; histories, lists and runs with much in them are not, and of files nobody knows.
_MIB = 1024 * 1024
_SMALL = ExchangeLimits(1 * _MIB, 45.0)
_RUN = ExchangeLimits(64 * _MIB, 45.0)
_LONG = ExchangeLimits(512 * _MIB, 300.0)
_FILE = ExchangeLimits(8192 * _MIB, 60.0, 1 / (16 * 1024))
_LONG_READS = ("/search", "/get-history")

# Made twice, they make two.
_MAKE_ANEW = frozenset({"runs/create", "logged-models", "model-versions/create"})

# The request was not at fault, or it was who sent it rather than what it says: what was logged is kept until it works.
_TRY_AGAIN = frozenset({401, 403, 407, 408, 425, 429, 500, 502, 503, 504, 507})


class RestTransport(TrackingTransport):
    """Over any way of exchanging requests and answers, which it closes."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._place = exchange.place
        self.pace = exchange.pace

    def __repr__(self) -> str:
        return f"<RestTransport over {self._exchange!r}>"

    @property
    def place(self) -> str:
        return self._place

    @cached_property
    def takes_run_ids(self) -> bool:
        """Asked once. What has no such page is an MLflow server before 3."""
        try:
            answer = self._json("GET", "/api/3.0/mlflow/server-info", None)
        except TrackingRefused:
            return False
        except TrackingUnavailable as error:
            if error.status != 404:
                raise
            return False
        return bool(answer.get("server") == _HUB)

    def get(self, path: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        whole = path if path.startswith("/") else f"{_API}/{path}"
        return self._json("GET", f"{whole}?{urlencode(fields, doseq=True)}", None)

    def post(self, path: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        return self.send("POST", path, fields)

    def send(self, method: str, path: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        body = json.dumps(fields, separators=(",", ":")).encode()
        return self._json(method, f"{_API}/{path}", body, again=path not in _MAKE_ANEW)

    def post_encoded(self, path: str, body: bytes) -> None:
        self._json("POST", f"{_API}/{path}", body)

    def put_file(self, directory: str, path: str, file: BinaryIO, size: int) -> None:
        if (local := local_path_of(directory)) is not None:
            write_local(local, path, file)
            return
        target = f"{_ARTIFACTS}/{quote(f'{proxied_path_of(directory, self._place)}/{path}')}"
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        self._ask("PUT", target, file, headers, again=False, limits=_FILE)

    def read_file(self, directory: str, path: str) -> bytes:
        if (local := local_path_of(directory)) is not None:
            try:
                with open(f"{local}/{path}", "rb") as file:
                    return file.read()
            except OSError as error:
                raise TrackingRefused(f"{path} cannot be read: {error.strerror}.", status=404) from error
        return self._ask(
            "GET", f"{_ARTIFACTS}/{quote(f'{proxied_path_of(directory, self._place)}/{path}')}", None, {}, limits=_FILE
        )

    def list_files(self, directory: str, path: str) -> list[dict[str, Any]]:
        if (local := local_path_of(directory)) is not None:
            return list_local(local, path)
        place = "/".join(filter(None, [proxied_path_of(directory, self._place), path]))
        found = self._json("GET", f"{_ARTIFACTS}?{urlencode({'path': place})}", None).get("files", [])
        return [{**each, "path": posixpath.join(path, posixpath.basename(each["path"]))} for each in found]

    def close(self) -> None:
        self._exchange.close()

    def _json(self, method: str, path: str, body: bytes | None, *, again: bool = True) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        answer = self._ask(method, path, body, headers, again=again, limits=_limits_of(method, path))
        try:
            found = json.loads(answer)
        except (ValueError, RecursionError, MemoryError):
            found = None
        if not isinstance(found, dict):
            raise TrackingUnavailable(f"{self._place} answers, but not as a tracking server does.")
        return found

    def _ask(
        self,
        method: str,
        path: str,
        body: ExchangeBody,
        headers: dict[str, str],
        *,
        limits: ExchangeLimits,
        again: bool = True,
    ) -> bytes:
        status, answer, retry_after = self._exchange.ask(method, path, body, headers, limits, again=again)
        if status < 300:
            return answer
        raise self._error(status, answer, retry_after)

    def _error(self, status: int, answer: bytes, retry_after: str) -> Exception:
        try:
            found = json.loads(answer)
            code, message = str(found["error_code"]), str(found.get("message", ""))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, MemoryError):
            code, message = "", ""
        message = message[:2000]
        if status in _TRY_AGAIN or (not code and status != 413):
            hint = "Look at MLFLOW_TRACKING_TOKEN, or username and password." if status in (401, 403) else ""
            seconds = min(float(retry_after), 600.0) if retry_after.isascii() and retry_after.isdigit() else None
            said = f"{self._place} answered {status}{': ' if message else '.'}{message}"
            return TrackingUnavailable(said, hint=hint, retry_after=seconds, status=status)
        return TrackingRefused(message or f"{self._place} answered {status}.", status=status, error_code=code)


def _limits_of(method: str, path: str) -> ExchangeLimits:
    """By what is asked: whoever answers may not send a program that trains more than that can be."""
    where = path.partition("?")[0]
    if where.endswith(_LONG_READS) or where == _ARTIFACTS:
        return _LONG
    return _RUN if method == "GET" or where.endswith("/logged-models") else _SMALL
