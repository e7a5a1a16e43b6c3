"""`penstock …` run as a user runs it, with wheels to build environments from."""

from __future__ import annotations

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
