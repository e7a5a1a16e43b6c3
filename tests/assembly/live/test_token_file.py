"""The file of tokens of a running gateway: what a change does, and what one that cannot be used does not."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import pytest

from penstock.access.credentials import digest_of
from penstock.access.principal import OPERATOR, STRANGER
from penstock.assembly.live.token_file import TokenFile, following_tokens, open_token_file, tokens_of
from penstock.assembly.live.watching import read
from penstock.config import Settings
from penstock.errors import ConfigError
from penstock.metrics import Metrics
from serving.fakes import until

SHOP = f"shop predict {digest_of('one')}\n"
BOSS = f"boss admin {digest_of('two')}\n"


class World:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.write_text(SHOP + BOSS)
        self.metrics = Metrics(process=False)
        self.file = TokenFile(path, self.metrics)

    def look(self, content: str | None = None, *, times: int = 2) -> list[bool]:
        if content is not None:
            self.path.write_text(content)
        return [self.file.look(read(self.path)) for _ in range(times)]

    def numbers(self) -> tuple[float, ...]:
        value = self.metrics.registry.get_sample_value
        outcomes = [value("penstock_token_reloads_total", {"outcome": o}) or 0 for o in ("applied", "refused")]
        return (*outcomes, value("penstock_tokens_refused") or 0)


@pytest.fixture
def world(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> World:
    caplog.set_level(logging.INFO, "penstock")
    return World(tmp_path / "tokens")


def test_what_is_there_at_the_start_lets_in(world: World, caplog: pytest.LogCaptureFixture) -> None:
    assert TokenFile(world.path, world.metrics).content.decode() == SHOP + BOSS
    assert "1 with the role admin, 1 with the role predict" in caplog.text
    assert world.look() == [False, False]
    assert world.numbers() == (0, 0, 0)


def test_a_change_applies_once_two_looks_saw_it(world: World) -> None:
    assert world.look(BOSS, times=4) == [False, True, False, False]
    assert world.file.content.decode() == BOSS
    assert world.numbers() == (1, 0, 0)


def test_a_file_that_cannot_be_used_changes_nothing_and_is_said_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    assert world.look(f"{BOSS}shop predict pst_plain", times=5) == [False] * 5
    assert world.file.content.decode() == SHOP + BOSS
    assert world.numbers() == (0, 1, 1)
    errors = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "line 2 (shop) must have the SHA-256" in errors[0]
    assert "pst_plain" not in caplog.text
    assert world.look(BOSS)[-1]
    assert world.numbers() == (1, 1, 0)


def test_a_file_that_is_gone_changes_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.path.unlink()
    assert world.look(times=3) == [False] * 3
    assert world.file.content.decode() == SHOP + BOSS
    assert "is not there, or cannot be read. The tokens that were good before still are" in caplog.text
    assert world.numbers() == (0, 1, 1)


def test_a_file_without_tokens_lets_nobody_in(world: World, caplog: pytest.LogCaptureFixture) -> None:
    assert world.look("# all revoked\n")[-1]
    assert "holds no tokens, so that it lets nobody in" in caplog.text
    settings = Settings(tokens_file=str(world.path))
    tokens = tokens_of(settings, world.file.content)
    assert tokens.required
    assert tokens.identify(b"Bearer one") is tokens.identify(None) is STRANGER


def test_a_file_that_cannot_be_used_ends_the_start(tmp_path: Path) -> None:
    for name, said in (("none", "is not there"), ("bad", "line 1 must be NAME ROLE SHA256")):
        (tmp_path / "bad").write_text("pst_plain\n")
        with pytest.raises(ConfigError, match=said):
            open_token_file(Settings(tokens_file=str(tmp_path / name)), Metrics(process=False))


def test_what_is_no_file_or_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(ConfigError, match="is no file"):
            TokenFile(tmp_path / name, Metrics(process=False))
    monkeypatch.setattr("penstock.assembly.live.token_file.MAX_BYTES", len(SHOP))
    (tmp_path / "large").write_text(SHOP)
    with pytest.raises(ConfigError, match="bytes or more, and may not"):
        TokenFile(tmp_path / "large", Metrics(process=False))


async def test_a_file_that_becomes_a_pipe_keeps_nothing_waiting(world: World) -> None:
    told: list[bytes] = []
    async with following_tokens(world.file, told.append, interval=0):
        world.path.unlink()
        os.mkfifo(world.path)
        await until(lambda: world.numbers() == (0, 1, 1))
        world.path.unlink()
        world.path.write_text(BOSS)
        await until(lambda: told)
    assert told == [BOSS.encode()]


def test_the_static_token_lets_its_holder_in_beside_the_file(world: World) -> None:
    both = Settings(tokens_file=str(world.path), api_token="secret")
    assert tokens_of(both, world.file.content).identify(b"Bearer secret") is OPERATOR
    assert tokens_of(both, world.file.content).identify(b"Bearer one").name == "shop"
    assert tokens_of(both, b"").identify(b"Bearer one") is STRANGER, "a worker before it was told"
    alone = Settings(api_token="secret")
    assert open_token_file(alone, world.metrics) is None
    assert tokens_of(alone, b"").identify(b"Bearer secret") is OPERATOR
    assert not tokens_of(Settings(), b"").required


async def test_a_file_is_followed_while_the_server_runs(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[bytes] = []

    def admit(content: bytes) -> None:
        told.append(content)
        if len(told) == 1:
            raise RuntimeError("a mistake of ours")

    async with following_tokens(world.file, admit, interval=0):
        world.path.write_text(BOSS)
        await until(lambda: len(told) == 1)
        swapped = world.path.with_name("new")
        swapped.write_text(SHOP)
        swapped.rename(world.path)  # as Kubernetes and editors do it
        await until(lambda: len(told) == 2)
    assert [content.decode() for content in told] == [BOSS, SHOP]
    assert "could not be applied" in caplog.text
    world.path.write_text(BOSS)
    await asyncio.sleep(0)
    assert len(told) == 2


async def test_where_no_file_is_named_none_is_followed() -> None:
    async with following_tokens(None, lambda content: None):
        pass
