"""MLflow's tracking server over HTTP: one place that knows its URLs, its errors, and who may see the credentials.

Connections are pooled and kept alive; everything may be called from several threads. Source: the REST API of MLflow
3.18 as its own client speaks it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, Self
from urllib.parse import quote, unquote, urlencode, urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, MaxRetryError, ReadTimeoutError
from urllib3.util import Retry, Timeout

from penstock.errors import (
    PackageInvalid,
    PenstockError,
    RegistryDenied,
    RegistryNotFound,
    RegistryRefused,
    RegistryUnavailable,
)
from penstock.mlflow_api.connections import TimeLeft, calling
from penstock.mlflow_api.pools import origin, parse_address, pool_of, same_server
from penstock.mlflow_api.told_errors import error_told
from penstock.mlflow_credentials import MlflowCredentials
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

# How long a server may be silent about a file that it has: it may be handing it on to an object store.
_UPLOAD_SECONDS = 120.0

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

    def __init__(
        self,
        url: str,
        access: MlflowCredentials | None = None,
        timeouts: CallTimeouts | None = None,
        *,
        answer_limit: int = _ANSWER_LIMIT,
    ) -> None:
        parts = parse_address(url)
        access = access or MlflowCredentials()
        if parts.username and not (access.username and access.password):
            access = replace(access, username=unquote(parts.username), password=unquote(parts.password or ""))
        self._host = parts.netloc.rpartition("@")[2]
        self._scheme = parts.scheme.lower()
        self.place = f"{self._scheme}://{self._host}{parts.path.rstrip('/')}"
        self._prefix = parts.path.rstrip("/")
        self._timeouts = timeouts or CallTimeouts()
        self._answer_limit = answer_limit
        self._headers = {"User-Agent": "penstock", "Accept": "application/json", **access.headers()}
        self._pool = pool_of(self.place, self._host, access)

    # -- JSON --------------------------------------------------------------------------------------------------------

    def get(self, path: str, **fields: Any) -> dict[str, Any]:
        """Raises RegistryRefused, RegistryDenied, RegistryNotFound, RegistryUnavailable; so do all the others."""
        return self._json("GET", f"{API}/{path}?{urlencode(fields, doseq=True)}".rstrip("?"), None)[0]

    def get_sized(self, path: str, **fields: Any) -> tuple[dict[str, Any], int]:
        """The same, with the bytes that the answer had."""
        return self._json("GET", f"{API}/{path}?{urlencode(fields, doseq=True)}".rstrip("?"), None)

    def send(self, method: str, path: str, **fields: Any) -> dict[str, Any]:
        """POST, PATCH or DELETE with a JSON body. Sent again after a failure: send only what may be done twice."""
        return self._json(method, f"{API}/{path}", json.dumps(fields).encode())[0]

    def send_once(self, path: str, **fields: Any) -> dict[str, Any]:
        """POST for what may not be done twice: sent again only where no connection was made."""
        return self._json("POST", f"{API}/{path}", json.dumps(fields).encode(), once=True)[0]

    def call(
        self, method: str, path: str, fields: Mapping[str, Any], *, once: bool = False, seconds: float | None = None
    ) -> dict[str, Any]:
        """A call that is none of MLflow's, to a path below the server's address. The fields are a GET's query, and else
        a body of JSON. `once` as in `send_once`; `seconds` are for a server that may be silent for so long. Raises also
        the errors that our own hub tells."""
        if method == "GET":
            given = {name: value for name, value in fields.items() if value is not None}
            query = urlencode(given, doseq=True, errors="surrogatepass")
            return self._json(method, f"{path}?{query}".rstrip("?"), None, seconds=seconds)[0]
        return self._json(method, path, json.dumps(fields).encode(), once=once, seconds=seconds)[0]

    def is_hub(self) -> bool:
        """Whether it is a hub of ours, which tells it to anybody. Raises RegistryUnavailable where nobody answers."""
        with self._response("GET", f"{self.place}/api/3.0/mlflow/{SERVER_INFO}", None) as response:
            content = self._read(response)
        if response.status in _TRY_AGAIN:
            raise self._refusal(response.status, content)
        return (_object(content) or {}).get("server") == HUB  # an MLflow of before version 3 has no such path

    def _json(
        self, method: str, path: str, body: bytes | None, *, once: bool = False, seconds: float | None = None
    ) -> tuple[dict[str, Any], int]:
        with self._response(method, self.place + path, body, once=once, seconds=seconds) as response:
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

    def upload_artifact(self, url: str, content: BinaryIO, size: int) -> None:
        """PUTs a file, which is there once all of it has come, and else not at all."""
        self._change_artifact("PUT", url, content, size)

    def remove_artifact(self, url: str) -> None:
        """A file, or a directory with what is in it."""
        self._change_artifact("DELETE", url, None, 0)

    def _change_artifact(self, method: str, url: str, content: BinaryIO | None, size: int) -> None:
        with self._response(method, url, content, seconds=_UPLOAD_SECONDS, size=size) as response:
            said = self._read(response)
        if response.status >= 400:
            raise self._refusal(response.status, said)

    # -- shared ------------------------------------------------------------------------------------------------------

    @contextmanager
    def _response(
        self,
        method: str,
        url: str,
        body: bytes | BinaryIO | None,
        time_left: TimeLeft | None = None,
        *,
        once: bool = False,
        seconds: float | None = None,
        size: int = 0,
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """An answer whose body is still to be read, in the time that is left; `seconds` are those of a server that may
        be silent for so long. `size` is that of a file. Failures also while it is read become RegistryUnavailable."""
        timeouts = self._timeouts
        if seconds is not None:
            timeouts = replace(timeouts, read=seconds, total=seconds + timeouts.total)
        headers = {**self._headers, "Accept-Encoding": "identity"}
        if time_left is None and body is not None and not isinstance(body, bytes):
            time_left = lambda: timeouts.total  # noqa: E731  (from when the file has been sent)
        if time_left is None:
            ends = time.monotonic() + timeouts.total
            time_left = lambda: ends - time.monotonic()  # noqa: E731  (one line, used once)
        if isinstance(body, bytes):
            headers["Content-Type"] = "application/json"
        elif body is not None:
            headers["Content-Length"] = str(size)
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
            _, host, port = origin(self.place)
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
            if len(content) > self._answer_limit:
                raise RegistryUnavailable(f"{self.place} answers with more than {self._answer_limit >> 20} MiB.")
        return bytes(content)

    def _refusal(self, status: int, content: bytes) -> PenstockError:
        answer = _object(content) or {}
        if (told := error_told(answer)) is not None:
            return told
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
