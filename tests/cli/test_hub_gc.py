"""`penstock hub gc`, as it is typed."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from penstock.assembly.hub import HubOptions, open_stores
from penstock.cli.hub.serve import hub
from penstock.cli.remedies import hint_of
from penstock.errors import RegistryNotFound
from penstock.tracking.writes import CreateLoggedModel, CreateRun, DeleteRun


def gc(store: Path, *arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(hub, ["--store", str(store), "gc", *arguments], input=answer)


@pytest.fixture
def run_id(tmp_path: Path) -> str:
    """A deleted run with a file of ten bytes, in the store `store`."""
    opened = open_stores(HubOptions(str(tmp_path / "store"), str(tmp_path / "store" / "artifacts")))
    with closing(opened.tracking) as tracking:
        made = tracking.write(CreateRun("0"))
        with opened.artifacts.new(f"0/{made.run_id}/artifacts/a") as file:
            file.write(b"0123456789")
        tracking.write(DeleteRun(made.run_id))
    return made.run_id


def test_garbage_is_shown_first_and_removed_when_told_to(tmp_path: Path, run_id: str) -> None:
    store, file = tmp_path / "store", tmp_path / "store" / "artifacts" / "0" / run_id / "artifacts" / "a"
    shown = gc(store, "--dry-run").stdout
    assert [line.split() for line in shown.splitlines()] == [
        ["what", "count", "files", "size"],
        ["deleted", "runs", "1", "1", "10", "B"],
    ]
    refused = gc(store)
    assert (refused.exit_code, file.exists()) == (2, True)
    assert "--yes" in refused.stderr
    told = json.loads(gc(store, "--dry-run", "--json").stdout)
    assert (told["runs"], told["files"]["runs"], told["dry_run"]) == ([run_id], {"files": 1, "bytes": 10}, True)
    assert "nothing to remove" in gc(store, "--older-than", "1h30m").stdout
    assert file.exists()
    assert gc(store, "--run-ids", run_id, "--yes").stdout.endswith("Removed.\n")
    assert not file.exists()
    assert gc(store).stdout == "There is nothing to remove.\n"


@pytest.mark.parametrize("arguments", [("--older-than", "soon"), ("--older-than", "1.2.3d"), ("--run-ids", ",")])
def test_what_cannot_be_understood_is_refused(tmp_path: Path, arguments: tuple[str, str]) -> None:
    result = gc(tmp_path, *arguments)
    assert result.exit_code == 2
    assert "duration" in result.stderr or "No ID" in result.stderr


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    error = gc(tmp_path / "nowhere", "--dry-run").exception
    assert isinstance(error, RegistryNotFound)
    assert hint_of(error, ["hub", "gc"]).startswith("Name the hub's store with --store.")
    assert list(tmp_path.iterdir()) == []


def test_logged_models_that_stay_without_their_run_are_told(tmp_path: Path, run_id: str) -> None:
    store = tmp_path / "store"
    with closing(open_stores(HubOptions(str(store), str(store / "artifacts"))).tracking) as tracking:
        model = tracking.write(CreateLoggedModel("0", "wine", run_id))
    assert "stays: 1 logged model of these runs: delete" in gc(store, "--dry-run").stderr
    told = json.loads(gc(store, "--dry-run", "--json").stdout)
    assert (told["logged_models"], told["logged_models_without_run"]) == ([], [model.model_id])
