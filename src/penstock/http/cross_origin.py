"""What pages of other origins may do (CORS): which answers a browser lets them read, and what it asks beforehand.

A browser sends such a page's request with the page's `Origin`, and hands the page the answer only if that names the
origin. Before a request that no form could send, as one of JSON or with a token, it asks by OPTIONS (a preflight),
without the token. Source: the Fetch standard, https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from starlette.types import Message, Scope, Send

from penstock.http.headers import Head, Header, declared_length, header, header_lines
from penstock.http.origins import ANY

# What a page may read of an answer's head, beside the few headers that every page may read.
EXPOSED = (
    b"X-Request-Id, X-Model-Name, X-Model-Version, Server-Timing, X-Request-Warning, Retry-After, WWW-Authenticate"
)

# How long a browser need not ask again; Chromium keeps no answer for longer.
_MAX_AGE_SECONDS = 7200

_VARY: Header = (b"vary", b"Origin")
_NAMES = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, -]{1,1024}")


def is_preflight(scope: Scope) -> bool:
    """Whether a browser asks if a page may send a request."""
    return (
        scope["type"] == "http"
        and scope["method"] == "OPTIONS"
        and header(scope, b"origin") is not None
        and header(scope, b"access-control-request-method") is not None
    )


class CrossOrigin:
    """Lets in the pages of these origins, as browsers send them. `*` is all of them, which get no answer to a request
    that a browser adds cookies or certificates to: whoever is logged in somewhere is not at any page's service."""

    def __init__(self, origins: Iterable[str]) -> None:
        named = frozenset(origins)
        self._any = ANY in named
        self._headers: dict[bytes | None, tuple[Header, ...]] = {}
        if not self._any:
            for origin in named:
                self._headers[origin.encode()] = (
                    (b"access-control-allow-origin", origin.encode()),
                    (b"access-control-allow-credentials", b"true"),
                    (b"access-control-expose-headers", EXPOSED),
                    _VARY,
                )
        # For everybody else. An answer that depends on the origin says so to caches even where there was none.
        self._others: tuple[Header, ...] = (
            ((b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", EXPOSED))
            if self._any
            else (_VARY,)
        )
        self._lines = {origin: header_lines(list(headers)) for origin, headers in self._headers.items()}
        self._others_lines = header_lines(list(self._others))

    def lines(self, head: Head) -> bytes:
        """The headers that the answer to this request has beside its own, as lines."""
        return self._lines.get(header(head, b"origin"), self._others_lines)

    def admits(self, head: Head) -> bool:
        """Whether pages of the request's origin may read the answer."""
        return self._any or header(head, b"origin") in self._headers

    def preflight(self, scope: Scope) -> list[Header]:
        """What the answer to a browser has beside the headers of all answers, where the page is let in."""
        headers = [
            (b"access-control-allow-methods", b"GET, HEAD, POST"),
            (b"access-control-max-age", str(_MAX_AGE_SECONDS).encode()),
        ]
        asked = header(scope, b"access-control-request-headers")
        if asked is not None and _NAMES.fullmatch(asked):
            # All that it asks for: what a header means is decided where it is read, and tracers add their own.
            headers += [(b"access-control-allow-headers", asked), (b"vary", b"Access-Control-Request-Headers")]
        if declared_length(scope) or header(scope, b"transfer-encoding") is not None:
            headers.append((b"connection", b"close"))  # a body that nobody reads
        return headers

    def added(self, scope: Scope, send: Send) -> Send:
        """Adds the headers to the answer that is sent."""
        headers = self._headers.get(header(scope, b"origin"), self._others)

        async def wrapped(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *headers]}
            await send(message)

        return wrapped

    def __repr__(self) -> str:
        return f"<CrossOrigin for {'every origin' if self._any else f'{len(self._headers)} origins'}>"
