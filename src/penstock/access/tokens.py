"""The one static token that callers may be asked for."""

from __future__ import annotations

import hmac

from starlette.types import Scope

from penstock.http.bodies import header


class BearerToken:
    """Looks at a request's Authorization header. An empty token asks for none."""

    def __init__(self, token: str = "") -> None:
        self._expected = f"Bearer {token}".encode() if token else b""

    def admits(self, scope: Scope) -> bool:
        """Whether these headers carry it."""
        if not self._expected:
            return True
        scheme, _, token = (header(scope, b"authorization") or b"").partition(b" ")
        return hmac.compare_digest(scheme.capitalize() + b" " + token.strip(), self._expected)
