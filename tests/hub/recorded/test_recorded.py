"""What MLflow's own server answered to two thousand requests, and what the hub answers. Every difference has a name,
and the names are in docs/hub.md.

Recorded with MLflow 3.18.0 over SQLite: see record.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hub.conftest import HubCalls
from hub.recorded.differences import difference
from hub.recorded.groups import GROUPS
from hub.recorded.player import play
from hub.recorded.record import answers_file

PAGE = Path(__file__).parents[3] / "docs" / "hub.md"


@pytest.mark.parametrize("group", GROUPS)
async def test_the_hub_answers_as_mlflow_does(hub: HubCalls, group: str) -> None:
    async def ask(method: str, path: str, query: Any, body: bytes | None, kind: str) -> tuple[int, str]:
        headers = {"content-type": kind} if body is not None and kind else {}
        answer = await hub.client.request(method, path, params=query, content=body, headers=headers)
        return answer.status_code, answer.text

    requests = GROUPS[group]()
    recorded = json.loads(answers_file(group).read_text(encoding="utf-8"))
    played = await play(requests, ask)
    assert [each["asked"] for each in played] == [asked for asked, _, _ in recorded]
    unnamed, named = [], set()
    for request, ours, (asked, *theirs) in zip(requests, played, recorded, strict=True):
        answer = [ours["status"], json.loads(json.dumps(ours["answer"]))]
        if answer != theirs:
            name = difference(request, answer, theirs)
            named.add(name)
            if not name:
                unnamed.append(f"{asked}\n  hub    {json.dumps(answer)}\n  MLflow {json.dumps(theirs)}")
    assert not unnamed, "\n".join(unnamed)
    told = " ".join(PAGE.read_text(encoding="utf-8").split())
    assert not [name for name in named if name not in told]
