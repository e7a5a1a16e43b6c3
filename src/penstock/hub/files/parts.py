"""Which bytes of a file an answer has, and what its head says: decided from the request's head and what is known of the
file. Source: RFC 9110, 13 and 14."""

from __future__ import annotations

import mimetypes
import re
from typing import NamedTuple
from urllib.parse import quote

from penstock.http.headers import Head, Header, header

_ONE_RANGE = re.compile(rb"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*")

# Whatever was uploaded is shown by no browser of its own accord, and runs nothing if it is. What is asked again is
# sent again only where it has changed.
_GUARD: tuple[Header, ...] = (
    (b"content-security-policy", b"sandbox; default-src 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"private, no-cache"),
    (b"accept-ranges", b"bytes"),
)

# Types that a browser may be told; a page that was uploaded is text, and whatever else might run is bytes.
_TEXT = frozenset({"application/json", "application/yaml", "application/x-yaml", "application/javascript"})
_TEXT_NAMES = re.compile(r".*\.(?:ya?ml|json|jsonl|md|log|cfg|ini|toml|conf|r|sql|sh|py)|MLmodel|MLproject", re.I)
# Python's own table: what a machine adds to it would be another answer on each.
_TYPES = mimetypes.MimeTypes()
_SHOWN = re.compile(r"(?:image|audio|video|font)/[\w.+-]+|application/(?:pdf|zip|gzip|x-tar|octet-stream)")


class FilePart(NamedTuple):
    """The answer's status, and which bytes it has: `length` from `first` on, none for a status without any."""

    status: int
    first: int = 0
    length: int = 0


def part_of(head: Head, size: int, tag: bytes) -> FilePart:
    """200 for all of the file, 206 for a part, 304 for what the caller has already, 416 for a part that is not there.
    Several ranges are answered with everything, as the standard allows; so is one of another state of the file."""
    known = header(head, b"if-none-match")
    if known is not None and tag and _names(known, tag):
        return FilePart(304)
    asked = header(head, b"range")
    found = None if asked is None else _ONE_RANGE.fullmatch(asked)
    if found is None or found.groups() == (b"", b""):
        return FilePart(200, 0, size)
    if (condition := header(head, b"if-range")) is not None and condition.strip() != tag:
        return FilePart(200, 0, size)
    begin, end = (number[:20] for number in found.groups())
    first = int(begin) if begin else max(0, size - int(end))
    last = min(int(end), size - 1) if begin and end else size - 1
    if begin and end and int(end) < int(begin):  # no range at all
        return FilePart(200, 0, size)
    if first >= size or last < first:
        return FilePart(416)
    return FilePart(206, first, last - first + 1)


def headers_of(name: str, part: FilePart, size: int, tag: bytes) -> list[Header]:
    """The head of the answer about a file of this name."""
    headers: list[Header] = list(_GUARD)
    if tag:
        headers.append((b"etag", tag))
    if part.status == 304:
        return headers
    if part.status == 416:
        return [*headers, (b"content-range", b"bytes */%d" % size), (b"content-length", b"0")]
    headers += [
        (b"content-type", type_of(name)),
        (b"content-length", b"%d" % part.length),
        (b"content-disposition", _disposition(name)),
    ]
    if part.status == 206:
        headers.append((b"content-range", b"bytes %d-%d/%d" % (part.first, part.first + part.length - 1, size)))
    return headers


def type_of(name: str) -> bytes:
    """What a browser is told that a file of this name is."""
    kind = _TYPES.guess_type(name)[0] or ""
    if kind.startswith("text/") or kind in _TEXT or _TEXT_NAMES.fullmatch(name):
        return b"text/plain; charset=utf-8"
    return kind.encode() if _SHOWN.fullmatch(kind) else b"application/octet-stream"


def tag_of(mark: str) -> bytes:
    """The entity tag that stands for a state of a file; empty where the file has no mark."""
    plain = re.sub(r"[^\w.:+-]", "", mark.strip('"'), flags=re.ASCII)
    return b'"%b"' % plain.encode() if plain else b""


def _names(known: bytes, tag: bytes) -> bool:
    """Whether one of the tags of an If-None-Match is this one; weak comparison."""
    return known.strip() == b"*" or any(each.strip().removeprefix(b"W/") == tag for each in known.split(b","))


def _disposition(name: str) -> bytes:
    """RFC 6266: a name of plain letters for old programs, and the name itself."""
    plain = re.sub(r"[^\w.+ -]", "_", name, flags=re.ASCII) or "download"
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}".encode()
