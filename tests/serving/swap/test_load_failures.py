"""What is known of versions that could not be served."""

from __future__ import annotations

import math

import pytest

from penstock.errors import ProofFailed, SignatureIncompatible
from penstock.serving.served_model import LoadFailure
from penstock.serving.swap.load_failures import LoadFailures
from penstock.serving.swap.next_action import FailedLoad


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def failures(clock: Clock) -> LoadFailures:
    return LoadFailures(clock=clock, chance=lambda: 1.0, now=lambda: clock.now + 1e9)


def test_tries_of_one_version_are_counted_from_its_first_failure(failures: LoadFailures, clock: Clock) -> None:
    failures.note("2", ProofFailed("no"))
    clock.now += 5
    failures.note("2", ProofFailed("still no"))
    assert failures.last == FailedLoad("2", 2, 1007.0)
    assert failures.shown == LoadFailure("2", "proof_failed", "still no", 1e9 + 1000, 2)
    failures.note("3", ZeroDivisionError("oh"))
    assert failures.last == FailedLoad("3", 1, 1006.0)
    assert failures.shown == LoadFailure("3", "internal", "ZeroDivisionError: oh", 1e9 + 1005, 1)


def test_a_signature_that_would_break_callers_is_not_tried_again(failures: LoadFailures) -> None:
    failures.note("2", SignatureIncompatible("It would break callers."))
    assert failures.last == FailedLoad("2", 1, math.inf)
    assert failures.shown is not None
    assert failures.shown.final


def test_what_is_no_longer_wanted_is_not_shown_and_its_back_off_is_kept(failures: LoadFailures) -> None:
    failures.note("2", ProofFailed("no"))
    assert not failures.forget("2")
    assert failures.forget("1")
    assert (failures.shown, failures.last) == (None, FailedLoad("2", 1, 1001.0))
    assert not failures.forget("1")


def test_a_version_that_was_given_up_may_come_back_once_another_was_named(failures: LoadFailures) -> None:
    failures.give_up("2", "Its process ended.")
    failures.on_named("2")
    assert failures.last == FailedLoad("2", 1, math.inf)
    failures.on_named("1")
    assert failures.last is None
    failures.on_named("2")
    assert failures.last is None


def test_once_the_wanted_version_answers_there_is_no_failure(failures: LoadFailures) -> None:
    failures.note("2", ProofFailed("no"))
    failures.clear()
    assert (failures.last, failures.shown) == (None, None)


def test_the_first_retry_that_fails_in_the_same_way_is_no_news(failures: LoadFailures, clock: Clock) -> None:
    assert failures.note("2", ProofFailed("no"))
    clock.now += 1.0
    assert not failures.note("2", ProofFailed("no"))
    assert failures.note("2", ProofFailed("no, for another reason"))
    assert failures.note("3", ProofFailed("no, for another reason"))
    clock.now += 2.0
    assert failures.note("3", ProofFailed("no, for another reason"))
    failures.clear()
    assert failures.note("3", ProofFailed("no, for another reason"))
