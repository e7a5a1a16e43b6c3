"""Where a rollback goes, read from the history of an alias. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.registry.interface import AliasMove


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
