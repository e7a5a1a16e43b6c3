"""Callers, as far as access depends on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Role: TypeAlias = Literal["predict", "metrics", "admin"]


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
