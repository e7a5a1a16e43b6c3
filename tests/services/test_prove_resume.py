"""A few moments of `make prove-resume`: real jobs, really killed. It takes no service, only time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROOF = Path(__file__).parents[2] / "loadtests" / "prove_resume.py"


@pytest.mark.services
def test_jobs_killed_at_random_moments_go_on_to_the_same_bytes(tmp_path: Path) -> None:
    words = ["--out", str(tmp_path), "--moments", "6", "--seed", "1", "--rows", "200000"]
    ran = subprocess.run([sys.executable, str(PROOF), *words], capture_output=True, text=True, timeout=1200)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "6 of 6 moments" in ran.stdout
