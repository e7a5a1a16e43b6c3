"""Headers: those of a request looked up by name, what some of them say and what they must not say together.

No format of bodies is known here; callers name those that they read. A *head* is an ASGI scope, or the part of one
that a look-up needs: a dictionary with `headers`.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from itertools import count
from typing import NamedTuple, TypeAlias

from starlette.types import Scope

from penstock.errors import UnsupportedMedia

Head: TypeAlias = Scope
Header: TypeAlias = tuple[bytes, bytes]

# Where a head keeps its headers by name: several are looked up for each request.
NAMED = "penstock.headers"

JSON = "application/json"

# What curl -d and the forms of browsers send, where nobody says otherwise: most often a body whose type was forgotten.
FORM = "application/x-www-form-urlencoded"
_CURL_HINT = (
    "With curl add -H 'Content-Type: application/json'; for a CSV file -H 'Content-Type: text/csv' with --data-binary "
    "@FILE, since -d takes the line ends away."
)


# Ids of requests: what they are made of; those of our own have a random beginning for the process, then a count.
_ALLOWED_IN_ID = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/+=@")
_PROCESS_ID = secrets.token_hex(4).encode()
_numbers = count()


def header(head: Head, name: bytes) -> bytes | None:
    """The value of a request header, the first where there are several; ASGI gives names in lower case."""
    named: dict[bytes, bytes] | None = head.get(NAMED)
    if named is None:
        named = head[NAMED] = dict(reversed(head["headers"]))
    return named.get(name)


def any_header(head: Head, names: frozenset[bytes]) -> bool:
    """Whether the request has any of these headers."""
    header(head, b"")
    return not names.isdisjoint(head[NAMED])


def request_id(given: bytes | None) -> bytes:
    """The caller's X-Request-Id where it is harmless, else a new one."""
    if given and len(given) <= 128 and _ALLOWED_IN_ID.issuperset(given):
        return given
    return b"%s%08x" % (_PROCESS_ID, next(_numbers))


def declared_length(head: Head) -> int:
    """The Content-Length; 0 where there is none."""
    declared = header(head, b"content-length")
    return int(declared) if declared is not None and declared.isdigit() else 0


def media_type(head: Head, readable: Iterable[str]) -> str:
    """The body's type, JSON where none is given. Raises UnsupportedMedia for a type that is not `readable`, and for
    parameters and charsets that are not supported."""
    given = header(head, b"content-type")
    if not given or given == b"application/json":
        return JSON
    kind, *parameters = given.decode("latin-1").split(";")
    kind = kind.strip().lower()
    if kind == FORM and kind not in readable:
        raise UnsupportedMedia(
            "The body is declared as a form (application/x-www-form-urlencoded), as curl -d does where no type is "
            "given, and forms are not read here.",
            hint=f"{_CURL_HINT} Bodies may be {', '.join(readable)}.",
        )
    if kind not in readable:
        raise UnsupportedMedia(
            f"Bodies of type {shown(kind.encode())} are not supported.", hint=f"Send {', '.join(readable)}."
        )
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() not in ("", "charset"):
            raise UnsupportedMedia(f"The Content-Type parameter {shown(name.strip().encode())} is not supported.")
        if name.strip() and value.strip().strip('"').lower() not in ("utf-8", "utf8"):
            raise UnsupportedMedia(f"Only UTF-8 is supported, not {shown(value.strip().encode())}.")
    return kind


def shown(raw: bytes) -> str:
    """A caller's own bytes as an error message may repeat them: quoted, and cut short."""
    return repr(raw.decode("latin-1")[:60])


def header_lines(headers: Iterable[Header]) -> bytes:
    """Headers as the lines that they become."""
    return b"".join(b"%b: %b\r\n" % pair for pair in headers)


class HeadFault(NamedTuple):
    """Why a request is refused by its head: the status of the answer, and its text."""

    status: int
    text: bytes


NO_HOST = HeadFault(400, b"A request in HTTP/1.1 must have exactly one Host header.")
OLD_CHUNKS = HeadFault(400, b"A request in HTTP/1.0 has no Transfer-Encoding.")
NO_SUCH_CODING = HeadFault(501, b"The only Transfer-Encoding read here is chunked.")
NO_SUCH_EXPECTATION = HeadFault(417, b"The only Expect that is met here is 100-continue.")

TWO_CALLERS = HeadFault(400, b"A request must have at most one Authorization header.")

_RULED = frozenset({b"authorization", b"host", b"transfer-encoding", b"expect"})


def head_fault(headers: list[Header], version: str) -> HeadFault | None:
    """What is wrong with a head of these headers, their names in lower case, by RFC 9112 and RFC 9110; None where
    nothing is. Only what the parser does not refuse itself: that is doubtful framing, obsolete folding, bare line
    feeds, spaces before colons."""
    hosts = callers = 0
    for name, value in headers:
        if name not in _RULED:
            continue
        if name == b"host":
            hosts += 1
        elif name == b"authorization":  # of two, a proxy before us may have judged the other one
            callers += 1
        elif name == b"transfer-encoding":
            if version == "1.0":
                return OLD_CHUNKS
            if value.strip().lower() != b"chunked":
                return NO_SUCH_CODING
        elif version != "1.0" and value.strip().lower() != b"100-continue":
            return NO_SUCH_EXPECTATION
    if callers > 1:
        return TWO_CALLERS
    return NO_HOST if hosts > 1 or (not hosts and version != "1.0") else None
