"""Origins as browsers name them: scheme, host and port of the page that a request comes from (RFC 6454)."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

# Every origin, as the Fetch standard spells it.
ANY = "*"

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9_\-.]+|\[[0-9a-f:.]+\]")


def parse_origin(text: str) -> str:
    """An origin in the form in which a browser sends it, or `*`. Raises ValueError, with an origin that would do."""
    given = text.strip()
    if given == ANY:
        return ANY
    if given.lower() == "null":
        raise ValueError("null is what pages without an origin send, as files do, and anybody can send; * lets them in")
    if "://" not in given:
        raise ValueError(f"an origin has a scheme, as https://{given or 'app.example.com'}")
    try:
        parts = urlsplit(given)
        scheme, host, port = parts.scheme.lower(), parts.hostname or "", parts.port
        host = host.encode("idna").decode() if not host.isascii() else f"[{host}]" if ":" in host else host
    except (ValueError, UnicodeError):
        raise ValueError("it is no URL; an origin is written as https://app.example.com") from None
    if ANY in host:
        raise ValueError("origins are matched as a whole; name each, as https://app.example.com, or * for all")
    if _HOST.fullmatch(host) is None:
        raise ValueError("it has no host; an origin is written as https://app.example.com")
    origin = f"{scheme}://{host}" + (f":{port}" if port is not None and port != _DEFAULT_PORTS.get(scheme) else "")
    if parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(f"an origin is scheme, host and port alone: {origin}")
    return origin


def parse_origins(texts: tuple[str, ...]) -> tuple[str, ...]:
    """All of them, each once. Raises ValueError."""
    origins = tuple(dict.fromkeys(map(parse_origin, texts)))
    if ANY in origins and len(origins) > 1:
        raise ValueError("* is every origin; leave out the others, or leave it out")
    return origins
