"""An embedded store, to which a test logs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from penstock import tracking
from penstock.fluent import session as sessions


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PENSTOCK_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setenv("PENSTOCK_TRACKING_URI", str(tmp_path / "store"))
    monkeypatch.setattr(sessions, "_session", sessions.Session())
    yield tmp_path / "store"
    while tracking.active_run() is not None:
        tracking.end_run()
    sessions.current_session().close()


@pytest.fixture
def quiet_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing them takes most of the time, and what is in them is scikit-learn's affair."""
    monkeypatch.setattr(Figure, "savefig", lambda figure, place, **_: Path(place).write_bytes(b"drawn"))
