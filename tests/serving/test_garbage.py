"""The collector kept out of the way, and what is nevertheless collected."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from penstock.serving.garbage import idle, settle


class Circle:
    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def test_objects_made_since_are_collected_and_the_rest_is_frozen() -> None:
    settle()
    frozen = gc.get_freeze_count()
    gone = weakref.ref(Circle())
    kept = Circle()
    settle(thaw=False)
    assert gone() is None
    assert kept.itself is kept
    assert gc.get_freeze_count() >= frozen


def test_circles_that_were_frozen_need_a_thaw() -> None:
    circle = Circle()
    gone = weakref.ref(circle)
    settle()
    del circle
    settle(thaw=False)
    assert gone() is not None
    settle()
    assert gone() is None


async def test_a_collection_waits_for_a_moment_without_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.serving.garbage._IDLE_CHECK_SECONDS", 0.0)
    answers = iter([True, True, False])
    await idle(lambda: next(answers))
    assert next(answers, None) is None
