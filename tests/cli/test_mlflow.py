"""Commands on an MLflow server, as far as its recorded answers go."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from registry.replay import Replay

Penstock = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def replay() -> Iterator[Replay]:
    server = Replay()
    yield server
    server.close()


@pytest.fixture
def penstock(tmp_path: Path, replay: Replay) -> Penstock:
    """Runs `penstock ARGUMENTS` where MLFLOW_TRACKING_URI names the server."""
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("PENSTOCK_", "MLFLOW_"))}
    environ |= {"MLFLOW_TRACKING_URI": replay.url, "PENSTOCK_CACHE": str(tmp_path / "cache")}

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "penstock", *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, timeout=120, env={**environ, **more}
        )

    return run


def test_show_lists_versions_and_aliases(penstock: Penstock) -> None:
    shown = json.loads(penstock("registry", "show", "fraud", "--json").stdout)
    assert shown["model"]["aliases"] == {"champion": "3", "production": "1", "staging": "3"}
    assert [v["version"] for v in shown["versions"]] == ["1", "2", "3"]


def test_show_tells_the_run_and_the_version_before(penstock: Penstock) -> None:
    shown = json.loads(penstock("registry", "show", "fraud", "2", "--json").stdout)
    assert shown["run_id"]
    assert shown["lineage"]["previous"] == "1"
    assert shown["lineage"]["compatible"] is not None


def test_inspect_and_verify_take_mlflow_uris(penstock: Penstock, replay: Replay) -> None:
    facts = json.loads(penstock("inspect", "models:/fraud/Production", "--json").stdout)
    assert (facts["data_only"], facts["answers_as"]) == (True, "onnx")
    assert facts["path"].endswith("/fraud-1")
    done = penstock("verify", replay.facts["run2"])
    assert done.returncode == 0, done.stderr
    assert "Loads:    yes" in done.stdout


def test_score_takes_a_model_of_mlflow(penstock: Penstock, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("nothing\n1\n")
    done = penstock("score", "models:/fraud@production", str(tmp_path / "rows.csv"), "-o", "scored.csv")
    assert done.returncode == 2
    assert "fraud version 1" in done.stderr  # found and loaded; the columns are what does not fit
    assert "rows.csv" in done.stderr


def test_config_show_says_where_the_address_comes_from(penstock: Penstock, replay: Replay) -> None:
    shown = json.loads(penstock("config", "show", "--json").stdout)
    assert shown["registry"] == {"value": replay.url, "from": "MLFLOW_TRACKING_URI"}
    secret = replay.url.replace("//", "//ann:s3cret@")
    done = penstock("config", "show", MLFLOW_REGISTRY_URI=secret)
    assert "MLFLOW_REGISTRY_URI" in done.stdout
    assert "s3cret" not in done.stdout


def test_penstocks_own_setting_wins_over_mlflows(penstock: Penstock, replay: Replay) -> None:
    done = penstock("registry", "show", "fraud", "--registry", "./own")
    assert "There is no registry at" in done.stderr
    done = penstock("registry", "show", "fraud", PENSTOCK_REGISTRY="./own")
    assert "There is no registry at" in done.stderr
    assert replay.requests == []


def test_a_store_that_mlflow_alone_reads_names_the_server_to_start(penstock: Penstock) -> None:
    done = penstock("serve", "models:/fraud/1", "--port", "0", MLFLOW_TRACKING_URI="sqlite:///mlflow.db")
    assert done.returncode == 2
    assert "mlflow server --backend-store-uri sqlite:///mlflow.db" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_package_in_a_directory_needs_no_registry(penstock: Penstock, identity_onnx_package: Path) -> None:
    done = penstock("inspect", str(identity_onnx_package), MLFLOW_TRACKING_URI="sqlite:///mlflow.db")
    assert done.returncode == 0, done.stderr


def test_a_rollback_names_the_command_that_works_with_mlflow(penstock: Penstock) -> None:
    done = penstock("registry", "rollback", "fraud")
    assert done.returncode == 1
    assert "penstock registry promote fraud VERSION --alias production" in done.stderr
