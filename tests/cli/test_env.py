"""`penstock env` and `penstock package lock`, as a user runs them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner

from environments.commands import Penstock, penstock  # noqa: F401
from environments.wheels import make_wheel
from penstock.cli.env import prune


def test_environments_are_built_listed_and_pruned(
    penstock: Penstock,  # noqa: F811
    tmp_path: Path,
    python_package: Path,
    copied: Callable[[Path], Path],
) -> None:
    package = copied(python_package)
    (package / "SHA256SUMS").unlink()
    (package / "requirements.txt").write_text("alpha==1.0\n")
    assert "No environments in" in penstock("env", "list").stdout
    refused = penstock("env", "build", package)
    assert refused.returncode == 1
    assert "--trust-code" in refused.stderr

    built = penstock("env", "build", f"adder={package}", "--trust-code")
    assert built.returncode == 0, built.stderr
    assert built.stdout.startswith("adder: Python 3.")
    assert "building its environment" in built.stderr
    again = penstock("env", "build", f"adder={package}", "--trust-code")
    assert (again.stdout, again.stderr) == (built.stdout, "")

    (entry,) = json.loads(penstock("env", "list", "--json").stdout)
    assert entry["distributions"]["alpha"] == "1.0"
    shown = penstock("env", "list").stdout
    assert entry["digest"][:12] in shown
    assert entry["path"] in built.stdout
    assert penstock("env", "prune").stdout == "Removed 0 of 1 environments, 0 B.\n"
    assert penstock("env", "prune", "--all").stdout.startswith("Removed 1 of 1 environments, ")
    assert CliRunner().invoke(prune, ["--unused-for", "soon"]).exit_code == 2

    (package / "requirements.txt").write_text("alpha==2.0\n")
    unbuildable = penstock("env", "build", package, "--trust-code")
    assert unbuildable.returncode == 1
    assert "no version of alpha==2.0" in unbuildable.stderr
    assert f"Put a wheel for alpha==2.0 into {tmp_path / 'wheels'}" in unbuildable.stderr
    assert "Traceback" not in unbuildable.stderr


def test_a_locked_package_says_so(penstock: Penstock, tmp_path: Path, identity_onnx_package: Path) -> None:  # noqa: F811
    lines = [line for line in (identity_onnx_package / "requirements.txt").read_text().splitlines() if line]
    for line in lines:
        make_wheel(tmp_path / "wheels", *line.split("=="))
    locked = penstock("package", "lock", identity_onnx_package, "-o", "locked")
    assert locked.returncode == 0, locked.stderr
    assert "are pinned with hashes, for Python 3." in locked.stdout
    assert "no (penstock package lock" in penstock("inspect", identity_onnx_package).stdout
    facts = json.loads(penstock("inspect", "locked", "--json").stdout)
    assert facts["sealed"]
    assert "distributions with hashes" in facts["locked"]
    verified = penstock("verify", "locked")
    assert verified.returncode == 0, verified.stderr
    assert "Locked:   " in verified.stdout
    assert "with hashes" in verified.stdout
    assert penstock("package", "lock", identity_onnx_package, "-o", "locked").returncode == 1
