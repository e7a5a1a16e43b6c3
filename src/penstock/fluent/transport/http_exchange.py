"""Requests over HTTP: kept connections of the standard library; TLS, credentials and proxies as MLflow has them."""

from __future__ import annotations

import http.client
import ssl
import threading
from dataclasses import replace
from functools import cached_property
from time import monotonic
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from penstock.errors import ConfigError, TrackingUnavailable
from penstock.fluent.settings import TrackingSettings
from penstock.fluent.transport.exchange import Exchange, ExchangeBody, Exchanged, ExchangeLimits
from penstock.fluent.transport.timed_answer import ExchangeTime, TimedFile, body_within, responses_within
from penstock.mlflow_credentials import MlflowCredentials

_CONNECT_SECONDS = 5.0
_READ_SECONDS = 30.0
_IDLE_SECONDS = 2.0  # MLflow's server closes what is idle for five
_MAX_KEPT = 4

_Kept = tuple[http.client.HTTPConnection, float]


class HttpExchange(Exchange):
    """One server. Nothing is connected before the first request."""

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
        self._credentials = _with_login(settings.credentials, parts.username, parts.password)
        self._headers = {"User-Agent": "penstock", "Accept": "application/json", **self._credentials.headers()}
        self._place = f"{parts.scheme.lower()}://{parts.netloc.rpartition('@')[2]}{self._prefix}"
        self._proxy = _proxy_for(parts.scheme.lower(), parts.hostname)
        # The whole mutable state: connections that nobody uses, the last one used last.
        self._kept: list[_Kept] = []
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<HttpExchange {self._place}: {len(self._kept)} kept>"

    @property
    def place(self) -> str:
        return self._place

    def close(self) -> None:
        with self._lock:
            kept, self._kept = self._kept, []
        for connection, _ in kept:
            connection.close()

    def ask(
        self,
        method: str,
        path: str,
        body: ExchangeBody,
        headers: dict[str, str],
        limits: ExchangeLimits,
        *,
        again: bool = True,
    ) -> Exchanged:
        time = ExchangeTime(limits, _READ_SECONDS)
        sent = body if body is None or isinstance(body, bytes) else TimedFile(body, time)
        connection, used = self._connection()
        try:
            try:
                answered = self._asked(connection, method, path, sent, headers, time, limits.size)
            except (http.client.RemoteDisconnected, ConnectionError, BrokenPipeError):
                connection.close()
                if not (used and again):
                    raise
                connection = self._new_connection()
                answered = self._asked(connection, method, path, sent, headers, time, limits.size)
        except (OSError, http.client.HTTPException, MemoryError) as error:
            connection.close()
            said = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise TrackingUnavailable(f"{self._place} cannot be reached: {said}.") from error
        self._keep(connection)
        return answered

    def _asked(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: bytes | TimedFile | None,
        headers: dict[str, str],
        time: ExchangeTime,
        limit: int,
    ) -> Exchanged:
        connection.response_class = responses_within(time)  # type: ignore[assignment]
        if connection.sock is None:
            connection.connect()
        sock: Any = connection.sock
        sock.settimeout(time.left())
        target = f"{self._prefix}{path}"
        if self._proxy and not self._tls:
            target = f"{self._place.partition('://')[0]}://{self._host}:{self._port or 80}{target}"
        connection.request(
            method,
            target,
            body,
            {
                **self._headers,
                **headers,
            },
        )
        response = connection.getresponse()
        return Exchanged(response.status, body_within(response, limit), response.headers.get("Retry-After", ""))

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
        return self._credentials.tls()

    def _keep(self, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if connection.sock is not None and len(self._kept) < _MAX_KEPT:
                self._kept.append((connection, monotonic()))
                return
        connection.close()


def _with_login(credentials: MlflowCredentials, username: str | None, password: str | None) -> MlflowCredentials:
    """The URL's own username and password count where no others are given."""
    if not username or (credentials.username and credentials.password):
        return credentials
    return replace(credentials, username=unquote(username), password=unquote(password or ""))


def _proxy_for(scheme: str, host: str) -> tuple[str, int | None] | None:
    """The machine's proxy for such addresses, unless it is said that this host needs none."""
    proxy = getproxies().get(scheme)
    if not proxy or proxy_bypass(host):
        return None
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return (parts.hostname, parts.port) if parts.hostname else None
