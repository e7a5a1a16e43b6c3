"""`penstock env` and `penstock package lock`, as a user runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from environments.wheels import make_host_wheels, make_wheel

Penstock = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def penstock(tmp_path: Path) -> Penstock:
    """Runs `penstock ARGUMENTS` in an empty directory, with a cache and a directory of wheels there."""
    make_host_wheels(tmp_path / "wheels")
    for name in ("alpha", "onnxruntime"):
        make_wheel(tmp_path / "wheels", name, "1.0")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PENSTOCK_"))}
    environment = {**kept, "PENSTOCK_CACHE": str(tmp_path / "cache"), "PENSTOCK_WHEELS": str(tmp_path / "wheels")}

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "penstock", *map(str, arguments)]
        return subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, timeout=120, env=environment, check=False
        )

    return run


def test_environments_are_built_listed_and_pruned(
    penstock: Penstock, tmp_path: Path, python_package: Path, copied: Callable[[Path], Path]
) -> None:
    package = copied(python_package)
    (package / "SHA256SUMS").unlink()
    (package / "requirements.txt").write_text("alpha==1.0\n")
    assert "There are no environments" in penstock("env", "list").stdout
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
    assert penstock("env", "prune", "--unused-for", "soon").returncode == 2

    (package / "requirements.txt").write_text("alpha==2.0\n")
    unbuildable = penstock("env", "build", package, "--trust-code")
    assert unbuildable.returncode == 1
    assert "no version of alpha==2.0" in unbuildable.stderr
    assert f"Put a wheel for alpha==2.0 into {tmp_path / 'wheels'}" in unbuildable.stderr
    assert "Traceback" not in unbuildable.stderr


def test_a_locked_package_says_so(penstock: Penstock, tmp_path: Path, identity_onnx_package: Path) -> None:
    lines = [line for line in (identity_onnx_package / "requirements.txt").read_text().splitlines() if line]
    for line in lines:
        make_wheel(tmp_path / "wheels", *line.split("=="))
    locked = penstock("package", "lock", identity_onnx_package, "-o", "locked")
    assert locked.returncode == 0, locked.stderr
    assert "are pinned with hashes, for Python 3." in locked.stdout
    assert "no: penstock package lock" in penstock("inspect", identity_onnx_package).stdout
    facts = json.loads(penstock("inspect", "locked", "--json").stdout)
    assert facts["sealed"]
    assert "distributions with hashes" in facts["locked"]
    verified = penstock("verify", "locked")
    assert verified.returncode == 0, verified.stderr
    assert "Locked:   " in verified.stdout
    assert "with hashes" in verified.stdout
    assert penstock("package", "lock", identity_onnx_package, "-o", "locked").returncode == 1


def test_packaging_and_locking_in_one_step(penstock: Penstock, tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("def predict(inputs, params):\n    return [1 for _ in range(len(inputs))]\n")
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n3,4\n")
    make_wheel(tmp_path / "wheels", "alpha", "1.5")
    command = ["package", "python", "model.py", "--example", "rows.csv", "--requirement", "alpha", "--lock", "-o", "m"]
    for line in _own_versions():
        make_wheel(tmp_path / "wheels", *line.split("=="))
    made = penstock(*command)
    assert made.returncode == 0, made.stderr
    assert "alpha==1.5" in (tmp_path / "m" / "requirements.lock").read_text()
    failed = penstock(*command[:-2], "--requirement", "nowhere-to-be-found", "-o", "n")
    assert failed.returncode == 1
    assert "nowhere-to-be-found" in failed.stderr
    assert not (tmp_path / "n").exists()


def _own_versions() -> list[str]:
    from importlib.metadata import version

    return [f"{name}=={version(name)}" for name in ("numpy", "pandas", "cloudpickle", "pyyaml", "orjson")]
