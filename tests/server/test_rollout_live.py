"""The proof of `make prove-rollout` in small: real commands and a real server, each answer judged."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "loadtests"))

from prove_rollout import Plan, run


@pytest.mark.services
def test_no_caller_notices_a_promotion_and_a_rollback(tmp_path: Path) -> None:
    found = run(Plan("sqlite", workers=1, requests=500, moves=2, poll_interval=0.2), tmp_path)
    assert found.problems == []
    assert found.requests >= 500
    assert len(found.promotions) == len(found.rollbacks) == 1
    assert set(found.versions) == {"1", "2"}
    assert found.swaps == {"load": 1, "swap": 1, "revert": 1}
