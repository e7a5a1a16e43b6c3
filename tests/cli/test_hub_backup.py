"""`penstock hub backup` and `penstock hub restore`, as they are typed."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from penstock.assembly.hub import HubOptions, open_stores
from penstock.cli.hub.serve import hub
from penstock.errors import BackupNotFound, RegistryNotFound, StoreNotEmpty
from penstock.tracking.writes import CreateRun


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory that commands run in, with a store of one run with a file of ten bytes."""
    monkeypatch.chdir(tmp_path)
    opened = open_stores(HubOptions("penstock-registry", "penstock-registry/artifacts"))
    with closing(opened.tracking) as tracking:
        run = tracking.write(CreateRun("0"))
        with opened.artifacts.new(f"0/{run.run_id}/artifacts/a") as file:
            file.write(b"0123456789")
    return tmp_path


def typed(*arguments: str) -> str:
    result = CliRunner().invoke(hub, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_store_is_saved_and_restored_elsewhere(here: Path) -> None:
    assert "1 file (10 B)" in typed("backup", "saved")
    told = json.loads(typed("backup", "saved", "--json"))
    assert (told["tables"]["penstock_runs"]["rows"], told["files"], told["written"]) == (
        1,
        {"files": 1, "bytes": 10},
        0,
    )
    assert "is restored" in typed("restore", "saved", "--store", "new", "--backup", told["name"])
    assert [path.read_bytes() for path in (here / "new" / "artifacts").rglob("a")] == [b"0123456789"]
    assert (here / "saved").stat().st_mode & 0o77 == 0
    with pytest.raises(StoreNotEmpty):
        typed("--store", "new", "restore", "saved")
    with pytest.raises(BackupNotFound):
        typed("--store", "newer", "restore", "nowhere")


def test_tables_alone_need_no_place_for_files(here: Path) -> None:
    assert "no files" in typed(
        "--store", "sqlite:///penstock-registry/registry.db", "backup", "saved", "--no-artifacts"
    )
    told = json.loads(typed("--store", "sqlite:///new.db", "restore", "saved", "--json"))
    assert told["files"] is None
    assert not (here / "new" / "artifacts").exists()


def test_a_store_that_is_not_there_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    for dest in ("kept", "new/saved"):
        with pytest.raises(RegistryNotFound):
            typed("backup", str(tmp_path / dest), "--store", str(tmp_path / "nowhere"))
    assert list(tmp_path.rglob("*")) == [tmp_path / "kept"]
