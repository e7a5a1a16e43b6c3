"""The policy: roles, open actions, and principals of some models alone."""

from __future__ import annotations

from typing import get_args

import pytest

from penstock.access.policy import ACTIONS_OF, OPEN_ACTIONS, Action, allowed
from penstock.access.principal import ANONYMOUS, OPERATOR, Principal, Role

ACTIONS: tuple[Action, ...] = get_args(Action)


@pytest.mark.parametrize("action", ACTIONS)
def test_strangers_may_do_what_is_open_and_nothing_else(action: Action) -> None:
    assert allowed(ANONYMOUS, action) == (action in OPEN_ACTIONS)
    assert allowed(OPERATOR, action)


@pytest.mark.parametrize("role", get_args(Role))
@pytest.mark.parametrize("action", ACTIONS)
def test_a_role_allows_its_own_actions(role: Role, action: Action) -> None:
    caller = Principal("caller", frozenset({role}))
    assert allowed(caller, action, "m") == (action in ACTIONS_OF[role] | OPEN_ACTIONS)


def test_predictions_and_metrics_are_apart() -> None:
    assert not allowed(Principal("p", frozenset({"predict"})), "metrics")
    assert not allowed(Principal("m", frozenset({"metrics"})), "predict", "m")
    assert allowed(Principal("both", frozenset({"metrics", "predict"})), "predict", "m")


def test_a_principal_of_some_models_reaches_no_other() -> None:
    caller = Principal("caller", frozenset({"predict"}), frozenset({"fraud"}))
    assert allowed(caller, "predict", "fraud")
    assert not allowed(caller, "predict", "churn")
    assert not allowed(caller, "predict", None), "the default model may be any"
    assert not allowed(caller, "models:read", None)
    assert allowed(caller, "probe")
