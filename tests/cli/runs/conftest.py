"""A store with runs, and the command that reads it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.runs.filled_store import RunCommand, fill
from penstock.cli.runs.commands import runs as group
from penstock.errors import PenstockError
from penstock.fluent.settings import TrackingSettings
from penstock.fluent.transport.opening import open_transport


@pytest.fixture(scope="session")
def filled_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = str(tmp_path_factory.mktemp("runs") / "store")
    with closing(open_transport(TrackingSettings(place))) as transport:
        fill(transport)
    return place


@pytest.fixture
def run(filled_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunCommand:
    """The command, on the store unless --tracking is given. Raises what it raises."""
    for name in ("PENSTOCK_TRACKING_URI", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", filled_store)
    monkeypatch.chdir(tmp_path)

    def invoke(*words: str) -> Result:
        result = CliRunner().invoke(group, words)
        if isinstance(result.exception, PenstockError):
            raise result.exception
        return result

    return invoke
