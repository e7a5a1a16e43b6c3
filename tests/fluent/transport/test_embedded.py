"""Without a server runs go to a store on this machine, which is the one that a hub serves."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from penstock import tracking
from penstock.errors import ConfigError, TrackingUnavailable
from penstock.fluent import session as sessions
from penstock.fluent.settings import TrackingSettings
from penstock.fluent.transport.opening import open_transport
from penstock.tracking.opening import open_database
from penstock.tracking.sql.store import SqlTrackingStore


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("PENSTOCK_SPOOL", str(tmp_path / "spool"))
    monkeypatch.setenv("PENSTOCK_TRACKING_URI", f"file://{tmp_path}/a%20store")
    monkeypatch.setattr(sessions, "_session", sessions.Session())
    yield tmp_path / "a store"
    sessions.current_session().close()


def test_a_store_holds_what_was_logged(store: Path, tmp_path: Path) -> None:
    tracking.set_experiment("local")
    with tracking.start_run(run_name="first") as run:
        tracking.log_param("depth", 8)
        for step in range(1500):
            tracking.log_metric("loss", 1 / (step + 1), step=step)
        tracking.log_text("x" * 3_000_000, "texts/long.txt")
        tracking.log_metric("bad!", 1)
    (found,) = tracking.search_runs(filter_string="metrics.loss < 1", output_format="list")
    assert (found.info.run_id, found.info.status, found.data.params) == (run.info.run_id, "FINISHED", {"depth": "8"})
    assert found.info.artifact_uri == f"mlflow-artifacts:/1/{run.info.run_id}/artifacts"
    sessions.current_session().close()
    assert (
        store / "artifacts" / "1" / run.info.run_id / "artifacts" / "texts" / "long.txt"
    ).stat().st_size == 3_000_000
    with closing(SqlTrackingStore(open_database(str(store)), artifact_root="mlflow-artifacts:")) as opened:
        assert len(opened.history(run.info.run_id, "loss", limit=2000).points) == 1500
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_program_that_fails_has_kept_everything(store: Path, tmp_path: Path) -> None:
    program = "from penstock import tracking as t\nt.log_text('late', 'late.txt')\nt.log_metric('late', 1)\n1 / 0\n"
    subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert list((tmp_path / "spool").iterdir()) == []
    (found,) = tracking.search_runs(output_format="list")
    assert (found.info.status, found.data.metrics) == ("FAILED", {"late": 1.0})
    assert (store / "artifacts" / "0" / found.info.run_id / "artifacts" / "late.txt").read_text() == "late"


def test_a_place_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "registry.db").write_text("no database")
    with (
        closing(open_transport(TrackingSettings(uri=str(tmp_path / "store")))) as transport,
        pytest.raises(TrackingUnavailable, match="store"),
    ):
        transport.get("runs/get", {"run_id": "a"})
    (tmp_path / "file").write_text("")
    with (
        closing(open_transport(TrackingSettings(uri=str(tmp_path / "file")))) as transport,
        pytest.raises(ConfigError, match="is a file"),
    ):
        transport.get("runs/get", {"run_id": "a"})


def test_a_database_needs_a_place_for_files(tmp_path: Path) -> None:
    uri = "postgresql://ann:secret@host/database"
    with pytest.raises(ConfigError, match="place for files") as caught:
        open_transport(TrackingSettings(uri=uri))
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(open_transport(TrackingSettings(uri=uri, artifacts=str(tmp_path))))
