"""The follower that most tests here begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from serving.swap.follower_world import World


@pytest.fixture
async def world(identity_onnx_package: Path) -> Any:
    made = World(identity_onnx_package)
    yield made
    for event in made.held.values():
        event.set()
    await made.follower._abandon_load()
    await made.served.close()
