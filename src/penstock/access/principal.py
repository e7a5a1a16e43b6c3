"""A caller: the name under which it is recorded, and its roles."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """`name` is the token's, for logs and records; `models` are those that its roles are for, all where that is
    None."""

    name: str
    roles: frozenset[str] = frozenset()
    models: frozenset[str] | None = None


# A caller that has shown no token, or none that is known.
STRANGER = Principal("")

# Everybody, on a server that asks for no token.
ANYBODY = Principal("anonymous", frozenset({"admin"}))

# The caller with the one static token of a gateway.
OPERATOR = Principal("operator", frozenset({"admin"}))
