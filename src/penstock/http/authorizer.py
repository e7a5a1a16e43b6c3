"""The one question of access, asked ahead of every route and by all that answers before there is a route."""

from __future__ import annotations

from penstock.access.policy import GATEWAY_POLICY, GatewayNeeds, Resource
from penstock.access.principal import ANYBODY, Principal
from penstock.access.tokens import KnownTokens
from penstock.http.headers import Head, header


class Authorizer:
    """Knows callers by their bearer token. Whoever refuses one asks `identify` for the caller and the policy for the
    decision, since a stranger is told to show a token, and a known caller that it may not do that. Whoever only passes
    requests on asks `admits`."""

    def __init__(self, tokens: KnownTokens) -> None:
        self.admit(tokens)

    def admit(self, tokens: KnownTokens) -> None:
        """The holders of these and of no other tokens are let in from now on, on connections that are open, too."""
        # The whole mutable state: the tokens; and that a server without any lets everybody do everything, which costs a
        # prediction one look at this.
        self._tokens = tokens
        self._open = not tokens.required

    def identify(self, head: Head) -> Principal:
        """The caller that sends a request with this head."""
        return ANYBODY if self._open else self._tokens.identify(header(head, b"authorization"))

    def admits(self, head: Head, needs: GatewayNeeds, resource: Resource = None) -> bool:
        """Whether that caller may do what needs this, in one step for the requests of a hot path."""
        return self._open or GATEWAY_POLICY.allows(
            self._tokens.identify(header(head, b"authorization")), needs, resource
        )

    def __repr__(self) -> str:
        return f"<Authorizer by {self._tokens!r}>"
