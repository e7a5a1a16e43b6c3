"""What follows from a registry's answer to a pattern: which models join, are missed, are back, and leave. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Changes:
    """Registry names of the models to join, those that are missed from now on, that are back, and that are to leave."""

    join: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    back: tuple[str, ...] = ()
    leave: tuple[str, ...] = ()


def next_changes(
    names: Mapping[str, str], taken: Callable[[str], bool], members: Mapping[str, tuple[float, float]], now: float
) -> Changes:
    """What to do about the models that the registry named: `names` has the name to serve each under, `taken` says
    whether another model has it. `members` has, for each that is served, since when it is missed (inf: it is not), and
    for how many seconds it is served all the same."""
    found = names.keys()
    joining: dict[str, str] = {}
    for name, served_as in sorted(names.items()):
        if name not in members and not taken(served_as) and served_as not in joining.values():
            joining[name] = served_as
    missed = tuple(n for n, (since, _) in members.items() if n not in found and since == float("inf"))
    back = tuple(n for n, (since, _) in members.items() if n in found and since != float("inf"))
    leave = tuple(n for n, (since, grace) in members.items() if n not in found and since + grace <= now)
    return Changes(tuple(joining), missed, back, leave)
