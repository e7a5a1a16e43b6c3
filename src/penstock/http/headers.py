"""Request headers: looked up by name, and what some of them say.

No format of bodies is known here; callers name those that they read. A *head* is an ASGI scope, or the part of one
that a look-up needs: a dictionary with `headers`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from starlette.types import Scope

from penstock.errors import UnsupportedMedia

Head: TypeAlias = Scope

# Where a head keeps its headers by name: several are looked up for each request.
NAMED = "penstock.headers"

JSON = "application/json"


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
