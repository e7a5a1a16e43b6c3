"""A registry where nobody compares signatures: a version that would break callers is refused by the gateway."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from penstock.artifacts import CachedPackage
from penstock.errors import SignatureIncompatible
from penstock.loading import LoadedModel
from penstock.registry import ModelVersion
from penstock.serving.swap.preparing import SignatureGuard
from serving.swap.follower_world import World


class Guarded(World):
    """Versions 2 and 4 have another signature than 1, 3 and 5."""

    def __init__(self, package: Path, other: Path) -> None:
        super().__init__(package)
        self.other = other
        self.fetched: list[str] = []
        self.guard = SignatureGuard(self.fetch, lambda: self.answering)

    def fetch(self, version: ModelVersion) -> CachedPackage:
        self.fetched.append(version.version)
        return CachedPackage(self.other if version.version in ("2", "4") else self.package)

    def load(self, version: ModelVersion) -> LoadedModel:
        self.guard.fetch(version)
        return super().load(version)


@pytest.fixture
async def world(identity_onnx_package: Path, iris_onnx_package: Path) -> Any:
    made = Guarded(identity_onnx_package, iris_onnx_package)
    yield made
    await made.follower._abandon_load()
    await made.served.close()


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]


async def test_a_breaking_version_is_refused_once_and_never_loaded(
    world: Guarded, caplog: pytest.LogCaptureFixture
) -> None:
    await world.follower.start()
    world.promote("2")
    for _ in range(5):
        world.now += 1000
        await world.step()
    assert (world.answering, world.loads, world.fetched) == ("1", ["1"], ["1", "2"])
    assert world.count("loads", outcome="failed") == 1
    (line,) = errors(caplog)
    assert line.startswith("m: version 2 cannot be served; still serving version 1. The version would break callers of")
    assert "(the setting allow_breaking)" in line
    assert caplog.records[-1].exc_info is None


async def test_a_compatible_version_after_a_refused_one_is_taken(world: Guarded) -> None:
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


class TestFetching:
    """Without a follower: what answers is set by hand."""

    @pytest.fixture
    def fetch(self, world: Guarded, monkeypatch: pytest.MonkeyPatch) -> Any:
        answering: list[str | None] = [None]
        guard = SignatureGuard(world.fetch, lambda: answering[0])

        def run(version: str, *, now: str | None) -> Path:
            answering[0] = now
            return guard.fetch(world.registry.version("m", version)).path

        return run

    async def test_going_back_is_never_refused(self, fetch: Any, world: Guarded) -> None:
        fetch("2", now=None)
        with pytest.raises(SignatureIncompatible):
            fetch("3", now="2")
        # Somebody served with --allow-breaking in between, or the comparison allows one direction alone.
        assert fetch("2", now="3") == world.other
        assert fetch("2", now="1") == world.other

    async def test_a_version_unknown_here_is_no_reason_to_refuse(self, fetch: Any, world: Guarded) -> None:
        assert fetch("2", now="5") == world.other  # 5 was loaded before the guard was there

    async def test_what_was_refused_once_may_fit_another(self, fetch: Any, world: Guarded) -> None:
        fetch("1", now=None)
        with pytest.raises(SignatureIncompatible):
            fetch("4", now="1")
        fetch("3", now="1")
        with pytest.raises(SignatureIncompatible):
            fetch("4", now="3")


async def test_after_a_revert_what_was_refused_is_looked_at_again(world: Guarded) -> None:
    world.promote("2")
    await world.follower.start()
    world.guard._answered.add("1")  # as if it had been there
    world.promote("1")
    await world.step()
    assert (world.answering, world.kept) == ("1", "2")
    world.promote("4")  # breaks the callers of 1, not those of 2
    await world.step()
    assert world.answering == "1"
    world.promote("2")
    await world.step()
    world.promote("4")
    await world.step()
    assert (world.answering, world.loads) == ("4", ["2", "1", "4"])
    assert repr(world.guard) == "<SignatureGuard: 1, 2 has answered>"
