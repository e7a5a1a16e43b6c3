"""Following further: what is said of a failure, many promotions at once, a registry that is away."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace
from threading import Event

import pytest

from penstock.errors import AliasMoved, AliasNotFound, ProofFailed, RegistryUnavailable, SignatureIncompatible
from penstock.serving.served_model import ServedModel
from penstock.serving.swap.follower import Follower
from penstock.serving.swap.registry_poll import RegistryPoll
from penstock.serving.swap.target import LocalTarget
from serving.fakes import in_a_thread, until
from serving.swap.follower_world import World, errors


class TestWhatIsSaidOfAFailure:
    async def test_a_failure_has_version_reason_beginning_and_tries(self, world: World) -> None:
        await world.follower.start()
        world.failing["2"] = ProofFailed("It answers otherwise.", hint="Pack it anew.")
        world.promote("2")
        await world.step()
        first = world.served.failure
        assert first is not None
        assert (first.version, first.code, first.attempts, first.final) == ("2", "proof_failed", 1, False)
        assert first.message == "It answers otherwise. Pack it anew."
        world.now += 60
        await world.step()
        assert world.served.failure == replace(first, attempts=2)
        assert world.count("load_failures", reason="proof_failed") == 2

    @pytest.mark.parametrize("way_out", ["1", "3"])
    async def test_a_failure_goes_when_the_alias_names_another_version(self, world: World, way_out: str) -> None:
        await world.follower.start()
        world.failing["2"] = ZeroDivisionError("oh")
        world.promote("2")
        await world.step()
        assert world.served.failure is not None
        assert (world.served.failure.code, world.served.failure.message) == ("internal", "ZeroDivisionError: oh")
        assert world.count("load_failures", reason="internal") == 1
        world.promote(way_out)
        await world.step()
        assert (world.answering, world.served.failure) == (way_out, None)

    async def test_a_failure_goes_when_the_version_can_be_served_after_all(self, world: World) -> None:
        await world.follower.start()
        world.failing["2"] = ProofFailed("no")
        world.promote("2")
        await world.step()
        del world.failing["2"]
        world.now += 60
        await world.step()
        assert (world.answering, world.served.failure) == ("2", None)

    async def test_a_signature_that_would_break_callers_is_final(self, world: World) -> None:
        await world.follower.start()
        world.failing["2"] = SignatureIncompatible("It would break callers.")
        world.promote("2")
        await world.step()
        assert world.served.failure is not None
        assert world.served.failure.final


class TestManyPromotions:
    async def test_two_promoters_at_once_end_at_the_last_move(self, world: World) -> None:
        await world.follower.start()
        stop = Event()

        def promoter(versions: tuple[str, ...]) -> None:
            while not stop.is_set():
                for version in versions:
                    with suppress(AliasMoved):  # told to try again, as a person would be
                        world.promote(version)

        running = asyncio.create_task(world.follower.run())
        promoters = [asyncio.create_task(asyncio.to_thread(promoter, v)) for v in (("2", "3"), ("4", "1"))]
        await until(lambda: len(world.loads) > 5)
        stop.set()
        await asyncio.gather(*promoters)
        last = world.registry.history("m")[-1].to_version
        await until(lambda: world.answering == last)
        running.cancel()
        await asyncio.wait([running])
        assert len([p for made in world.predictors.values() for p in made if not p.closed]) <= 2 + 2

    async def test_a_version_deleted_while_it_answers_goes_on_answering(self, world: World) -> None:
        await world.follower.start()
        world.promote("2")
        await world.step()
        world.registry.promote("m", "3", "spare", by="test")
        world.registry.remove_alias("m", "production", by="test")
        world.registry.delete("m", "2")
        for _ in range(3):
            await world.step()
        assert (world.answering, world.loads) == ("2", ["1", "2"])
        world.promote("3")
        await world.step()
        assert (world.answering, world.kept) == ("3", "2")

    async def test_a_version_deleted_while_it_loads_is_not_served(self, world: World) -> None:
        await world.follower.start()
        world.held["2"] = Event()
        world.promote("2")
        await world.follower.step()
        await until(lambda: "2" in world.loads)
        world.promote("1")
        world.registry.delete("m", "2")
        world.held["2"].set()
        await world.step()
        assert (world.answering, world.served.failure) == ("1", None)


class TestARegistryThatIsAway:
    async def test_a_registry_that_is_away_is_asked_less_and_less_and_then_as_before(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await world.follower.start()
        waits: list[float] = []

        async def sleep(seconds: float) -> None:
            waits.append(seconds)
            world.unreachable = None if len(waits) > 4 else RegistryUnavailable("It cannot be reached.")
            if len(waits) == 8:
                raise asyncio.CancelledError

        monkeypatch.setattr(world.follower, "_sleep", sleep)
        with pytest.raises(asyncio.CancelledError):
            await world.follower.run()
        base = 0.005 * 1.1
        assert waits[1:] == pytest.approx([base * f for f in (2, 4, 8, 16, 1, 1, 1)])

    async def test_several_followers_of_an_unreachable_registry_log_it_once(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        unreachable: set[str] = set()
        followers = []
        for name in ("m", "n", "o"):
            served = ServedModel(name, world.metrics, alias="production")
            target = LocalTarget(served, world.metrics)
            poll = RegistryPoll(name, world.resolve, world.metrics, unreachable=unreachable)
            followers.append(Follower(target, poll, in_a_thread(world.load), world.metrics))
            await followers[-1].start()
        caplog.clear()
        world.unreachable = RegistryUnavailable("It cannot be reached.")
        for _ in range(2):
            for follower in followers:
                await follower.step()
        assert len(errors(caplog)) == 1
        world.unreachable = None
        for follower in followers:
            await follower.step()
        back = [r.getMessage() for r in caplog.records if "again" in r.getMessage()]
        assert back == ["o: the registry answers again."]
        world.unreachable = AliasNotFound("The alias is gone.")  # which is another matter for each
        for follower in followers:
            await follower.step()
        assert len(errors(caplog)) == 4
