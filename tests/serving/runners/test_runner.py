"""Who predicts on the caller's thread."""

from __future__ import annotations

import pytest

from penstock.serving.runners.runner import ThreadRunner
from serving.fakes import FakePredictor


@pytest.mark.parametrize(
    ("quick", "bounded", "inline"),
    [(True, True, True), (True, False, False), (False, True, False), (False, False, False)],
)
async def test_only_quick_models_of_bounded_rows_may_run_inline(quick: bool, bounded: bool, inline: bool) -> None:
    predictor = FakePredictor()
    predictor.quick = quick
    runner = ThreadRunner(predictor, 1, bounded=bounded)
    assert (runner.run_now is not None) is inline
    await runner.close()
