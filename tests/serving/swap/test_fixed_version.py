"""A version that is named once and never followed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from penstock.errors import PenstockError, ProofFailed
from penstock.loading import LoadedModel
from penstock.serving.swap.fixed_version import FixedVersion
from penstock.serving.swap.target import LoadedVersion, LocalTarget
from serving.fakes import loaded
from serving.swap.follower_world import World


class TestFixedVersion:
    @pytest.fixture
    def pinned(self, world: World) -> Callable[[Callable[[], tuple[str, LoadedModel]]], FixedVersion[LoadedVersion]]:
        async def in_a_thread(load: Callable[[], tuple[str, LoadedModel]]) -> LoadedVersion:
            return LoadedVersion(*await asyncio.to_thread(load))

        target = LocalTarget(world.served, world.metrics)
        return lambda load: FixedVersion(target, partial(in_a_thread, load), world.metrics)

    async def test_a_fixed_version_is_loaded_once(self, world: World, pinned: Any) -> None:
        source = pinned(lambda: ("abc", loaded(world.package)))
        await source.start()
        await source.run()
        assert world.answering == "abc"
        assert world.count("loads", outcome="ok") == 1

    async def test_a_failure_of_a_fixed_version_is_raised_counted_and_logged_by_its_name(
        self, world: World, pinned: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail() -> tuple[str, LoadedModel]:
            raise ProofFailed("no")

        with pytest.raises(PenstockError):
            await pinned(fail).start()
        assert world.count("loads", outcome="failed") == 1
        assert caplog.messages == ["m cannot be served, so the server does not start."]

    async def test_the_first_failure_of_an_added_model_is_written_once(
        self, world: World, pinned: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail() -> tuple[str, LoadedModel]:
            raise ProofFailed("no")

        source = pinned(fail)
        await source.try_once()
        await source.try_once()
        assert caplog.messages == ["m cannot be served; nothing is served. no"]
        assert world.count("loads", outcome="failed") == 2
