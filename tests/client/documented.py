"""The gateway that docs/clients.md speaks to, and the blocks of that page."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from penstock import testing
from penstock.signature import Signature

PAGE = Path(__file__).parents[2] / "docs" / "clients.md"
DOCUMENTED_URL = "http://localhost:8080"

FRAUD = testing.FakeModel(
    lambda data, params: [int(amount > 100.0) for amount in data["amount"]],
    Signature.from_mlflow({"inputs": [{"name": "amount", "type": "double"}, {"name": "age", "type": "double"}]}),
)


@contextmanager
def serving_fraud() -> Iterator[str]:
    """The URL of a gateway of this process that serves `fraud`, and listens."""
    with testing.client(fakes={"fraud": FRAUD}) as gateway, socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(gateway.app, interface="asgi3", lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        serving = asyncio.run_coroutine_threadsafe(server.serve([listening]), gateway._loop)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        serving.result(30)


def blocks(language: str, url: str) -> list[str]:
    """The page's blocks in one language, with this URL for the documented one."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [block.replace(DOCUMENTED_URL, url) for block in found]
