"""What a caller may do. Pure: a principal, an action and a resource in, a decision out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

from penstock.access.principal import Principal, Role

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


def allowed(principal: Principal, action: Action, resource: Resource = None) -> bool:
    """Whether this caller may do that. One whose roles are for some models alone may do nothing that is about no model
    in particular, as to read the list of all or to ask the default one."""
    if action in OPEN_ACTIONS:
        return True
    if principal.roles.isdisjoint(_ROLES_FOR[action]):
        return False
    return principal.models is None or resource in principal.models
