"""MLflow's tracking server over HTTP: one place that knows its URLs, its errors, and who may see the credentials.

Connections are pooled and kept alive; everything may be called from several threads. Source: the REST API of MLflow
3.18 as its own client speaks it.
"""

from __future__ import annotations

import json
import re
import ssl
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os.path import isdir
from typing import Any, Self
from urllib.parse import quote, unquote, urlencode, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError, InsecureRequestWarning, MaxRetryError, ReadTimeoutError
from urllib3.util import Retry, Timeout

from penstock.errors import (
    ConfigError,
    PackageInvalid,
    RegistryDenied,
    RegistryError,
    RegistryNotFound,
    RegistryRefused,
    RegistryUnavailable,
)
from penstock.mlflow_api.connections import POOLS, TimeLeft, calling
from penstock.mlflow_api.credentials import MlflowCredentials
from penstock.payload import clipped

API = "/api/2.0/mlflow"
SERVER_INFO = "server-info"
# As what our hub names itself there.
HUB = "penstock-hub"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"

# An answer in JSON that is larger than this is not read on: a page of versions has a few megabytes. All pages of a
# listing together may be as large as the second number.
_ANSWER_LIMIT = 16 * 1024 * 1024
LISTING_LIMIT = 64 * 1024 * 1024
_CHUNK = 1024 * 1024

_MAX_REDIRECTS = 3
_ERRNO = re.compile(r"^\[Errno -?\d+\] ")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})

_TRY_AGAIN = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class CallTimeouts:
    """Seconds to wait for a connection, for an answer's next bytes and for a whole answer in JSON; how often to try
    again, after growing pauses.

    Short enough that a gateway that is stopped in the middle of a call ends before an orchestrator kills it.
    """

    connect: float = 5.0
    read: float = 12.0
    total: float = 20.0
    retries: int = 1
    backoff: float = 0.2


class _Retry(Retry):
    """Tries again after everything but silence: a second wait for a silent server would last as long again."""

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: urllib3.BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: Any = None,
        _stacktrace: Any = None,
    ) -> Self:
        if isinstance(error, ReadTimeoutError):
            raise MaxRetryError(_pool, url or "", error)
        return super().increment(method, url, response, error, _pool, _stacktrace)


