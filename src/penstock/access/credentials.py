"""Credentials: how a token is made, what is kept of it, and how a request shows it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets

# By which a token that was left in a repository or a log is found.
_PREFIX = "pst_"

_NAME = re.compile(r"[\w.@+\-]{1,255}")

# What no honest header is longer than; anything longer is not worth a hash.
_MAX_HEADER_BYTES = 8192


def new_token() -> str:
    """256 random bits."""
    return _PREFIX + secrets.token_urlsafe(32)


def digest_of(token: str | bytes) -> str:
    """What is kept of a token. It has 256 random bits, so a slow hash would protect nothing more."""
    plain = token if isinstance(token, bytes) else token.encode("utf-8", "surrogateescape")
    return hashlib.sha256(plain).hexdigest()


def is_token_name(name: str) -> bool:
    """Whether a token may be called so: it stands in logs, and in files between blanks."""
    return _NAME.fullmatch(name) is not None


def bearer_token(authorization: bytes) -> bytes | None:
    """The token of a header by RFC 6750; None where it holds none."""
    scheme, _, token = authorization.partition(b" ")
    if scheme.lower() != b"bearer" or len(authorization) > _MAX_HEADER_BYTES:
        return None
    return token.strip() or None


def bearer_or_password(authorization: bytes) -> bytes | None:
    """The same, or the password of a header by RFC 7617, whatever the name before it; None where it holds neither."""
    scheme, _, text = authorization.partition(b" ")
    if scheme.lower() != b"basic" or len(authorization) > _MAX_HEADER_BYTES:
        return bearer_token(authorization)
    try:
        decoded = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded.partition(b":")[2] or None
