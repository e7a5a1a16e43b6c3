"""Records what MLflow's own server answers: python tests/hub/recorded/record.py [GROUP…], after make mlflow-env."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).parents[2]))

from hub.recorded.groups import ALONE, GROUPS
from hub.recorded.player import Asked, play

ANSWERS = Path(__file__).parent / "answers"


def answers_file(group: str) -> Path:
    return ANSWERS / f"{group}.json"


async def ask_over_http(url: str, requests: list[Asked]) -> list[dict[str, Any]]:
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:

        async def ask(method: str, path: str, query: Any, body: bytes | None, kind: str) -> tuple[int, str]:
            headers = {"content-type": kind} if body is not None and kind else {}
            answer = await client.request(method, path, params=query, content=body, headers=headers)
            return answer.status_code, answer.text

        return await play(requests, ask)


def record(group: str, url: str) -> None:
    played = asyncio.run(ask_over_http(url, GROUPS[group]()))
    lines = ",\n".join(json.dumps(list(each.values()), ensure_ascii=False, separators=(",", ":")) for each in played)
    ANSWERS.mkdir(exist_ok=True)
    answers_file(group).write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def main() -> None:
    from services.mlflow_servers import running

    asked = sys.argv[1:] or list(GROUPS)
    servers = [[group] for group in asked if group in ALONE] + [[group for group in asked if group not in ALONE]]
    for groups in filter(None, servers):
        with tempfile.TemporaryDirectory() as place:
            options = ("--serve-artifacts", "--artifacts-destination", f"{place}/artifacts")
            with running(Path(place), *options) as server:
                for group in groups:
                    record(group, server.url)


if __name__ == "__main__":
    main()
