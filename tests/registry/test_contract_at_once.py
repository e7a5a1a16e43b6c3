"""Several who register, promote, roll back, delete and rename at once: whatever comes first, the story holds together.

Each has its own seed, so that the same is tried again and again; in which order the threads come is new each time.
"""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from penstock.errors import (
    AliasMoved,
    AliasNotFound,
    ModelExists,
    ModelNotFound,
    NothingToRollBack,
    RegistryError,
    VersionInUse,
    VersionNotFound,
)
from penstock.registry import NewVersion, Registry

# How somebody who came second may be told so. Each is a 400, 404 or 409 of a hub.
SECOND = (
    AliasMoved,
    AliasNotFound,
    ModelExists,
    ModelNotFound,
    NothingToRollBack,
    VersionInUse,
    VersionNotFound,
)

NAMES = ("fraud", "theft", "churn")
ALIASES = ("production", "canary")


class Client:
    """What it did, by kind, and the ways in which it was told that another was first."""

    def __init__(self, registry: Registry, seed: int) -> None:
        self._registry = registry
        self._chance = random.Random(seed)
        self._by = f"client {seed}"
        self.made: Counter[str] = Counter()
        self.told: Counter[type[RegistryError]] = Counter()

    def work(self, steps: int) -> None:
        kinds = ("register", "promote", "rollback", "remove", "delete", "rename", "tag")
        for kind in self._chance.choices(kinds, (6, 6, 3, 1, 2, 2, 2), k=steps):
            try:
                done = self._do(kind)
            except SECOND as error:
                self.told[type(error)] += 1
            else:
                self.made[kind if done else "nothing"] += 1

    def _do(self, kind: str) -> bool:
        """Whether there is something to tell: what is promoted to where it is moves nothing."""
        registry, by = self._registry, self._by
        name, alias = self._chance.choice(NAMES), self._chance.choice(ALIASES)
        match kind:
            case "register":
                # For the model that has the name: another one of the name is not made beside a rename.
                if name in {model.name for model in registry.models()}:
                    registry.register(name, NewVersion("x", registered_by=by))
                else:
                    raise ModelNotFound(name)
            case "promote":
                move = registry.promote(name, self._number(name), alias, by=by)
                return move.from_version != move.to_version
            case "rollback":
                registry.rollback(name, alias, by=by)
            case "remove":
                registry.remove_alias(name, alias, by=by)
            case "delete":
                registry.delete(name, self._number(name), by=by)
            case "rename":
                registry.rename(name, self._chance.choice(NAMES), by=by)
            case _:
                registry.set_tag(name, by, str(self._chance.random()), by=by)
        return True

    def _number(self, name: str) -> str:
        return self._chance.choice([version.version for version in self._registry.versions(name)] or ["1"])


@pytest.mark.ours
def test_of_many_changes_at_once_none_is_lost_and_none_half_made(registry: Registry) -> None:
    registry.register("fraud", NewVersion("x"))
    registry.register("theft", NewVersion("x"))
    clients = [Client(registry, seed) for seed in range(3)]
    with ThreadPoolExecutor(len(clients)) as threads:
        for ended in [threads.submit(client.work, 25) for client in clients]:
            ended.result(60)
    made = sum((client.made for client in clients), Counter[str]())
    assert made["register"] > 5
    assert made["promote"] > 5
    assert sum(sum(client.told.values()) for client in clients) > 0
    models = registry.models()
    changes = Counter(change.kind for model in models for change in registry.changes(model.name))
    told = {"register": made["register"] + 2, "delete": made["delete"], "rename": made["rename"], "tag": made["tag"]}
    assert {kind: changes[kind] for kind in told} == told  # type: ignore[index]
    for model in models:
        versions = [version.version for version in registry.versions(model.name)]
        added = [c.version for c in registry.changes(model.name) if c.kind == "register"]
        gone = [c.version for c in registry.changes(model.name) if c.kind == "delete"]
        assert len(set(added)) == len(added), "a number was given twice"
        assert set(versions) == set(added) - set(gone)
        for alias in ALIASES:
            moves = registry.history(model.name, alias)
            assert all(before.to_version == after.from_version for before, after in pairwise(moves))
            assert (moves[-1].to_version if moves else None) == model.aliases.get(alias)
            assert model.aliases.get(alias) in (None, *versions)
    kinds = Counter(move.kind for model in models for move in registry.history(model.name))
    assert kinds == {kind: made[kind] for kind in ("promote", "rollback", "remove") if made[kind]}