class MlflowRestClient:
    """One server. `place` is its address without credentials, for messages."""

    def __init__(self, url: str, access: MlflowCredentials | None = None, timeouts: CallTimeouts | None = None) -> None:
        parts = _parsed(url)
        access = access or MlflowCredentials()
        if parts.username and not (access.username and access.password):
            access = replace(access, username=unquote(parts.username), password=unquote(parts.password or ""))
        self._host = parts.netloc.rpartition("@")[2]
        self._scheme = parts.scheme.lower()
        self.place = f"{self._scheme}://{self._host}{parts.path.rstrip('/')}"
        self._prefix = parts.path.rstrip("/")
        self._timeouts = timeouts or CallTimeouts()
        self._headers = {"User-Agent": "penstock", "Accept": "application/json", **access.headers()}
        self._pool = _pool(self.place, self._host, access)

    # -- JSON --------------------------------------------------------------------------------------------------------

    def get(self, path: str, **fields: Any) -> dict[str, Any]:
        """Raises RegistryRefused, RegistryDenied, RegistryNotFound, RegistryUnavailable; so do all the others."""
        return self._json("GET", f"{API}/{path}?{urlencode(fields, doseq=True)}".rstrip("?"), None)[0]

    def server_info(self) -> dict[str, Any]:
        """What the server says of itself, to anybody; MLflow's own has had an answer since version 3."""
        return self._json("GET", f"/api/3.0/mlflow/{SERVER_INFO}", None)[0]

    def get_sized(self, path: str, **fields: Any) -> tuple[dict[str, Any], int]:
        """The same, with the bytes that the answer had."""
        return self._json("GET", f"{API}/{path}?{urlencode(fields, doseq=True)}".rstrip("?"), None)

    def send(self, method: str, path: str, **fields: Any) -> dict[str, Any]:
        """POST, PATCH or DELETE with a JSON body. Sent again after a failure: send only what may be done twice."""
        return self._json(method, f"{API}/{path}", json.dumps(fields).encode())[0]

    def send_once(self, path: str, **fields: Any) -> dict[str, Any]:
        """POST for what may not be done twice: sent again only where no connection was made."""
        return self._json("POST", f"{API}/{path}", json.dumps(fields).encode(), once=True)[0]

    def _json(self, method: str, path: str, body: bytes | None, *, once: bool = False) -> tuple[dict[str, Any], int]:
        with self._response(method, self.place + path, body, once=once) as response:
            content = self._read(response)
        if response.status >= 400:
            raise self._refusal(response.status, content)
        answer = _object(content)
        if answer is None:
            kind = response.headers.get("Content-Type", "no type").partition(";")[0]
            raise RegistryUnavailable(
                f"{self.place} does not answer like an MLflow server ({kind}).",
                hint="Is this an MLflow tracking server, without a login page in front?",
            )
        return answer, len(content)

    # -- files -------------------------------------------------------------------------------------------------------

    def artifact_url(self, uri: str) -> str:
        """Where an `mlflow-artifacts:` URI is found: on this server, or on the host that the URI names.

        Raises PackageInvalid.
        """
        parts = urlsplit(uri)
        names = [unquote(part) for part in parts.path.split("/") if part]
        if {".", ".."} & set(names):
            raise PackageInvalid(f"{uri} is not a valid location for a package: the path leads out of the artifacts.")
        path = "/".join(quote(name, safe="") for name in names)
        return f"{self._scheme}://{parts.netloc or self._host}{self._prefix}{ARTIFACTS}/{path}"

    def list_artifacts(self, url: str) -> list[dict[str, Any]]:
        """The files and folders directly under an artifact URL; empty where it is a file, or nothing."""
        root, _, path = url.partition(f"{ARTIFACTS}/")
        with self._response("GET", f"{root}{ARTIFACTS}?{urlencode({'path': unquote(path)})}", None) as response:
            content = self._read(response)
        if response.status >= 400:
            raise self._refusal(response.status, content)
        answer = _object(content)
        files = answer.get("files", []) if answer is not None else None
        if not isinstance(files, list) or not all(isinstance(f, dict) for f in files):
            raise RegistryUnavailable(f"{self.place} lists artifacts in a format that is not MLflow's.")
        return files

    def read_artifact(self, url: str, time_left: TimeLeft) -> Iterator[bytes]:
        """The bytes of a file as they are stored, piece by piece, while time is left. A failure on the way is
        RegistryUnavailable."""
        with self._response("GET", url, None, time_left) as response:
            if response.status >= 400:
                raise self._refusal(response.status, self._read(response))
            yield from _pieces(response, decode=False)

    # -- shared ------------------------------------------------------------------------------------------------------

    @contextmanager
    def _response(
        self, method: str, url: str, body: bytes | None, time_left: TimeLeft | None = None, *, once: bool = False
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """An answer whose body is still to be read, in the time that is left. Failures also while it is read become
        RegistryUnavailable."""
        timeouts = self._timeouts
        headers = {**self._headers, "Accept-Encoding": "identity"}
        if time_left is None:
            ends = time.monotonic() + timeouts.total
            time_left = lambda: ends - time.monotonic()  # noqa: E731  (one line, used once)
        if body is not None:
            headers["Content-Type"] = "application/json"
        if urlsplit(url).netloc != self._host:
            headers.pop("Authorization", None)  # a version's source may name any host
        retries = _Retry(
            total=timeouts.retries,
            connect=timeouts.retries,
            read=0 if once else timeouts.retries,
            status=0 if once else timeouts.retries,
            redirect=0,
            other=0,
            backoff_factor=timeouts.backoff,
            status_forcelist=_TRY_AGAIN,
            allowed_methods=None,
            raise_on_status=False,
            respect_retry_after_header=False,
        )
        options: dict[str, Any] = {
            "body": body,
            "headers": headers,
            "preload_content": False,
            "retries": retries,
            "timeout": Timeout(connect=timeouts.connect, read=timeouts.read),
        }
        try:
            _, host, port = _origin(self.place)
            with calling(time_left, host, port):
                response = self._follow(method, url, options)
        except (HTTPError, OSError, ValueError) as error:
            raise self._unreachable(error) from None
        try:
            yield response
        except (HTTPError, OSError) as error:
            raise self._unreachable(error) from None
        finally:
            response.close()  # read to its end, it has given its connection back already

    def _follow(self, method: str, url: str, options: dict[str, Any]) -> urllib3.BaseHTTPResponse:
        """The answer, after redirects on the same server, also to its TLS: another place would be the server's choice,
        not that of whoever gave its address. Raises RegistryUnavailable."""
        for _ in range(_MAX_REDIRECTS + 1):
            response = self._pool.request(method, url, redirect=False, **options)
            if response.status not in _REDIRECTS:
                return response
            to = urljoin(url, response.headers.get("Location", ""))
            response.close()
            if method != "GET" or not same_server(url, to):
                raise RegistryUnavailable(
                    f"{self.place} redirects to another place, {clipped(repr(to))}, which Penstock does not follow.",
                    hint="Give the address of the MLflow server itself, with the right scheme and port.",
                )
            url = to
        raise RegistryUnavailable(f"{self.place} redirects again and again.")

    def _read(self, response: urllib3.BaseHTTPResponse) -> bytes:
        content = bytearray()
        for piece in _pieces(response, decode=True):
            content += piece
            if len(content) > _ANSWER_LIMIT:
                raise RegistryUnavailable(f"{self.place} answers with more than {_ANSWER_LIMIT >> 20} MiB.")
        return bytes(content)

    def _refusal(self, status: int, content: bytes) -> RegistryError:
        answer = _object(content) or {}
        code, message = answer.get("error_code"), answer.get("message")
        explained = clipped(message) if isinstance(message, str) else ""
        if status in (401, 403):
            text = explained or clipped(content[:200].decode(errors="replace").strip())
            return RegistryDenied(
                f"{self.place} refuses access ({status}){f': {text}' if text else ''}.".replace("..", "."),
                hint="Penstock reads credentials from MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, "
                "or MLFLOW_TRACKING_TOKEN.",
            )
        if status in _TRY_AGAIN:
            return self._unavailable(f"answers with status {status}{f': {explained}' if explained else ''}.")
        if isinstance(code, str):
            return RegistryRefused(f"{explained or code}.", error_code=code, status=status)
        if status == 404:
            return RegistryNotFound(
                f"There is no MLflow tracking server at {self.place}: the server does not know MLflow's paths.",
                hint="Give the address as in MLFLOW_TRACKING_URI.",
            )
        return RegistryUnavailable(f"{self.place} answers with status {status}, unlike an MLflow server.")

    def _unreachable(self, error: Exception) -> RegistryUnavailable:
        reason = error.reason if isinstance(error, MaxRetryError) and error.reason else error
        return self._unavailable(f"cannot be reached: {_why(reason)}.")

    def _unavailable(self, what: str) -> RegistryUnavailable:
        """That nobody answered must not be read as "there is no such model"."""
        return RegistryUnavailable(
            f"{self.place} {what}",
            hint="The registry could not be asked, so nothing is known about its models. MLflow's server should answer "
            f"this with OK: curl {self.place}/health",
        )

    def close(self) -> None:
        self._pool.clear()

    def __repr__(self) -> str:
        return f"<MlflowRestClient {self.place}>"


def _parsed(url: str) -> Any:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigError(
            "The address of the MLflow server cannot be read.", hint="Write the address as http://host:5000"
        ) from None
    if not parts.hostname or port == 0:
        raise ConfigError("The address of the MLflow server has no host.", hint="Write the address as http://host:5000")
    if parts.query or parts.fragment:
        raise ConfigError(
            "The address of the MLflow server has more parts than scheme, host, port and path.",
            hint="Give the address as in MLFLOW_TRACKING_URI, not as a browser shows it.",
        )
    return parts


def _pool(place: str, host: str, access: MlflowCredentials) -> urllib3.PoolManager:
    """Raises ConfigError where a certificate cannot be used."""
    options: dict[str, Any] = {"maxsize": 8}
    if place.startswith("https:"):
        options["ssl_context"] = _tls(access)
    proxy = getproxies().get(place.partition(":")[0])
    if proxy and not proxy_bypass(host):
        pool: urllib3.PoolManager = urllib3.ProxyManager(proxy if "://" in proxy else f"http://{proxy}", **options)
    else:
        pool = urllib3.PoolManager(**options)
    pool.pool_classes_by_scheme = POOLS  # their connections keep deadlines
    return pool


def _tls(access: MlflowCredentials) -> ssl.SSLContext:
    where = access.server_certificate
    try:
        context = ssl.create_default_context()
        if where:
            context.load_verify_locations(**({"capath": where} if isdir(where) else {"cafile": where}))
        if access.client_certificate:
            context.load_cert_chain(access.client_certificate)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"A certificate cannot be used: {error.strerror or error}.",
            hint="See MLFLOW_TRACKING_SERVER_CERT_PATH and MLFLOW_TRACKING_CLIENT_CERT_PATH.",
        ) from None
    if access.insecure_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        warnings.simplefilter("ignore", InsecureRequestWarning)  # it was asked for
    return context


