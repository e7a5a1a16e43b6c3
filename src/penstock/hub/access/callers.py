"""A caller of the hub, and the roles: each may do what the one before it may, and more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

HubRole: TypeAlias = Literal["read", "write", "promote", "admin"]

# What a route needs: nothing, or a role.
Needs: TypeAlias = Literal["nothing", "read", "write", "promote", "admin"]

ROLES: tuple[HubRole, ...] = get_args(HubRole)
_RANK: dict[str, int] = {"nothing": 0, **{role: place for place, role in enumerate(ROLES, start=1)}}


@dataclass(frozen=True, slots=True)
class HubCaller:
    """`name` is the token's, which every change of the registry is recorded under; `role` is None for a stranger."""

    name: str
    role: HubRole | None

    def may(self, needs: Needs) -> bool:
        return _RANK[self.role or "nothing"] >= _RANK[needs]


# A caller without a token, or with none that is known.
STRANGER = HubCaller("", None)

# Everybody, where no token is asked for.
ANYBODY = HubCaller("anonymous", "admin")
