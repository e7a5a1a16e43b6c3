"""The policy, pure: a principal, what a route needs and a resource in, a decision out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, Literal, TypeAlias, TypeVar, get_args

from penstock.access.principal import STRANGER, Principal

GatewayRole: TypeAlias = Literal["predict", "metrics", "admin"]
HubRole: TypeAlias = Literal["read", "write", "promote", "admin"]

# What a route needs: nothing, any known token, or one with a role.
GatewayNeeds: TypeAlias = Literal["nothing", "token", "predict", "metrics", "admin"]
HubNeeds: TypeAlias = Literal["nothing", "read", "write", "promote", "admin"]

GATEWAY_ROLES: tuple[GatewayRole, ...] = get_args(GatewayRole)
HUB_ROLES: tuple[HubRole, ...] = get_args(HubRole)

# What a request is about: the name of a model, None where the path names none.
Resource: TypeAlias = str | None

N = TypeVar("N", bound=str)

# That which callers of some models alone may ask all the same.
_ABOUT_NO_MODEL = frozenset({"nothing", "token"})


class Policy(Generic[N]):
    """For each role what it is good for, of all that the routes of a server need."""

    def __init__(self, needs: Iterable[N], good_for: Mapping[str, Iterable[N]]) -> None:
        # By what is needed, since that is what is asked for every request.
        self._roles_for: dict[str, frozenset[str]] = {
            each: frozenset(role for role, met in good_for.items() if each in met) for each in needs
        }

    def allows(self, caller: Principal, needs: N, resource: Resource = None) -> bool:
        """Whether this caller may do what needs that. One whose roles are for some models alone may do nothing that is
        about other models or all, as to read the list or to ask the default one."""
        if needs == "nothing":
            return True
        if caller.roles.isdisjoint(self._roles_for[needs]):
            return False
        return caller.models is None or resource in caller.models or needs in _ABOUT_NO_MODEL

    def reason(self, caller: Principal, needs: N, *, shown: bool) -> str:
        """Why a caller is refused, for a metric; `shown` is whether it has shown anything."""
        if caller is STRANGER:
            return "unknown_token" if shown else "no_token"
        return "role" if caller.roles.isdisjoint(self._roles_for[needs]) else "models"

    def why_refused(self, caller: Principal, needs: N) -> str:
        """A sentence for a known caller that may not do what needs that."""
        name = f"The token {caller.name!r}"
        if caller.roles.isdisjoint(self._roles_for[needs]):
            return f"{name} has the role {', '.join(sorted(caller.roles))}, and this needs the role {needs}."
        models = ", ".join(sorted(caller.models or ()))
        return f"{name} is for the models {models} alone, and this asks another one, or names none."

    def __repr__(self) -> str:
        return f"<Policy over {', '.join(self._roles_for)}>"


# A gateway's roles stand beside one another: whoever reads metrics sees no row of anybody's, and the reverse.
GATEWAY_POLICY: Policy[GatewayNeeds] = Policy(
    get_args(GatewayNeeds),
    {
        "predict": ("token", "predict"),
        "metrics": ("token", "metrics"),
        "admin": ("token", "predict", "metrics", "admin"),
    },
)

# Each role of a hub may do what the one before it may, and more.
HUB_POLICY: Policy[HubNeeds] = Policy(
    get_args(HubNeeds), {role: HUB_ROLES[: place + 1] for place, role in enumerate(HUB_ROLES)}
)
