"""A settings file that changes while the server runs: what is done, said and counted."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from pathlib import Path

import pytest

from penstock.assembly.live.changes import ModelChanges, changes_of
from penstock.assembly.live.reloading import Reloader, SettingsFile
from penstock.config import ServerSettings, load_settings
from penstock.errors import ConfigError
from penstock.metrics import Metrics
from serving.fakes import until


class World:
    """A reloader whose models are those of the last settings that were applied."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write("[models.a]\n")
        self.metrics = Metrics(process=False)
        self.applied: list[ServerSettings] = [self.read()]
        self.done = 0
        self.default: str | None = None
        self.ending = False
        file = SettingsFile(path, self.applied[0], self.read)
        self.reloader = Reloader(self, file, self.metrics, lambda: self.ending, on_applied=self.on_applied, interval=0)

    def write(self, content: str) -> None:
        self.path.write_text(content)

    def read(self) -> ServerSettings:
        return load_settings({}, {}, self.path)[0]

    def changes(self, settings: ServerSettings) -> ModelChanges:
        return changes_of(self.applied[-1], settings)

    async def apply(self, settings: ServerSettings, changes: ModelChanges) -> None:
        self.applied.append(settings)

    def on_applied(self) -> None:
        self.done += 1

    async def look(self, *, twice: bool = True) -> None:
        for _ in range(1 + twice):
            await self.reloader.look()

    def numbers(self) -> tuple[float, ...]:
        value = self.metrics.registry.get_sample_value
        outcomes = [value("penstock_config_reloads_total", {"outcome": o}) or 0 for o in ("applied", "refused")]
        return (*outcomes, value("penstock_config_refused") or 0)

    @property
    def models(self) -> tuple[str, ...]:
        return self.applied[-1].models


@pytest.fixture
def world(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> World:
    caplog.set_level(logging.INFO, "penstock")
    return World(tmp_path / "penstock.toml")


def lines(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno == level]


async def test_a_change_applies_once_it_is_settled(world: World, caplog: pytest.LogCaptureFixture) -> None:
    await world.look()
    assert len(world.applied) == 1
    world.write("[models.a]\n[models.b]\nmax_rows = 3\n")
    await world.look(twice=False)
    assert len(world.applied) == 1
    await world.look(twice=False)
    assert world.models == ("a=a", "b=b")
    assert world.applied[-1].of("b").max_rows == 3
    assert lines(caplog, logging.INFO) == [f"{world.path}: adding b."]
    await world.look()
    assert (len(world.applied), world.done, world.numbers()) == (2, 1, (1, 0, 0))


async def test_a_file_that_cannot_be_used_changes_nothing_and_says_so_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.write("[models.a]\nmax_rows = 0\n")
    await world.look()
    await world.look()
    (said,) = lines(caplog, logging.ERROR)
    assert said.startswith(f"{world.path} cannot be used and changes nothing; it is read again when it changes. The")
    assert (world.models, world.numbers()) == (("a=a",), (0, 1, 1))
    world.write("[models.a]\nmax_rows = ")
    await world.look()
    world.path.unlink()
    await world.look()
    assert "There is no file" in lines(caplog, logging.ERROR)[-1]
    assert world.numbers() == (0, 3, 1)
    world.write("[models.a]\nmax_rows = 4\n")
    await world.look()
    assert world.applied[-1].of("a").max_rows == 4
    assert world.numbers() == (1, 3, 0)


async def test_a_file_that_is_good_again_is_said_to_be_though_nothing_changes(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    good = world.path.read_text()
    world.write("[models.a]\nmax_rows = 0\n")
    await world.look()
    world.write(good)
    await world.look()
    assert lines(caplog, logging.INFO) == [f"{world.path}: can be used again: no model has changed."]
    world.write(f"{good}\n")
    await world.look()
    assert len(lines(caplog, logging.INFO)) == 1


async def test_models_that_do_not_go_together_change_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.write('default_model = "b"\n[models.a]\n')
    await world.look()
    assert "The default model 'b' is not one of" in lines(caplog, logging.ERROR)[0]
    assert len(world.applied) == 1


async def test_whoever_asks_is_answered_at_once_and_each_time(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.reloader.ask()
    await world.look(twice=False)
    world.write("[models.b]\n")
    world.reloader.ask()
    await world.look(twice=False)
    assert world.models == ("b=b",)
    assert lines(caplog, logging.INFO) == [
        f"{world.path}: no model has changed.",
        f"{world.path}: adding b; removing a.",
    ]
    world.write("nonsense")
    for _ in range(2):
        world.reloader.ask()
        await world.look(twice=False)
    assert len(lines(caplog, logging.ERROR)) == 2


async def test_what_needs_a_restart_is_named(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.write('port = 9000\nworkers = 3\napi_token = "s3cret"\n[models.a]\n')
    await world.look()
    (said,) = lines(caplog, logging.WARNING)
    assert "port, workers, api_token cannot change while the server runs" in said
    assert "s3cret" not in caplog.text
    assert lines(caplog, logging.INFO) == []


async def test_a_default_model_that_a_restart_would_lose_is_named(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.default = "a"
    world.write("[models.a]\n[models.b]\n")
    await world.look()
    (said,) = lines(caplog, logging.WARNING)
    assert said.endswith('default_model = "a"')
    world.write('default_model = "a"\n[models.a]\n[models.b]\n')
    await world.look()
    assert len(lines(caplog, logging.WARNING)) == 1


async def test_a_server_that_ends_changes_nothing_more(world: World) -> None:
    world.ending = True
    world.write("[models.b]\n")
    await world.look()
    assert len(world.applied) == 1


@pytest.mark.parametrize("watches", [True, False])
async def test_it_looks_by_itself_or_only_when_asked(
    world: World, watches: bool, caplog: pytest.LogCaptureFixture
) -> None:
    started = world.applied[0].model_copy(update={"watch_config": watches})
    file = SettingsFile(world.path, started, world.read)
    broken = [ValueError("a mistake of ours")]

    def read() -> ServerSettings:
        if broken:
            raise broken.pop()
        return world.read()

    reloader = Reloader(world, SettingsFile(file.path, started, read), world.metrics, lambda: False, interval=0.001)
    reloader.begin()
    for models in ("[models.b]\n", "[models.c]\n"):  # the first of which meets the mistake
        world.write(models)
        if not watches:
            reloader.ask()
        await until(partial(lambda before: world.numbers()[0] > before or not broken, world.numbers()[0]))
    await until(lambda: world.models == ("c=c",))
    assert "a mistake of ours" in caplog.text
    await reloader.close()
    world.write("[models.d]\n")
    reloader.ask()
    await asyncio.sleep(0)
    assert world.models == ("c=c",)
    with pytest.raises(ConfigError):
        load_settings({}, {}, world.path.with_name("other.toml"))
