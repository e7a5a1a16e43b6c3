"""The one question of access, asked ahead of every route and by all that answers before there is a route."""

from __future__ import annotations

from penstock.access.policy import Action, Resource, allowed
from penstock.access.tokens import BearerTokens
from penstock.http.headers import Head, header


class Authorizer:
    """Lets requests in by their bearer token and the policy."""

    def __init__(self, tokens: BearerTokens) -> None:
        self._tokens = tokens
        # A server without tokens lets everybody do everything; that costs a prediction one look at this.
        self._open = not tokens.required

    def admits(self, head: Head, action: Action, resource: Resource = None) -> bool:
        """Whether whoever sends a request with this head may do that."""
        return self._open or allowed(self._tokens.identify(header(head, b"authorization")), action, resource)

    def __repr__(self) -> str:
        return f"<Authorizer by {self._tokens!r}>"
