"""Where a roll-back goes, found from the history alone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import NothingToRollBack
from penstock.registry import AliasMove, MoveKind, NewVersion, open_registry, rollback_target

EVERY = {"1", "2", "3", "4"}


def moves(text: str) -> list[AliasMove]:
    """`1 2 <1 x` is: promote 1, promote 2, roll back to 1, remove."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    found = []
    current: str | None = None
    for word in text.split():
        kind: MoveKind = "rollback" if word.startswith("<") else "remove" if word == "x" else "promote"
        to = None if kind == "remove" else word.lstrip("<")
        found.append(AliasMove("m", "production", kind, current, to, at, "ann"))
        current = to
    return found


@pytest.mark.parametrize(
    ("history", "existing", "target"),
    [
        ("", EVERY, None),
        ("1", EVERY, None),
        ("1 1", EVERY, None),
        ("1 2", EVERY, "1"),
        ("1 2 3", EVERY, "2"),
        ("1 2 2", EVERY, "1"),
        ("1 2 3 <2", EVERY, "1"),
        ("1 2 3 <2 <1", EVERY, None),
        ("1 2 <1 3", EVERY, "1"),
        ("1 2 1", EVERY, "2"),
        ("1 2 1 <2", EVERY, "1"),
        ("1 2 3", {"1", "3"}, "1"),
        ("1 2 1", {"1"}, None),
        ("1 2 1 3", {"1", "3"}, "1"),
        ("1 2 x 3", EVERY, "2"),
        ("1 2 x 2", EVERY, "1"),
    ],
)
def test_rolling_back_has_the_target_that_the_history_says(
    history: str, existing: set[str], target: str | None
) -> None:
    assert rollback_target(moves(history), existing) == target


class Stack:
    """The simplest thing that could be meant: versions put one upon the other; rolling back takes from the top."""

    def __init__(self) -> None:
        self.held: list[str] = []

    def promote(self, version: str) -> None:
        if self.held[-1:] != [version]:
            self.held.append(version)

    def rollback(self, existing: set[str]) -> str | None:
        for depth in range(len(self.held) - 1, 0, -1):
            below = self.held[depth - 1]
            if below in existing and below != self.held[-1]:
                del self.held[depth:]
                return below
        return None


steps = st.lists(
    st.one_of(
        st.tuples(st.just("promote"), st.sampled_from(sorted(EVERY))),
        st.tuples(st.just("delete"), st.sampled_from(sorted(EVERY))),
        st.tuples(st.just("rollback"), st.just("")),
    ),
    max_size=25,
)


@given(steps)
def test_any_sequence_of_moves_behaves_as_a_stack(taken: list[tuple[str, str]]) -> None:
    registry = open_registry("memory:", artifacts="/nowhere")
    for _ in EVERY:
        registry.register("m", NewVersion("x"))
    stack, existing = Stack(), set(EVERY)

    for kind, version in taken:
        if kind == "promote" and version in existing:
            registry.promote("m", version, by="ann")
            stack.promote(version)
        elif kind == "delete" and version in existing and stack.held[-1:] != [version]:
            registry.delete("m", version)
            existing.discard(version)
        elif kind == "rollback" and stack.held:
            expected = stack.rollback(existing)
            if expected is None:
                with pytest.raises(NothingToRollBack):
                    registry.rollback("m", by="ann")
            else:
                assert registry.rollback("m", by="ann").to_version == expected
        if stack.held:
            assert registry.resolve("m").version == stack.held[-1]
            assert len(registry.history("m")) >= 1
