"""A follower that starts while the registry is away: it serves what was served last, says so, and follows again."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import (
    AliasNotFound,
    ProofFailed,
    RegistryDenied,
    RegistryNotFound,
    RegistryOutdated,
    RegistryUnavailable,
)
from penstock.registry.resolutions import LastResolution
from serving.swap.follower_world import World

AWAY = RegistryUnavailable("It cannot be reached.")


class Restartable(World):
    """A world whose follower may be started again, as after a restart of its process."""

    def __init__(self, package: Path, cache: Path) -> None:
        super().__init__(package)
        self.cache = cache
        self.restart()

    def restart(self) -> None:
        last = LastResolution(self.cache, "here", "models:/m@production")
        self.follower = self.make_follower(interval=2, last=last)

    async def gone(self) -> None:
        await self.served.close()
        self.loads.clear()
        self.restart()

    @property
    def stale(self) -> tuple[float | None, bool]:
        """As the metric and as /models say it."""
        return self.metrics.registry.get_sample_value("penstock_registry_stale", {"model": "m"}), self.served.stale


@pytest.fixture
async def world(identity_onnx_package: Path, tmp_path: Path) -> Any:
    made = Restartable(identity_onnx_package, tmp_path)
    yield made
    for event in made.held.values():
        event.set()
    await made.follower._abandon_load()
    await made.served.close()


@pytest.mark.parametrize("error", [AWAY, RegistryNotFound("gone"), RegistryDenied("who?"), RegistryOutdated("newer")])
async def test_the_version_that_answered_last_is_recalled(
    world: Restartable, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    await world.follower.start()
    world.promote("2")
    await world.step()
    assert world.stale == (0, False)
    await world.gone()
    world.unreachable = error
    await world.follower.start()
    assert (world.answering, world.loads, world.stale) == ("2", ["2"], (1, True))
    [line] = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert line.startswith("m: the registry cannot be queried; serving version 2, which it named on 20")
    assert line.endswith(f"UTC and which may be stale. {error}")
    await world.step()
    assert len([r for r in caplog.records if r.levelno >= logging.WARNING]) == 1

    world.unreachable = None
    world.promote("3")
    await world.step()
    assert (world.answering, world.stale) == ("3", (0, False))


async def test_a_version_that_never_answered_is_not_what_a_restart_begins_with(world: Restartable) -> None:
    await world.follower.start()
    world.failing["2"] = ProofFailed("no")
    world.promote("2")
    await world.step()
    await world.gone()
    world.unreachable = AWAY
    await world.follower.start()
    assert world.answering == "1"


async def test_a_roll_back_is_remembered_too(world: Restartable) -> None:
    await world.follower.start()
    world.promote("2")
    await world.step()
    world.registry.rollback("m", by="test")
    await world.step()
    await world.gone()
    world.unreachable = AWAY
    await world.follower.start()
    assert world.answering == "1"


@pytest.mark.parametrize("error", [RegistryNotFound("gone"), RegistryDenied("who?"), RegistryOutdated("newer")])
async def test_with_nothing_to_recall_what_waiting_cannot_mend_is_an_error(world: Restartable, error: Any) -> None:
    world.unreachable = error
    with pytest.raises(type(error)):
        await world.follower.start()


async def test_with_nothing_to_recall_a_registry_that_is_away_is_waited_for(world: Restartable) -> None:
    world.unreachable = AWAY
    await world.follower.start()
    assert (world.answering, world.stale) == (None, (0, False))
    world.now += 31
    await world.step()
    assert world.stale == (1, True)
    world.unreachable = None
    await world.step()
    assert (world.answering, world.stale) == ("1", (0, False))


async def test_an_alias_that_is_gone_is_an_answer_and_nothing_is_recalled(world: Restartable) -> None:
    await world.follower.start()
    await world.gone()
    world.unreachable = AliasNotFound("The alias is gone.")
    with pytest.raises(AliasNotFound):
        await world.follower.start()


async def test_what_is_recalled_and_cannot_be_loaded_waits_for_the_registry(world: Restartable) -> None:
    await world.follower.start()
    await world.gone()
    world.unreachable = AWAY
    world.failing["1"] = ProofFailed("no")
    await world.follower.start()
    assert (world.answering, world.stale) == (None, (1, True))
    world.unreachable = None
    world.promote("2")
    await world.step()
    assert (world.answering, world.stale) == ("2", (0, False))


async def test_a_store_that_is_away_at_the_start_is_waited_for(
    world: Restartable, caplog: pytest.LogCaptureFixture
) -> None:
    world.failing["1"] = RegistryUnavailable("s3://models/m/abc cannot be reached.")
    await world.follower.start()
    assert world.answering is None
    assert "version 1 cannot be served; nothing is served. s3://models/m/abc cannot be reached." in caplog.text
    del world.failing["1"]
    world.now += 60
    await world.step()
    assert world.answering == "1"


async def test_polls_that_fail_for_long_make_what_answers_stale(world: Restartable) -> None:
    await world.follower.start()
    world.unreachable = AWAY
    await world.step()
    world.now += 29
    await world.step()
    assert world.stale == (0, False)
    assert world.follower.poll.next_delay() <= 1.0  # or it would be seen with a poll that comes later and later
    world.now += 1
    await world.step()
    assert (world.answering, world.stale) == ("1", (1, True))
    world.unreachable = None
    await world.step()
    assert world.stale == (0, False)
