"""Access: whose request it is, by its bearer token (RFC 6750), and what that caller may do. Knows no HTTP.

`BearerTokens` makes a principal of an Authorization header; `allowed` is the policy, pure: a principal, an action and a
resource in, a decision out.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Role: TypeAlias = Literal["predict", "metrics", "admin"]

# What a request does. "unknown" is for paths that no route has: that there is nothing is no business of strangers.
Action: TypeAlias = Literal["predict", "models:read", "metrics", "version", "probe", "docs", "unknown"]

# What a request is about: the name of a model, None where the path names none.
Resource: TypeAlias = str | None

# Probes carry no credentials and learn nothing but alive, ready, or not; the page is static, and asks for the token.
OPEN_ACTIONS: frozenset[Action] = frozenset({"probe", "docs"})

ACTIONS_OF: Mapping[Role, frozenset[Action]] = {
    "predict": frozenset({"predict", "models:read", "version", "unknown"}),
    "metrics": frozenset({"metrics", "version", "unknown"}),
    "admin": frozenset(get_args(Action)),
}

# The same by action, since that is what is asked for every prediction.
_ROLES_FOR: Mapping[Action, frozenset[Role]] = {
    action: frozenset(role for role, actions in ACTIONS_OF.items() if action in actions) for action in get_args(Action)
}


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller: a name for logs, its roles, and the models that they are for, all where that is None."""

    name: str
    roles: frozenset[Role] = frozenset()
    models: frozenset[str] | None = None


# A caller that has shown no token, or none that is known.
ANONYMOUS = Principal("anonymous")

# The caller with the one static token, and everybody on a server that asks for none.
OPERATOR = Principal("operator", frozenset({"admin"}))


def allowed(principal: Principal, action: Action, resource: Resource = None) -> bool:
    """Whether this caller may do that. One whose roles are for some models alone may do nothing that is about no model
    in particular, as to read the list of all or to ask the default one."""
    if action in OPEN_ACTIONS:
        return True
    if principal.roles.isdisjoint(_ROLES_FOR[action]):
        return False
    return principal.models is None or resource in principal.models


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
