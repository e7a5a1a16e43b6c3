"""MLflow as a real server answered for it: `fraud` with versions 1 to 3, `elsewhere` in S3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.artifacts import PackageCache
from penstock.mlflow_api.client import CallTimeouts, MlflowRestClient
from penstock.registry.mlflow.store import MlflowRegistry
from registry.replay import Replay


@pytest.fixture
def replay() -> Iterator[Replay]:
    server = Replay()
    yield server
    server.close()


@pytest.fixture
def registry(replay: Replay, tmp_path: Path) -> Iterator[MlflowRegistry]:
    opened = MlflowRegistry(
        MlflowRestClient(replay.url, timeouts=CallTimeouts(retries=0)), PackageCache(tmp_path / "cache")
    )
    yield opened
    opened.close()


def saying(content: Any, status: int = 200) -> Any:
    return lambda handler: handler.say(status, content)
