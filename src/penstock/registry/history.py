"""The history of an alias: its moves, and where a rollback goes, read from them. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from penstock.registry.refusals import Expected

MoveKind: TypeAlias = Literal["promote", "rollback", "remove"]


@dataclass(frozen=True, slots=True)
class AliasMove:
    """One line of history: who moved which alias when, from where to where, and why. `from_version` is None for a first
    move, `to_version` is None where the alias was removed."""

    name: str
    alias: str
    kind: MoveKind
    from_version: str | None
    to_version: str | None
    at: datetime
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class NewMove:
    """A move that is to be made: `expected` is what the alias is to name before it."""

    name: str
    alias: str
    kind: MoveKind
    to: str | None
    expected: Expected
    at: datetime
    by: str
    reason: str = ""

    def made(self, before: str | None) -> AliasMove:
        """Its line of history, with what the alias named."""
        return AliasMove(self.name, self.alias, self.kind, before, self.to, self.at, self.by, self.reason)


def rollback_target(moves: Sequence[AliasMove], existing: set[str]) -> str | None:
    """The version to go back to, by replaying the history as a stack: a promotion pushes, a rollback pops.

    Versions that exist no more are passed over. None where nothing is left to go back to.
    """
    stack: list[str] = []
    for move in moves:
        if move.kind == "rollback":
            while stack and stack[-1] != move.to_version:
                stack.pop()
        if move.to_version is not None and (not stack or stack[-1] != move.to_version):
            stack.append(move.to_version)
    current = stack[-1] if stack else None
    return next((v for v in reversed(stack[:-1]) if v in existing and v != current), None)


def aliases_state(named: Iterable[tuple[str, str, str]]) -> str:
    """A short text for what all aliases name, given as model, alias and version: another text for another state."""
    return hashlib.sha256(repr(sorted(named)).encode("utf-8", "backslashreplace")).hexdigest()[:32]
