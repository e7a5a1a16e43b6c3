"""What the head of a request must not say, by RFC 9112 and RFC 9110, beyond what the parser refuses itself: doubtful
framing, obsolete folding, bare line feeds, spaces before colons. Pure."""

from __future__ import annotations

from penstock.http.errors import CLOSE, ErrorAnswer

_TEXT = b"text/plain"
_RULED = frozenset({b"host", b"transfer-encoding", b"expect"})

NO_HOST = ErrorAnswer(400, b"A request in HTTP/1.1 must have exactly one Host header.", (CLOSE,), _TEXT)
OLD_CHUNKS = ErrorAnswer(400, b"A request in HTTP/1.0 has no Transfer-Encoding.", (CLOSE,), _TEXT)
NO_SUCH_CODING = ErrorAnswer(501, b"The only Transfer-Encoding read here is chunked.", (CLOSE,), _TEXT)
NO_SUCH_EXPECTATION = ErrorAnswer(417, b"The only Expect that is met here is 100-continue.", (CLOSE,), _TEXT)


def refusal_of(headers: list[tuple[bytes, bytes]], version: str) -> ErrorAnswer | None:
    """Why a request with these headers, their names in lower case, is not taken; None where it is."""
    hosts = 0
    for name, value in headers:
        if name not in _RULED:
            continue
        if name == b"host":
            hosts += 1
        elif name == b"transfer-encoding":
            if version == "1.0":
                return OLD_CHUNKS
            if value.strip().lower() != b"chunked":
                return NO_SUCH_CODING
        elif version != "1.0" and value.strip().lower() != b"100-continue":
            return NO_SUCH_EXPECTATION
    return NO_HOST if hosts > 1 or (not hosts and version != "1.0") else None
