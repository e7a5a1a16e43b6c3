"""Packaging and locking in one step: nothing from outside, but slow."""

from __future__ import annotations

from pathlib import Path

import pytest

from environments.commands import Penstock, penstock  # noqa: F401
from environments.wheels import make_wheel

pytestmark = pytest.mark.services


def test_a_package_is_made_and_locked_in_one_step(penstock: Penstock, tmp_path: Path) -> None:  # noqa: F811
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
