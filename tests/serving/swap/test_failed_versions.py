"""Versions that fail to load, and those that fail while they answer."""

from __future__ import annotations

import asyncio

import pytest

from penstock.errors import ProofFailed
from serving.fakes import until
from serving.swap.follower_world import World, errors
from support.error_zoo import NAMES, logged_as_in_a_server, zoo


async def test_a_swap_that_fails_is_seen_as_long_as_it_does(world: World) -> None:
    def failing() -> float | None:
        return world.metrics.registry.get_sample_value("penstock_swap_failing", {"model": "m"})

    await world.follower.start()
    assert failing() == 0
    world.failing["2"] = ProofFailed("no")
    world.promote("2")
    await world.step()
    assert failing() == 1
    world.now += 0.1  # not tried again yet
    await world.step()
    assert failing() == 1
    world.promote("1")
    await world.step()
    assert failing() == 0
    world.promote("2")
    world.now += 100
    await world.step()
    assert failing() == 1
    del world.failing["2"]
    world.now += 100
    await world.step()
    assert (failing(), world.answering) == (0, "2")


async def test_a_failed_load_keeps_what_answers_and_is_tried_again_later(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.follower.start()
    world.failing["2"] = ProofFailed("It answers otherwise.")
    world.promote("2")
    await world.step()
    assert (world.answering, world.loads) == ("1", ["1", "2"])
    assert world.count("loads", outcome="failed") == 1
    assert errors(caplog) == ["m: version 2 cannot be served; still serving version 1. It answers otherwise."]
    assert caplog.records[-1].exc_info is None
    tries = []
    for _ in range(40):  # seconds
        world.now += 1
        before = len(world.loads)
        await world.step()
        tries += [world.now - 1000] * (len(world.loads) - before)
    assert tries == [1, 3, 7, 15, 31]
    del world.failing["2"]
    world.now += 60
    await world.step()
    assert (world.answering, world.kept) == ("2", "1")


async def test_a_load_that_fails_in_a_foreign_way_is_logged_with_its_traceback(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.follower.start()
    world.failing["2"] = ZeroDivisionError("oh")
    world.promote("2")
    await world.step()
    assert world.answering == "1"
    assert caplog.records[-1].exc_info is not None


async def test_another_version_does_not_wait_for_the_back_off_of_a_failed_one(world: World) -> None:
    await world.follower.start()
    world.failing["2"] = ProofFailed("no")
    world.promote("2")
    await world.step()
    world.promote("3")
    await world.step()
    assert world.answering == "3"


async def test_a_move_back_after_a_failure_loads_nothing(world: World) -> None:
    await world.follower.start()
    world.failing["2"] = ProofFailed("no")
    world.promote("2")
    await world.step()
    world.promote("1")
    world.now += 1000
    await world.step()
    assert (world.answering, world.loads) == ("1", ["1", "2"])


class TestAVersionThatFailsWhileItAnswers:
    async def test_the_version_before_it_takes_over_and_stays(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        await world.follower.start()
        world.promote("2")
        await world.step()
        world.served.version_failed("2", "was killed by signal 11 (SIGSEGV)")
        assert (world.answering, world.kept) == ("1", None)
        assert world.count("swaps", kind="revert") == 1
        (line,) = errors(caplog)
        assert line.startswith(
            "m: version 2 failed; back to version 1. The model process was killed by signal 11 (SIGSEGV)."
        )
        world.now += 1e6
        await world.step()
        assert (world.answering, world.loads) == ("1", ["1", "2"])
        await until(lambda: world.predictors["2"][0].closed)

    async def test_another_promotion_is_followed(self, world: World) -> None:
        await world.follower.start()
        world.promote("2")
        await world.step()
        world.served.version_failed("2", "ended")
        world.promote("3")
        await world.step()
        assert world.answering == "3"

    async def test_a_failed_version_is_tried_again_when_it_is_named_again(self, world: World) -> None:
        await world.follower.start()
        world.promote("2")
        await world.step()
        world.served.version_failed("2", "ended")
        world.promote("1")
        await world.step()
        world.promote("2")
        await world.step()
        assert world.answering == "2"

    async def test_a_failed_version_goes_on_where_no_other_is_warm(self, world: World) -> None:
        await world.follower.start()
        world.served.version_failed("1", "ended")
        await world.step()
        assert (world.answering, world.loads) == ("1", ["1"])

    async def test_a_failure_of_the_warm_version_changes_nothing(self, world: World) -> None:
        await world.follower.start()
        world.promote("2")
        await world.step()
        world.served.version_failed("1", "ended")
        assert (world.answering, world.kept) == ("2", "1")


@pytest.mark.parametrize("number", range(len(NAMES)), ids=NAMES)
async def test_whatever_a_load_raises_is_shown_and_following_goes_on(world: World, number: int) -> None:
    await world.follower.start()
    world.failing["2"] = zoo()[number]  # type: ignore[assignment]
    world.promote("2")
    with logged_as_in_a_server():
        await world.step()
    assert world.answering == "1"
    shown = world.served.failure
    assert shown is not None
    shown.message.encode()
    world.promote("3")
    await world.step()
    assert world.answering == "3"


async def test_a_step_that_fails_does_not_end_following(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.follower.start()
    steps: list[None] = []

    async def fail() -> None:
        steps.append(None)
        raise KeyError("a mistake of ours")

    monkeypatch.setattr(world.follower, "step", fail)
    monkeypatch.setattr(world.follower.poll, "next_delay", lambda: 0.0)
    following = asyncio.create_task(world.follower.run(at_once=True))
    await until(lambda: len(steps) > 2)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
