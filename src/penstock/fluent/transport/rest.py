"""A tracking server over HTTP: kept connections of the standard library, and what its answers mean.

Source: the REST API of MLflow 3.18 as its own client speaks it.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Mapping
from functools import cached_property
from time import monotonic
from typing import Any, BinaryIO, Union
from urllib.parse import quote, unquote, urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

from penstock.errors import ConfigError, TrackingRefused, TrackingUnavailable
from penstock.fluent.settings import TrackingSettings
from penstock.fluent.transport.interface import TrackingTransport
from penstock.fluent.transport.locations import local_path_of, proxied_path_of, write_local

_API = "/api/2.0/mlflow"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_HUB = "penstock-hub"  # as it names itself

_CONNECT_SECONDS = 5.0
_READ_SECONDS = 30.0
_IDLE_SECONDS = 2.0  # MLflow's server closes what is idle for five
_MAX_KEPT = 4

# The request was not at fault, or it was who sent it rather than what it says: what was logged is kept until it works.
_TRY_AGAIN = frozenset({401, 403, 407, 408, 425, 429, 500, 502, 503, 504, 507})

_Body = Union[bytes, BinaryIO, None]
_Kept = tuple[http.client.HTTPConnection, float]


class RestTransport(TrackingTransport):
    """One server. Nothing is connected before the first call."""

    def __init__(self, settings: TrackingSettings) -> None:
        parts = urlsplit(settings.uri)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if not parts.hostname or port == -1:
            raise ConfigError("The tracking URI has no host, or no port that is a number.", hint="http://hub:5000")
        self._host, self._port, self._tls = parts.hostname, port, parts.scheme.lower() == "https"
        self._prefix = parts.path.rstrip("/")
        self._headers = _with_login(settings, parts.username, parts.password).headers()
        self._settings = settings
        self._place = f"{parts.scheme.lower()}://{parts.netloc.rpartition('@')[2]}{self._prefix}"
        self._proxy = _proxy_for(parts.scheme.lower(), parts.hostname)
        # The whole mutable state: connections that nobody uses, the last one used last.
        self._kept: list[_Kept] = []
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<RestTransport {self._place}: {len(self._kept)} kept>"

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
        return self._json("GET", f"{_API}/{path}?{urlencode(fields, doseq=True)}", None)

    def post(self, path: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        body = json.dumps(fields, separators=(",", ":")).encode()
        return self._json("POST", f"{_API}/{path}", body, again=path != "runs/create")

    def put_file(self, directory: str, path: str, file: BinaryIO, size: int) -> None:
        if (local := local_path_of(directory)) is not None:
            write_local(local, path, file)
            return
        target = f"{_ARTIFACTS}/{quote(f'{proxied_path_of(directory, self._place)}/{path}')}"
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        self._ask("PUT", target, file, headers, again=False)

    def read_file(self, directory: str, path: str) -> bytes:
        if (local := local_path_of(directory)) is not None:
            try:
                with open(f"{local}/{path}", "rb") as file:
                    return file.read()
            except OSError as error:
                raise TrackingRefused(f"{path} cannot be read: {error.strerror}.", status=404) from error
        return self._ask("GET", f"{_ARTIFACTS}/{quote(f'{proxied_path_of(directory, self._place)}/{path}')}", None, {})

    def close(self) -> None:
        with self._lock:
            kept, self._kept = self._kept, []
        for connection, _ in kept:
            connection.close()

    def forget_connections(self) -> None:
        """After a fork they are the parent's; the lock may have been held by a thread that is not here."""
        self._kept, self._lock = [], threading.Lock()

    def _json(self, method: str, path: str, body: bytes | None, *, again: bool = True) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        answer = self._ask(method, path, body, headers, again=again)
        try:
            found = json.loads(answer)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise TrackingUnavailable(f"{self._place} answers, but not as a tracking server does.")
        return found

    def _ask(self, method: str, path: str, body: _Body, headers: dict[str, str], *, again: bool = True) -> bytes:
        """`again`: on a connection that turns out to be closed, the call may be made a second time on a new one."""
        connection, used = self._connection()
        try:
            try:
                status, answer, retry_after = self._exchange(connection, method, path, body, headers)
            except (http.client.RemoteDisconnected, ConnectionError, BrokenPipeError):
                connection.close()
                if not (used and again):
                    raise
                connection = self._new_connection()
                status, answer, retry_after = self._exchange(connection, method, path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            said = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise TrackingUnavailable(f"{self._place} cannot be reached: {said}.") from error
        self._keep(connection)
        if status < 300:
            return answer
        raise self._error(status, answer, retry_after)

    def _exchange(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: _Body, headers: dict[str, str]
    ) -> tuple[int, bytes, str]:
        if connection.sock is None:
            connection.connect()
            sock: Any = connection.sock
            sock.settimeout(_READ_SECONDS)
        target = f"{self._prefix}{path}"
        if self._proxy and not self._tls:
            target = f"{self._place.partition('://')[0]}://{self._host}:{self._port or 80}{target}"
        connection.request(method, target, body, {**self._headers, **headers})
        response = connection.getresponse()
        return response.status, response.read(), response.headers.get("Retry-After", "")

    def _connection(self) -> tuple[http.client.HTTPConnection, bool]:
        """One that is kept, or a new one; and whether it was used before."""
        with self._lock:
            while self._kept:
                connection, since = self._kept.pop()
                if monotonic() - since < _IDLE_SECONDS:
                    return connection, True
                connection.close()
        return self._new_connection(), False

    def _new_connection(self) -> http.client.HTTPConnection:
        host, port = self._proxy or (self._host, self._port)
        if not self._tls:
            return http.client.HTTPConnection(host, port, timeout=_CONNECT_SECONDS)
        secure = http.client.HTTPSConnection(host, port, timeout=_CONNECT_SECONDS, context=self._context)
        if self._proxy:
            secure.set_tunnel(self._host, self._port or 443)
        return secure

    @cached_property
    def _context(self) -> ssl.SSLContext:
        settings = self._settings
        try:
            directory = settings.server_certificate.endswith("/")
            context = ssl.create_default_context(
                cafile=None if directory else settings.server_certificate or None,
                capath=settings.server_certificate if directory else None,
            )
            if settings.client_certificate:
                context.load_cert_chain(settings.client_certificate)
        except OSError as error:
            raise ConfigError(
                f"A certificate for {self._place} cannot be read: {error}.",
                hint="Look at MLFLOW_TRACKING_SERVER_CERT_PATH and MLFLOW_TRACKING_CLIENT_CERT_PATH.",
            ) from error
        if settings.insecure_tls:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _keep(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if connection.sock is not None and len(self._kept) < _MAX_KEPT:
                self._kept.append((connection, monotonic()))
                return
        connection.close()

    def _error(self, status: int, answer: bytes, retry_after: str) -> Exception:
        try:
            found = json.loads(answer)
            code, message = str(found["error_code"]), str(found.get("message", ""))
        except (ValueError, KeyError, TypeError, AttributeError):
            code, message = "", ""
        message = message[:2000]
        if status in _TRY_AGAIN or (not code and status != 413):
            hint = "Look at MLFLOW_TRACKING_TOKEN, or username and password." if status in (401, 403) else ""
            seconds = min(float(retry_after), 600.0) if retry_after.isascii() and retry_after.isdigit() else None
            said = f"{self._place} answered {status}{': ' if message else '.'}{message}"
            return TrackingUnavailable(said, hint=hint, retry_after=seconds, status=status)
        return TrackingRefused(message or f"{self._place} answered {status}.", status=status, error_code=code)


def _with_login(settings: TrackingSettings, username: str | None, password: str | None) -> TrackingSettings:
    """The URL's own username and password count where no others are given."""
    if not username or (settings.username and settings.password):
        return settings
    return TrackingSettings(
        username=unquote(username), password=unquote(password or ""), workspace=settings.workspace, token=settings.token
    )


def _proxy_for(scheme: str, host: str) -> tuple[str, int | None] | None:
    """The machine's proxy for such addresses, unless it is said that this host needs none."""
    proxy = getproxies().get(scheme)
    if not proxy or proxy_bypass(host):
        return None
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return (parts.hostname, parts.port) if parts.hostname else None
