"""A clock that goes back, between every two requests: nothing that is ordered is ordered by it."""

from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime

import pytest

from hub.conftest import HubCalls


@pytest.fixture(autouse=True)
def backwards(monkeypatch: pytest.MonkeyPatch, hub: HubCalls) -> None:
    """An hour back with each look at the clock."""
    hours = itertools.count(1)
    began = time.time()

    def now() -> float:
        return began - 3600 * next(hours)

    monkeypatch.setattr(time, "time", now)
    monkeypatch.setattr(time, "time_ns", lambda: int(now() * 1e9))
    hub.opened.registry._clock = lambda: datetime.fromtimestamp(now(), UTC)


async def test_the_last_version_and_the_last_move_count(hub: HubCalls) -> None:
    await hub.post("registered-models/create", name="fraud")
    for number in ("1", "2", "3"):
        made = await hub.post("model-versions/create", name="fraud", source="s3://b/m")
        assert made.json()["model_version"]["version"] == number
        answer = await hub.post("registered-models/alias", name="fraud", alias="best", version=number)
        assert answer.status_code == 200
    model = (await hub.get("registered-models/get", name="fraud")).json()["registered_model"]
    assert model["aliases"] == [{"alias": "best", "version": "3"}]
    assert [each["version"] for each in model["latest_versions"]] == ["3"]
    assert [move.to_version for move in hub.opened.registry.history("fraud")] == ["1", "2", "3"]


async def test_the_last_state_of_a_run_is_answered(hub: HubCalls) -> None:
    run_id = await hub.made_run()
    for value in range(3):
        await hub.post("runs/set-tag", run_id=run_id, key="k", value=str(value))
        told = (await hub.get("runs/get", run_id=run_id)).json()["run"]["data"]["tags"]
        assert {"key": "k", "value": str(value)} in told
    for action in ("delete", "restore", "delete"):
        assert (await hub.post(f"runs/{action}", run_id=run_id)).status_code == 200
    told = (await hub.get("runs/get", run_id=run_id)).json()["run"]["info"]
    assert told["lifecycle_stage"] == "deleted"


@pytest.mark.parametrize("path", ["experiments/search", "registered-models/search"])
async def test_pages_have_each_once_though_more_are_made_meanwhile(hub: HubCalls, path: str) -> None:
    made = "experiments/create" if path.startswith("exp") else "registered-models/create"
    for number in range(6):
        await hub.post(made, name=f"e{number}")
    names: list[str] = []
    token = ""
    while True:
        query = {"max_results": 2, **({"page_token": token} if token else {})}
        answer = await (hub.post(path, **query) if path.startswith("exp") else hub.get(path, **query))
        found = answer.json()
        names += [each["name"] for each in found.get("experiments", found.get("registered_models", ()))]
        token = found.get("next_page_token", "")
        if not token:
            break
        await hub.post(made, name=f"later{len(names)}")
    assert len(names) == len(set(names))
    assert {f"e{number}" for number in range(6)} <= set(names)
