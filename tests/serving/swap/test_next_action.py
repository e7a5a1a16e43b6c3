"""What a follower does next: a snapshot in, an action out."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from penstock.serving.swap.next_action import (
    Action,
    FailedLoad,
    Load,
    RetirePrevious,
    Revert,
    Snapshot,
    Wait,
    next_action,
)


def snapshot(**given: Any) -> Snapshot:
    """At second 100, with nothing going on but what is given."""
    nothing: dict[str, Any] = {
        "wanted": None, "current": None, "previous": None, "loading": None, "failure": None,
        "previous_until": 0.0, "now": 100.0,
    }  # fmt: skip
    return Snapshot(**{**nothing, **given})


@pytest.mark.parametrize(
    ("given", "action"),
    [
        ({}, Wait()),
        ({"wanted": "1"}, Load("1")),
        ({"wanted": "1", "loading": "1"}, Wait()),
        ({"wanted": "1", "current": "1"}, Wait()),
        ({"wanted": "2", "current": "1"}, Load("2")),
        ({"wanted": "2", "current": "1", "loading": "2"}, Wait()),
        # A newer move while an older one loads: the end of that load is awaited.
        ({"wanted": "3", "current": "1", "loading": "2"}, Wait()),
        ({"wanted": "1", "current": "1", "loading": "2"}, Wait()),
        # The registry says nothing: nothing changes, but what was kept warm still goes in time.
        ({"wanted": None, "current": "1"}, Wait()),
        ({"wanted": None, "current": "2", "previous": "1", "previous_until": 100.0}, RetirePrevious()),
        # What is kept warm answers at once, whatever else goes on.
        ({"wanted": "1", "current": "2", "previous": "1", "previous_until": 200.0}, Revert()),
        ({"wanted": "1", "current": "2", "previous": "1", "previous_until": 50.0}, Revert()),
        ({"wanted": "1", "current": "2", "previous": "1", "loading": "3", "previous_until": 200.0}, Revert()),
        ({"wanted": "1", "current": "2", "previous": "1", "failure": FailedLoad("1", 9, 999.0)}, Revert()),
        # Keeping warm ends.
        ({"wanted": "2", "current": "2", "previous": "1", "previous_until": 100.1}, Wait(100.1)),
        ({"wanted": "2", "current": "2", "previous": "1", "previous_until": 100.0}, RetirePrevious()),
        ({"wanted": "3", "current": "2", "previous": "1", "previous_until": 99.0}, RetirePrevious()),
        ({"wanted": "3", "current": "2", "previous": "1", "previous_until": 99.0, "loading": "3"}, RetirePrevious()),
        ({"wanted": "3", "current": "2", "previous": "1", "previous_until": 130.0, "loading": "3"}, Wait(130.0)),
        ({"wanted": "3", "current": "2", "previous": "1", "previous_until": 130.0}, Load("3")),
        # Failures: the same version waits its time, another one does not.
        ({"wanted": "2", "current": "1", "failure": FailedLoad("2", 1, 101.0)}, Wait(101.0)),
        ({"wanted": "2", "current": "1", "failure": FailedLoad("2", 1, 100.0)}, Load("2")),
        ({"wanted": "3", "current": "1", "failure": FailedLoad("2", 1, 101.0)}, Load("3")),
        ({"wanted": "1", "current": "1", "failure": FailedLoad("2", 1, 101.0)}, Wait()),
        (
            {
                "wanted": "3", "current": "2", "previous": "1", "previous_until": 105.0,
                "failure": FailedLoad("3", 1, 109.0),
            },
            Wait(105.0),
        ),
    ],
)  # fmt: skip
def test_each_snapshot_has_one_next_action(given: dict[str, Any], action: Action) -> None:
    assert next_action(snapshot(**given)) == action


def test_every_state_settles_on_what_is_wanted() -> None:
    """From any state, actions that succeed at once lead to the wanted version with nothing left to do."""
    names = (None, "1", "2", "3")
    for wanted, current, previous, failed, until in itertools.product(names, names, names, names, (50.0, 150.0)):
        if (current is None and previous is not None) or (current is not None and current == previous):
            continue
        state: dict[str, Any] = {"wanted": wanted, "current": current, "previous": previous, "previous_until": until}
        state["failure"] = FailedLoad(failed, 1, 90.0) if failed else None
        for _ in range(5):
            match next_action(snapshot(**state)):
                case Load(version):
                    state.update(previous=state["current"], current=version, previous_until=150.0)
                case Revert():
                    state.update(previous=state["current"], current=state["previous"], previous_until=150.0)
                case RetirePrevious():
                    state["previous"] = None
                case Wait():
                    break
        else:
            raise AssertionError(f"it never settles: {state}")
        assert wanted is None or state["current"] == wanted
