"""Bearer tokens (RFC 6750): whose request it is, by its Authorization header."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from penstock.access.principal import ANONYMOUS, OPERATOR, Principal


class BearerTokens:
    """The tokens that are known, each with its principal. A server without any asks for none: everybody is its
    operator."""

    def __init__(self, principals: Mapping[str, Principal]) -> None:
        if "" in principals:
            raise ValueError("A bearer token must not be empty; leave the token out to ask callers for none.")
        self._known = [(f"Bearer {token}".encode(), principal) for token, principal in principals.items()]

    @classmethod
    def static(cls, token: str) -> BearerTokens:
        """The one token of a server's operator; none is asked for where it is empty."""
        return cls({token: OPERATOR} if token else {})

    @property
    def required(self) -> bool:
        """Whether callers need a token at all."""
        return bool(self._known)

    def identify(self, authorization: bytes | None) -> Principal:
        """The caller that shows this Authorization header. The time that it takes says nothing about a token: each is
        compared to its end, and all of them are."""
        if not self._known:
            return OPERATOR
        scheme, _, token = (authorization or b"").partition(b" ")
        given = scheme.capitalize() + b" " + token.strip()
        caller = ANONYMOUS
        for expected, principal in self._known:
            if hmac.compare_digest(given, expected):
                caller = principal
        return caller

    def __repr__(self) -> str:
        return f"<BearerTokens, {len(self._known)} known>"
