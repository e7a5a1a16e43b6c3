"""Two hubs over one PostgreSQL: both write the same things at once, and each sees at once what the other wrote."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from hub.conftest import HubCalls, hub_over, until
from penstock.assembly.hub import HubOptions, migrate_store, open_stores, open_tokens
from penstock.errors import RegistryOutdated, TokenExists
from penstock.hub.access.gate import HubGate


@pytest.fixture
def gates() -> list[HubGate]:
    return [HubGate(asks_for_tokens=False), HubGate(asks_for_tokens=False)]


@pytest_asyncio.fixture
async def hubs(postgres_url: str, tmp_path: Path, gates: list[HubGate]) -> AsyncIterator[list[HubCalls]]:
    migrate_store(postgres_url)
    async with hub_over(postgres_url, tmp_path, gates[0]) as one, hub_over(postgres_url, tmp_path, gates[1]) as other:
        yield [one, other]


async def test_versions_of_one_model_have_a_number_each(hubs: list[HubCalls]) -> None:
    assert (await hubs[0].post("registered-models/create", name="fraud")).status_code == 200
    made = [hub.post("model-versions/create", name="fraud", source="s3://b/m") for hub in hubs * 6]
    numbers = [answer.json()["model_version"]["version"] for answer in await asyncio.gather(*made)]
    assert sorted(map(int, numbers)) == list(range(1, 13))
    for hub in hubs:
        latest = (await hub.get("registered-models/get", name="fraud")).json()["registered_model"]["latest_versions"]
        assert [each["version"] for each in latest] == ["12"]


async def test_of_those_who_take_one_name_one_gets_it_and_two_who_cross_get_none(hubs: list[HubCalls]) -> None:
    """Nobody is told to try again later: there is nothing to wait for."""
    for name in "abcd":
        await hubs[0].post("registered-models/create", name=name)

    async def renamed(*pairs: tuple[str, str]) -> list[int]:
        asked = [hubs[n % 2].post("registered-models/rename", name=a, new_name=b) for n, (a, b) in enumerate(pairs)]
        return sorted(answer.status_code for answer in await asyncio.gather(*asked))

    for _ in range(4):
        assert await renamed(("a", "b"), ("b", "a"), ("a", "b"), ("b", "a")) == [400] * 4
        assert await renamed(("c", "free"), ("d", "free")) == [200, 400]
        (taker,) = {"c", "d"} - {model.name for model in hubs[0].opened.registry.models()}
        assert await renamed(("free", taker)) == [200]


async def test_points_of_one_run_by_both_are_all_there_once(hubs: list[HubCalls]) -> None:
    """Long enough to be packed by both, and half of them sent to both."""
    run_id = await hubs[0].made_run()

    async def log(hub: HubCalls, first: int) -> None:
        for start in range(first, first + 600, 100):
            points = [{"key": "m", "value": n, "timestamp": n, "step": n} for n in range(start, start + 100)]
            tags = [{"key": "shared", "value": str(start)}, {"key": f"own{first}", "value": str(start)}]
            answer = await hub.post("runs/log-batch", run_id=run_id, metrics=points, tags=tags)
            assert answer.status_code == 200, answer.text
            await hub.post("runs/update", run_id=run_id, status="FINISHED")

    await asyncio.gather(*(log(hub, first) for hub in hubs for first in (0, 300)))
    for hub in hubs:
        told = (await hub.get("metrics/get-history", run_id=run_id, metric_key="m")).json()["metrics"]
        assert [point["step"] for point in told] == list(range(900))


async def test_what_one_writes_the_other_answers_next(hubs: list[HubCalls]) -> None:
    """Though both keep texts of runs."""
    run_id = await hubs[0].made_run()
    for number in range(10):
        writer, reader = hubs[number % 2], hubs[1 - number % 2]
        await writer.post("runs/set-tag", run_id=run_id, key="k", value=str(number))
        (run,) = (await reader.post("runs/search", experiment_ids=["0"])).json()["runs"]
        assert {"key": "k", "value": str(number)} in run["data"]["tags"]


async def test_one_experiment_of_a_name_is_made(hubs: list[HubCalls]) -> None:
    answers = await asyncio.gather(*(hub.post("experiments/create", name="trees") for hub in hubs * 4))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7
    assert {a.json()["error_code"] for a in answers if a.status_code == 400} == {"RESOURCE_ALREADY_EXISTS"}


async def test_a_token_that_is_revoked_lets_nobody_into_the_other_either(
    hubs: list[HubCalls], gates: list[HubGate]
) -> None:
    token = await asyncio.to_thread(hubs[0].tokens.add, "ann", "read")
    scope = {"type": "http", "headers": [(b"authorization", f"Bearer {token}".encode())]}

    def all_know(name: str) -> bool:
        return all(gate.asks_for_tokens and gate.identify(scope).name == name for gate in gates)

    await until(lambda: all_know("ann"))
    stranger = gates[0].identify({"type": "http", "headers": []}).name
    await asyncio.to_thread(hubs[1].tokens.revoke, "ann")
    await until(lambda: all_know(stranger))


async def test_of_two_who_add_a_token_of_one_name_one_is_told_that_it_is_taken(hubs: list[HubCalls]) -> None:
    made = (asyncio.to_thread(hub.tokens.add, "ann", "read") for hub in hubs * 4)
    added = await asyncio.gather(*made, return_exceptions=True)
    assert sorted(type(each) is str for each in added) == [False] * 7 + [True]
    assert {type(each) for each in added} == {str, TokenExists}


def test_tables_of_a_server_are_migrated_by_command_alone(postgres_url: str, tmp_path: Path) -> None:
    options = HubOptions(postgres_url, str(tmp_path))
    for opens in (lambda: open_stores(options), lambda: open_tokens(options.store)):
        with pytest.raises(RegistryOutdated, match="missing"):
            opens()
    assert "migrated from no tables" in migrate_store(postgres_url)
    assert "up to date" in migrate_store(postgres_url)
    opened = open_stores(options)
    opened.tracking.close()
    opened.registry.close()