def _pieces(response: urllib3.BaseHTTPResponse, *, decode: bool) -> Iterator[bytes]:
    """What has come so far, again and again, until the end: a whole piece may never come. Asked for plain bytes, a
    server that compresses all the same may have packed any number of them into a few."""
    if decode and response.headers.get("Content-Encoding", "identity") != "identity":
        raise HTTPError("the answer is compressed, which it may not be")
    if response.chunked:
        yield from response.stream(_CHUNK, decode_content=False)
        return
    assert isinstance(response, urllib3.HTTPResponse)
    while piece := response.read1(_CHUNK, decode_content=False):
        yield piece
    if response.length_remaining:
        raise HTTPError("the answer ends too early")


def same_server(url: str, to: str) -> bool:
    """Whether a redirect stays where it is, or goes from a host's usual port to the same host's usual port of TLS."""
    (scheme, host, port), there = _origin(url), _origin(to)
    return there == (scheme, host, port) or ((scheme, port) == ("http", 80) and there == ("https", host, 443))


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), port or {"http": 80, "https": 443}.get(scheme)


def _object(content: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _why(error: object) -> str:
    """What went wrong, without the repr of connections that urllib3 puts in front."""
    if isinstance(error, urllib3.exceptions.NewConnectionError | urllib3.exceptions.NameResolutionError):
        said = str(error).rpartition("] ")[2].partition(": ")[2] or str(error).rpartition(": ")[2]
        return _ERRNO.sub("", said)
    if isinstance(error, urllib3.exceptions.ConnectTimeoutError | ReadTimeoutError):
        return "the server does not answer in time"
    if isinstance(error, urllib3.exceptions.SSLError):
        untrusted = "CERTIFICATE_VERIFY_FAILED" in str(error)
        what = "the server's certificate is not trusted" if untrusted else "TLS fails"
        return f"{what} ({str(error).rpartition('] ')[2]})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
