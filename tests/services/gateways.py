"""A gateway of one model as a process, for the tests that put something in front of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server.conftest import ServerProcess

TOKEN = "s3cret"
ROWS = '{"inputs": [[1.0, 2.0, 3.0]]}'


@contextmanager
def gateway(place: Path, *arguments: str) -> Iterator[ServerProcess]:
    """`penstock serve ARGUMENTS` with a token, until the end of the block."""
    own = {**({"PENSTOCK_API_TOKEN": TOKEN} if TOKEN else {}), "PENSTOCK_CACHE": str(place / "cache")}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    server = ServerProcess([*arguments, "--port", "0"], {**environment, **own}, place)
    try:
        yield server.wait_ready()
    finally:
        server.stop()
