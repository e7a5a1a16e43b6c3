"""Records what MLflow's own server answers to `registry_requests`: python tests/hub/record_registry.py URL, with a
server that has nothing in its registry."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).parent.parent))

from hub.registry_requests import play

FILE = Path(__file__).parent / "registry_answers.json"


async def record(url: str) -> None:
    async with httpx.AsyncClient(base_url=f"{url}/api/2.0/mlflow/", timeout=60) as client:

        async def ask(method: str, path: str, query: Any, content: Any) -> tuple[int, str]:
            answer = await client.request(method, path, params=query, json=content)
            return answer.status_code, answer.text

        played = await play(ask)
    lines = ",\n".join(json.dumps(each, ensure_ascii=False) for each in played)
    FILE.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1]))
