"""One registry for each backend. A new backend joins every contract test by an entry here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from penstock.registry import Registry, open_registry
from registry.hub_server import ListeningHub, hub_registry_of, registry_of


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


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The contract runs over every backend. What MLflow's REST has not is marked `ours`, and what a hub's client leaves
    to the registry of the hub, `decided_here`."""
    if "contract_backend" in metafunc.fixturenames:
        marked = metafunc.definition.get_closest_marker
        servers = [*([] if marked("decided_here") else ["hub"]), *([] if marked("ours") else ["mlflow"])]
        metafunc.parametrize("contract_backend", [*BACKENDS, "postgresql", *servers])


@pytest.fixture(scope="session")
def listening_hub() -> Iterator[ListeningHub]:
    hub = ListeningHub()
    hub.start()
    yield hub
    hub.close()


@pytest.fixture
def registry(request: pytest.FixtureRequest, contract_backend: str, tmp_path: Path) -> Iterator[Registry]:
    """An empty registry that can be written, with a clock of its own."""
    if contract_backend in ("mlflow", "hub"):
        hub: ListeningHub = request.getfixturevalue("listening_hub")
        with hub.emptied(tmp_path, Clock()) as url:
            cache = tmp_path / "cache"
            made = registry_of(url, cache) if contract_backend == "mlflow" else hub_registry_of(url, cache, hub.behind)
            with closing(made) as asking:
                yield asking
        return
    if contract_backend == "postgresql":
        opened = open_registry(request.getfixturevalue("postgres_url"), artifacts=str(tmp_path / "artifacts"))
        with closing(opened):
            opened.migrate()
            opened._clock = Clock()
            yield opened
        return
    with BACKENDS[contract_backend](tmp_path) as opened:
        opened._clock = Clock()
        yield opened
