"""One registry for each backend. A new backend joins every contract test by an entry in BACKENDS."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, make_url, text
from sqlalchemy.pool import NullPool

from penstock.registry import Registry, open_registry

POSTGRES_VARIABLE = "PENSTOCK_TEST_POSTGRES"  # postgresql://user:password@host/database; a schema is made for each test


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


@contextmanager
def schema() -> Iterator[URL]:
    """The database of POSTGRES_VARIABLE, in a schema of its own."""
    url = make_url(os.environ[POSTGRES_VARIABLE]).set(drivername="postgresql+psycopg")
    name = f"test_{uuid.uuid4().hex}"
    admin = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with admin.connect() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    try:
        yield url.update_query_dict({"options": f"-csearch_path={name}"})
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP SCHEMA {name} CASCADE"))


@contextmanager
def postgresql(tmp_path: Path) -> Iterator[Registry]:
    with schema() as url, closing(open_registry(shown(url), artifacts=str(tmp_path / "artifacts"))) as registry:
        registry.migrate()
        yield registry


def shown(url: URL) -> str:
    return url.render_as_string(hide_password=False)


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """An empty schema of a real PostgreSQL."""
    if not os.environ.get(POSTGRES_VARIABLE):
        pytest.skip(f"{POSTGRES_VARIABLE} names no PostgreSQL")
    with schema() as url:
        yield shown(url)


BACKENDS: dict[str, Callable[[Path], AbstractContextManager[Registry]]] = {"memory": memory, "sqlite": sqlite}
if os.environ.get(POSTGRES_VARIABLE):
    BACKENDS["postgresql"] = postgresql


@pytest.fixture(params=BACKENDS)
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Registry]:
    """An empty registry that can be written, with a clock of its own."""
    with BACKENDS[request.param](tmp_path) as opened:
        opened._clock = Clock()
        yield opened
