"""One registry for each backend. A new backend joins every contract test by an entry here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from penstock.registry import Registry, open_registry


class Clock:
    """A second later at each call."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@contextmanager
def memory(tmp_path: Path) -> Iterator[Registry]:
    yield open_registry("memory:", artifacts=str(tmp_path / "artifacts"))


@contextmanager
def sqlite(tmp_path: Path) -> Iterator[Registry]:
    registry = open_registry(str(tmp_path / "registry"), artifacts=str(tmp_path / "artifacts"))
    registry.migrate()
    yield registry
    registry.close()


BACKENDS: dict[str, Callable[[Path], AbstractContextManager[Registry]]] = {"memory": memory, "sqlite": sqlite}


@pytest.fixture(params=[*BACKENDS, "postgresql"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Registry]:
    """An empty registry that can be written, with a clock of its own."""
    if request.param == "postgresql":
        opened = open_registry(request.getfixturevalue("postgres_url"), artifacts=str(tmp_path / "artifacts"))
        with closing(opened):
            opened.migrate()
            opened._clock = Clock()
            yield opened
        return
    with BACKENDS[request.param](tmp_path) as opened:
        opened._clock = Clock()
        yield opened
