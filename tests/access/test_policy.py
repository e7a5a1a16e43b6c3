"""The policy: roles, what is open, and principals of some models alone."""

from __future__ import annotations

from typing import get_args

import pytest

from penstock.access.policy import (
    GATEWAY_POLICY,
    GATEWAY_ROLES,
    HUB_POLICY,
    HUB_ROLES,
    GatewayNeeds,
    GatewayRole,
    HubNeeds,
    HubRole,
)
from penstock.access.principal import ANYBODY, OPERATOR, STRANGER, Principal

GATEWAY_NEEDS: tuple[GatewayNeeds, ...] = get_args(GatewayNeeds)
HUB_NEEDS: tuple[HubNeeds, ...] = get_args(HubNeeds)


@pytest.mark.parametrize("needs", GATEWAY_NEEDS)
def test_strangers_may_do_what_is_open_and_operators_everything(needs: GatewayNeeds) -> None:
    assert GATEWAY_POLICY.allows(STRANGER, needs) == (needs == "nothing")
    assert GATEWAY_POLICY.allows(OPERATOR, needs)
    assert GATEWAY_POLICY.allows(ANYBODY, needs)


@pytest.mark.parametrize("role", GATEWAY_ROLES)
@pytest.mark.parametrize("needs", GATEWAY_NEEDS)
def test_a_role_of_a_gateway_allows_its_own_and_admin_all(role: GatewayRole, needs: GatewayNeeds) -> None:
    caller = Principal("caller", frozenset({role}))
    enough = needs in ("nothing", "token", role) or role == "admin"
    assert GATEWAY_POLICY.allows(caller, needs, "m") == enough


@pytest.mark.parametrize("role", HUB_ROLES)
@pytest.mark.parametrize("needs", HUB_NEEDS)
def test_a_role_of_a_hub_allows_what_the_one_before_it_does(role: HubRole, needs: HubNeeds) -> None:
    enough = needs == "nothing" or HUB_ROLES.index(role) >= HUB_ROLES.index(needs)
    assert HUB_POLICY.allows(Principal("caller", frozenset({role})), needs) == enough
    assert HUB_POLICY.allows(STRANGER, needs) == (needs == "nothing")


def test_several_roles_add_up() -> None:
    both = Principal("both", frozenset({"metrics", "predict"}))
    assert GATEWAY_POLICY.allows(both, "predict", "m")
    assert GATEWAY_POLICY.allows(both, "metrics")
    assert not GATEWAY_POLICY.allows(both, "admin")


def test_a_principal_of_some_models_reaches_no_other() -> None:
    caller = Principal("caller", frozenset({"predict"}), frozenset({"fraud"}))
    assert GATEWAY_POLICY.allows(caller, "predict", "fraud")
    assert not GATEWAY_POLICY.allows(caller, "predict", "churn")
    assert not GATEWAY_POLICY.allows(caller, "predict", None), "the default model may be any, and the list has all"
    assert GATEWAY_POLICY.allows(caller, "nothing")
    assert GATEWAY_POLICY.allows(caller, "token"), "the version of the server is about no model"
