"""The application in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.asgi import Bench


@pytest.fixture
async def bench(identity_onnx_package: Path) -> AsyncIterator[Bench]:
    """Nothing is served yet."""
    made = Bench(identity_onnx_package)
    yield made
    await made.close()
