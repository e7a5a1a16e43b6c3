"""Waiting for aliases: answered as soon as one moves, whoever moves it, and by nothing else."""

from __future__ import annotations

import asyncio
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from hub.conftest import HubCalls, hub_over, until
from penstock.errors import RegistryUnavailable
from penstock.hub.registry import alias_watch
from penstock.hub.registry.alias_watch import AliasWatch
from penstock.registry import NewVersion, Registry, open_registry

STATE = "/api/penstock/v1/registry/aliases/state"


@pytest.fixture
def moves(hub: HubCalls) -> Registry:
    registry = hub.opened.registry
    for _ in range(2):
        registry.register("fraud", NewVersion("x"))
    registry.promote("fraud", "1", by="ann")
    return registry


async def state(hub: HubCalls, **query: Any) -> str:
    answer = await hub.get(STATE, **query)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["state"])


async def test_a_move_answers_those_who_wait_and_nothing_else_does(
    hub: HubCalls, moves: Registry, tmp_path: Path
) -> None:
    known = await state(hub)
    waiting = [asyncio.create_task(state(hub, after=known)) for _ in range(5)]
    moves.set_tag("fraud", "a", "1")
    await hub.made_run()
    moves.register("fraud", NewVersion("x"))
    assert await state(hub, after=known, seconds=0.2) == known
    assert not any(each.done() for each in waiting)
    with closing(open_registry(str(tmp_path / "store"))) as elsewhere:
        elsewhere.promote("fraud", "2", by="ben")
    async with asyncio.timeout(5):
        found = set(await asyncio.gather(*waiting))
    assert found == {await state(hub)} != {known}


@pytest.mark.parametrize("change", ["rename", "remove_alias", "delete"])
async def test_whatever_changes_what_an_alias_names_is_a_move(hub: HubCalls, moves: Registry, change: str) -> None:
    known = await state(hub)
    waiting = asyncio.create_task(state(hub, after=known))
    await asyncio.sleep(0)
    match change:
        case "rename":
            moves.rename("fraud", "theft")
        case "remove_alias":
            moves.remove_alias("fraud", "production", by="ann")
        case _:
            moves.delete("fraud", with_aliases=True)
    async with asyncio.timeout(5):
        assert await waiting != known


async def test_who_knows_an_old_state_is_answered_at_once(hub: HubCalls, moves: Registry) -> None:
    async with asyncio.timeout(5):
        assert await state(hub, after="an old one") == await state(hub)


async def test_a_hub_that_drains_keeps_nobody_waiting(tmp_path: Path) -> None:
    async with hub_over(str(tmp_path / "store"), tmp_path / "artifacts") as hub:
        known = await state(hub)
        waiting = asyncio.create_task(state(hub, after=known))
        context = hub.app._hub.context()
        await until(lambda: "1 waiting" in repr(context.aliases))
        hub.app._hub.drain()
        async with asyncio.timeout(5):
            assert await waiting == known
        refused = await hub.get(STATE, after=known)  # or it would be asked again and again
        assert (refused.status_code, refused.json()["penstock"]["code"]) == (503, "registry_unavailable")


async def test_more_than_so_many_do_not_wait(hub: HubCalls, moves: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alias_watch, "MAX_WAITING", 1)
    known = await state(hub)
    waiting = asyncio.create_task(state(hub, after=known))
    await until(lambda: "1 waiting" in repr(hub.app._hub.context().aliases))
    refused = await hub.get(STATE, after=known)
    assert (refused.status_code, refused.json()["penstock"]["code"]) == (503, "registry_unavailable")
    moves.promote("fraud", "2", by="ben")
    async with asyncio.timeout(5):
        assert await waiting != known


async def test_nobody_waits_longer_than_a_gateway_may_ask(hub: HubCalls) -> None:
    refused = await hub.get(STATE, after="x", seconds=26)
    assert (refused.status_code, refused.json()["penstock"]["field"]) == (400, "seconds")


async def test_a_store_that_is_away_is_told_to_those_who_wait(hub: HubCalls, moves: Registry) -> None:
    class Away:
        def wait_for_change(self, after: int, timeout: float) -> int:
            raise RegistryUnavailable("It is away.")

    watch = AliasWatch(Away(), moves)  # type: ignore[arg-type]
    with pytest.raises(RegistryUnavailable, match="away"):
        await watch.wait("x", 5.0)
    await watch.close()


async def test_other_changes_are_looked_at_no_more_than_twenty_times_a_second(moves: Registry) -> None:
    """However many there are: a run that is logged to changes the store a thousand times a second."""
    looks: list[float] = []

    class Busy:
        def wait_for_change(self, after: int, timeout: float) -> int:
            looks.append(asyncio_time())
            return after + 1

    asyncio_time = asyncio.get_running_loop().time
    watch = AliasWatch(Busy(), moves)  # type: ignore[arg-type]
    known = await watch.wait("", 5.0)
    assert await watch.wait(known, 0.2) == known
    await watch.close()
    assert all(later - sooner >= alias_watch._LEAST_PAUSE for sooner, later in pairwise(looks))
    assert len(looks) > 1
