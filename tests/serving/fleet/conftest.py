"""The fleet that most tests here begin with."""

from __future__ import annotations

from typing import Any

import pytest

from serving.fleet.fleet_world import World


@pytest.fixture
async def world() -> Any:
    made = World()
    yield made
    made.fleet.close()
