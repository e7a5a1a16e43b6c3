"""What every registry does alike with aliases: moves, their history, and several who move at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC
from typing import Any

import pytest

from penstock.errors import (
    AliasMoved,
    AliasNotFound,
    ModelNotFound,
    NameInvalid,
    NothingToRollBack,
    SignatureIncompatible,
    VersionNotFound,
)
from penstock.registry import AliasMove, ModelVersion, NewVersion, RegisteredModel, Registry
from penstock.registry.history import NewMove
from registry.registering import add, columns


def move(registry: Registry, kind: Any, to: str | None, expected: Any = ...) -> AliasMove:
    """Past what `promote` and the like look at before."""
    return registry._move_alias(NewMove("fraud", "production", kind, to, expected, registry._clock(), "ann"))


def at_once(*works: Callable[[], None]) -> None:
    """Runs these in threads. What one raises is raised here."""
    with ThreadPoolExecutor(len(works)) as pool:
        for ended in [pool.submit(work) for work in works]:
            ended.result(60)


class TestMoving:
    def test_an_alias_is_moved_and_removed(self, registry: Registry) -> None:
        add(registry, count=2)
        first = registry.promote("fraud", "1", by="ann")
        second = registry.promote("fraud", "2", by="ben")
        removed = registry.remove_alias("fraud", "production", by="cat")
        assert (first.from_version, first.to_version, first.by) == (None, "1", "ann")
        assert (second.kind, second.from_version, second.to_version) == ("promote", "1", "2")
        assert (removed.kind, removed.from_version, removed.to_version) == ("remove", "2", None)
        assert registry.model("fraud").aliases == {}
        with pytest.raises(AliasNotFound):
            registry.remove_alias("fraud", "production", by="ann")

    def test_promoting_again_tells_that_it_stays(self, registry: Registry) -> None:
        add(registry)
        registry.promote("fraud", "1", by="ann")
        again = registry.promote("fraud", "1", by="ann")
        assert (again.from_version, again.to_version) == ("1", "1")

    def test_an_absent_model_version_or_bad_alias_is_not_promoted(self, registry: Registry) -> None:
        with pytest.raises(ModelNotFound):
            registry.promote("fraud", "1", by="ann")
        add(registry)
        with pytest.raises(VersionNotFound):
            registry.promote("fraud", "2", by="ann")
        for alias in ("latest", "v3", "V10", "a b", "", "ü"):
            with pytest.raises(NameInvalid):
                registry.promote("fraud", "1", alias, by="ann")
        assert registry.model("fraud").aliases == {}


@pytest.mark.ours
class TestAliases:
    def test_every_move_of_an_alias_is_in_the_history(self, registry: Registry) -> None:
        add(registry, count=2)
        first = registry.promote("fraud", "1", by="ann", reason="first")
        second = registry.promote("fraud", "2", by="ben")
        other = registry.promote("fraud", "1", "canary", by="ann")
        removed = registry.remove_alias("fraud", "canary", by="cat", reason="done")

        assert (first.from_version, first.to_version, first.by, first.reason) == (None, "1", "ann", "first")
        assert (second.kind, second.from_version, second.to_version) == ("promote", "1", "2")
        assert (removed.kind, removed.from_version, removed.to_version) == ("remove", "1", None)
        assert registry.history("fraud") == [first, second, other, removed]
        assert registry.history("fraud", "production") == [first, second]
        assert registry.history("fraud", "none") == []
        with pytest.raises(ModelNotFound):
            registry.history("absent")
        assert first.at < second.at
        assert first.at.tzinfo is UTC

    def test_what_does_not_move_is_not_in_the_history(self, registry: Registry) -> None:
        add(registry, count=2)
        moved = [registry.promote("fraud", version, by="ann") for version in "1211"]
        assert [(m.from_version, m.to_version) for m in moved][2:] == [("2", "1"), ("1", "1")]
        assert registry.history("fraud") == moved[:3]
        assert registry.rollback("fraud", by="ann").to_version == "2"

    def test_what_is_refused_is_not_in_the_history(self, registry: Registry) -> None:
        add(registry)
        with pytest.raises(VersionNotFound):
            registry.promote("fraud", "2", by="ann")
        with pytest.raises(NameInvalid):
            registry.promote("fraud", "1", "latest", by="ann")
        assert registry.history("fraud") == []

    def test_a_version_deleted_meanwhile_is_noticed_in_the_transaction(self, registry: Registry) -> None:
        add(registry, count=2)
        registry.delete("fraud", "2")
        with pytest.raises(VersionNotFound):
            move(registry, "promote", "2")
        with pytest.raises(AliasNotFound):
            move(registry, "remove", None)
        assert registry.history("fraud") == []

    def test_a_move_by_another_in_the_same_moment_is_noticed(self, registry: Registry) -> None:
        add(registry, count=3)
        for seen in ("1", "2"):
            with pytest.raises(AliasMoved, match="now names nothing"):
                move(registry, "promote", "2", seen)
        registry.promote("fraud", "2", by="ann")
        for stale in (None, "1"):
            with pytest.raises(AliasMoved, match="now names version 2"):
                move(registry, "rollback", "3", stale)
        assert [m.to_version for m in registry.history("fraud")] == ["2"]
        assert move(registry, "promote", "3", "2").from_version == "2"

    def test_promoters_at_once_make_one_chain_of_moves(self, registry: Registry) -> None:
        add(registry, count=4)

        def promoter(version: str) -> Callable[[], None]:
            def work() -> None:
                for _ in range(5):
                    registry.promote("fraud", version, by=version)

            return work

        at_once(*map(promoter, "1234"))
        moves = registry.history("fraud")
        assert {m.to_version for m in moves} == set("1234")
        assert all(m.from_version != m.to_version for m in moves)
        assert [m.from_version for m in moves] == [None, *(m.to_version for m in moves[:-1])]
        assert registry.resolve("fraud").version == moves[-1].to_version

    @pytest.mark.decided_here
    def test_a_promoter_that_others_are_ahead_of_again_and_again_has_its_turn(self, registry: Registry) -> None:
        add(registry, count=2)
        ask, others = registry.model, iter("12" * 15)

        def model(name: str) -> RegisteredModel:
            found = ask(name)
            if (version := next(others, None)) is not None:
                move(registry, "promote", version, found.aliases.get("production"))
            return found

        registry.model = model  # type: ignore[method-assign]
        registry.promote("fraud", "1", by="zoe")
        assert [move.by for move in registry.history("fraud")] == [*["ann"] * 30, "zoe"]

    @pytest.mark.decided_here
    def test_promoters_at_once_cannot_slip_past_the_comparison(self, registry: Registry) -> None:
        """What breaks callers of version 2, though not of 1, is refused also where 2 arrives in between."""
        registry.register("fraud", NewVersion("x", signature=columns("a", "b")))
        registry.register("fraud", NewVersion("x", signature=columns("a")))
        registry.register("fraud", NewVersion("x", signature=columns("a", "b")))
        registry.promote("fraud", "1", by="ann")
        compare = registry._check_compatible

        def meanwhile(old: ModelVersion, new: ModelVersion) -> None:
            compare(old, new)
            if registry.resolve("fraud").version == "1":
                move(registry, "promote", "2")

        registry._check_compatible = meanwhile  # type: ignore[method-assign]
        with pytest.raises(SignatureIncompatible, match="callers of version 2"):
            registry.promote("fraud", "3", by="ben")
        assert registry.resolve("fraud").version == "2"

    def test_promoting_survives_others_who_remove_the_alias(self, registry: Registry) -> None:
        add(registry, count=2)
        registry.promote("fraud", "1", by="ann")

        def promote() -> None:
            for _ in range(10):
                registry.promote("fraud", "2", by="ben")

        def remove() -> None:
            for _ in range(10):
                with suppress(AliasNotFound):
                    registry.remove_alias("fraud", "production", by="cat")

        at_once(promote, remove)
        moves = registry.history("fraud")
        assert [m.from_version for m in moves] == [None, *(m.to_version for m in moves[:-1])]

    def test_a_version_that_breaks_callers_is_refused_unless_allowed(self, registry: Registry) -> None:
        registry.register("fraud", NewVersion("x", signature=columns("a")))
        registry.register("fraud", NewVersion("x", signature=columns("a", "b")))
        registry.promote("fraud", "1", by="ann")

        with pytest.raises(SignatureIncompatible, match="would break callers of version 1"):
            registry.promote("fraud", "2", by="ann")
        assert registry.resolve("fraud").version == "1"
        registry.promote("fraud", "2", by="ann", allow_breaking=True)
        assert registry.resolve("fraud").version == "2"

    def test_going_back_is_never_refused(self, registry: Registry) -> None:
        registry.register("fraud", NewVersion("x", signature=columns("a", "b")))
        registry.register("fraud", NewVersion("x", signature=columns("a")))
        registry.promote("fraud", "1", by="ann")
        registry.promote("fraud", "2", by="ann", allow_breaking=True)
        registry.promote("fraud", "1", by="ann")
        registry.promote("fraud", "2", by="ann")
        registry.rollback("fraud", by="ann")
        assert registry.resolve("fraud").version == "1"

    def test_rolling_back_goes_back_step_by_step(self, registry: Registry) -> None:
        add(registry, count=3)
        for version in "123":
            registry.promote("fraud", version, by="ann")

        back = registry.rollback("fraud", by="ben", reason="alerts")

        assert (back.kind, back.from_version, back.to_version, back.reason) == ("rollback", "3", "2", "alerts")
        assert registry.rollback("fraud", by="ben").to_version == "1"
        with pytest.raises(NothingToRollBack):
            registry.rollback("fraud", by="ben")
        assert registry.resolve("fraud").version == "1"

    def test_an_absent_alias_is_neither_rolled_back_nor_removed(self, registry: Registry) -> None:
        add(registry)
        with pytest.raises(AliasNotFound):
            registry.rollback("fraud", by="ann")
        with pytest.raises(AliasNotFound):
            registry.remove_alias("fraud", "production", by="ann")
