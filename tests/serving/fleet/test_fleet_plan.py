"""What a worker is told: a plan and what it holds in, an order out; and that orders always lead to the plan."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.serving.fleet.fleet_plan import (
    FleetPlan,
    PlannedVersion,
    WorkerVersions,
    after,
    caught_up,
    may_try,
    next_order,
)
from penstock.serving.fleet.messages import Order, PrepareVersion, SetVersions


def v(number: int | str) -> PlannedVersion:
    return PlannedVersion(str(number), f"/packages/{number}", "d" * 64)


def held(*proven: int, loading: int | None = None, served: tuple[Any, Any] = (None, None)) -> WorkerVersions:
    text = tuple(None if n is None else str(n) for n in served)
    return WorkerVersions(frozenset(map(str, proven)), None if loading is None else str(loading), text)  # type: ignore[arg-type]


def prepare(number: int) -> PrepareVersion:
    return PrepareVersion("m", str(number), f"/packages/{number}", "d" * 64)


def set_versions(current: str | None, previous: str | None, candidate: str | None) -> SetVersions:
    return SetVersions("m", current, previous, candidate)


ONE = FleetPlan(v(1))
BOTH = FleetPlan(v(2), v(1))
NEXT = FleetPlan(v(2), v(1), v(3))


@pytest.mark.parametrize(
    ("plan", "holds", "order"),
    [
        # Nothing is planned, nothing is to do.
        (FleetPlan(), held(), None),
        # A first version: loaded, proven, and told to answer once it is current.
        (FleetPlan(candidate=v(1)), held(), prepare(1)),
        (FleetPlan(candidate=v(1)), held(loading=1), None),
        (FleetPlan(candidate=v(1)), held(1), None),
        (ONE, held(1), set_versions("1", None, None)),
        (ONE, held(1, served=(1, None)), None),
        # A worker that starts anew: the answering version first, then the warm one, and only then does it answer.
        (BOTH, held(), prepare(2)),
        (BOTH, held(loading=2), None),
        (BOTH, held(2), prepare(1)),
        (BOTH, held(2, loading=1), None),
        (BOTH, held(2, 1), set_versions("2", "1", None)),
        (NEXT, held(2, 1), set_versions("2", "1", "3")),
        (NEXT, held(2, 1, served=(2, 1)), prepare(3)),
        # A swap goes out at once, whatever is being loaded.
        (FleetPlan(v(3), v(2)), held(1, 2, 3, served=(2, 1)), set_versions("3", "2", None)),
        (FleetPlan(v(1), v(2), v(3)), held(1, 2, loading=3, served=(2, 1)), set_versions("1", "2", "3")),
        # Keeping warm ends.
        (FleetPlan(v(2)), held(1, 2, served=(2, 1)), set_versions("2", None, None)),
        # A candidate that is given up: dropped where it is loaded, awaited where it is on its way.
        (BOTH, held(1, 2, 3, served=(2, 1)), set_versions("2", "1", None)),
        (BOTH, held(1, 2, loading=3, served=(2, 1)), None),
        (FleetPlan(), held(1), set_versions(None, None, None)),
        # A newer candidate waits for the load of the older one to end.
        (FleetPlan(v(2), v(1), v(4)), held(1, 2, loading=3, served=(2, 1)), None),
        (FleetPlan(v(2), v(1), v(4)), held(1, 2, 3, served=(2, 1)), set_versions("2", "1", "4")),
        (FleetPlan(v(2), v(1), v(4)), held(1, 2, served=(2, 1)), prepare(4)),
    ],
)
def test_a_plan_and_what_a_worker_holds_give_one_order(
    plan: FleetPlan, holds: WorkerVersions, order: Order | None
) -> None:
    assert next_order("m", plan, holds, may_try=True) == order


def test_only_a_candidate_waits_for_its_turn() -> None:
    assert next_order("m", NEXT, held(1, 2, served=(2, 1)), may_try=False) is None
    assert next_order("m", NEXT, held(), may_try=False) == prepare(2)
    assert next_order("m", NEXT, held(2), may_try=False) == prepare(1)


@pytest.mark.parametrize(
    ("plan", "holds", "yes"),
    [
        (FleetPlan(), held(), True),
        (ONE, held(), False),
        (ONE, held(1), False),
        (ONE, held(1, served=(1, None)), True),
        (BOTH, held(2, served=(2, None)), False),
        (NEXT, held(1, 2, served=(2, 1)), False),  # it could be told to answer with 3 the next moment
        (NEXT, held(1, 2, 3, served=(2, 1)), True),
    ],
)
def test_a_worker_answers_only_with_what_is_planned(plan: FleetPlan, holds: WorkerVersions, yes: bool) -> None:
    assert caught_up(plan, holds) is yes


VERSIONS = st.sampled_from([None, *"1234"])


@st.composite
def plans(draw: st.DrawFn) -> FleetPlan:
    numbers = draw(st.lists(st.sampled_from("12345"), max_size=3, unique=True))
    made = [v(n) for n in numbers] + [None] * (3 - len(numbers))
    return FleetPlan(made[0], made[1], made[2]) if made[0] else FleetPlan(candidate=made[2])


@given(plans(), plans(), st.frozensets(st.sampled_from("12345")), VERSIONS, st.booleans())
def test_orders_lead_to_the_plan_and_end(
    before: FleetPlan, plan: FleetPlan, proven: frozenset[str], loading: str | None, warm: bool
) -> None:
    """From whatever a worker holds, orders that succeed lead to exactly what is planned, and then there are none."""
    now = WorkerVersions(proven - {loading}, loading, before.served if warm else (None, None))
    for _ in range(12):
        if (order := next_order("m", plan, now, may_try=True)) is not None:
            if isinstance(order, SetVersions):  # it can be done: all that is named is there
                assert {order.current, order.previous} - {None} <= now.proven
            now = after(plan, now, order)
        elif now.loading is not None:
            now = replace(now, proven=now.proven | {now.loading}, loading=None)
        else:
            break
    else:
        raise AssertionError("orders without end")
    assert caught_up(plan, now)
    assert now.proven == plan.wanted


@pytest.mark.parametrize(
    ("plan", "holds", "may"),
    [
        (FleetPlan(candidate=v(1)), [held(loading=1), held()], True),  # nothing answers that could be harmed
        (ONE, [held(1), held(1)], True),  # nothing to try
        (NEXT, [held(1, 2), held(1, 2)], True),
        (NEXT, [], True),
        (NEXT, [held(1, 2, loading=3), held(1, 2)], False),
        (NEXT, [held(1, loading=2), held(1, 2)], True),
        (NEXT, [held(1, 2, 3), held(1, 2, loading=3), held(1, 2)], True),  # one has proven it
    ],
)
def test_while_a_version_answers_one_worker_tries_the_next_one_first(
    plan: FleetPlan, holds: list[WorkerVersions], may: bool
) -> None:
    assert may_try(plan, iter(holds)) is may
