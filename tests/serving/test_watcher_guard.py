"""A gateway on a registry where nobody compares signatures: a version that would break callers is refused."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from penstock.loading import LoadedModel
from penstock.registry import ModelVersion
from penstock.serving.watcher import Follower, FollowOptions
from serving.fakes import FakePredictor, loaded
from serving.test_watcher import World


class Guarded(World):
    """Versions of `other` have another signature; the rest that of `package`."""

    def __init__(self, package: Path, other: Path, *, guard: bool = True) -> None:
        super().__init__(package)
        self.other = other
        self.narrow = {"2", "4"}
        self.follower = Follower(
            self.served, self.resolve, self.load, self.metrics,
            follow=FollowOptions(poll_interval=0.005, keep_previous=300, guard=guard),
            clock=lambda: self.now, chance=lambda: 1.0,
        )  # fmt: skip

    def load(self, version: ModelVersion) -> LoadedModel:
        made = super().load(version)
        if version.version not in self.narrow:
            return made
        return loaded(self.other, self.predictors[version.version][-1])


@pytest.fixture
async def world(identity_onnx_package: Path, iris_onnx_package: Path) -> Any:
    made = Guarded(identity_onnx_package, iris_onnx_package)
    yield made
    await made.follower._abandon_load()
    await made.served.close()


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]


async def test_a_breaking_version_is_refused_once(world: Guarded, caplog: pytest.LogCaptureFixture) -> None:
    await world.follower.start()
    world.promote("2")
    for _ in range(5):
        world.now += 1000
        await world.step()
    assert (world.answering, world.loads) == ("1", ["1", "2"])  # a signature does not change: no second look
    assert world.predictors["2"][0].closed == 1
    assert world.count("loads", outcome="failed") == 1
    (said,) = errors(caplog)
    assert said.startswith("m: version 2 cannot be served, version 1 goes on answering. It would break callers of")
    assert "--allow-breaking" in said
    assert caplog.records[-1].exc_info is None


async def test_another_version_is_taken(world: Guarded) -> None:
    await world.follower.start()
    world.promote("2")
    await world.step()
    world.promote("3")
    await world.step()
    assert world.answering == "3"
    world.promote("4")
    await world.step()
    assert world.answering == "3"


async def test_the_first_version_has_no_callers_to_break(world: Guarded) -> None:
    world.promote("2")
    await world.follower.start()
    assert world.answering == "2"


async def test_going_back_is_never_refused(world: Guarded) -> None:
    world.promote("2")
    await world.follower.start()
    world.follower._follow = FollowOptions(keep_previous=0)
    world.promote("3")
    await world.step()
    world.follower._follow = FollowOptions(keep_previous=0, guard=True)
    world.now += 1
    await world.step()
    assert (world.answering, world.kept) == ("3", None)
    world.promote("2")
    await world.step()
    assert world.answering == "2"


async def test_after_a_revert_what_was_refused_is_looked_at_again(world: Guarded) -> None:
    world.promote("2")
    await world.follower.start()
    world.follower._follow = FollowOptions(keep_previous=300)
    world.promote("1")
    await world.step()
    world.follower._follow = FollowOptions(keep_previous=300, guard=True)
    assert (world.answering, world.kept) == ("1", "2")
    world.promote("4")  # breaks the callers of 1, not those of 2
    await world.step()
    assert world.answering == "1"
    world.promote("2")
    await world.step()
    world.promote("4")
    await world.step()
    assert (world.answering, world.loads) == ("4", ["2", "1", "4", "4"])


async def test_registries_that_compare_are_believed(identity_onnx_package: Path, iris_onnx_package: Path) -> None:
    world = Guarded(identity_onnx_package, iris_onnx_package, guard=False)
    await world.follower.start()
    world.promote("2")
    await world.step()
    assert world.answering == "2"
    assert isinstance(world.predictors["2"][0], FakePredictor)
    await world.served.close()
