"""Reading MLflow's database, whatever it is: a few verbs over three drivers, in sessions that cannot write.

Statements have `?` for each parameter and double quotes around names. In PostgreSQL and MySQL all of an import sees one
state of the tables. SQLite's other users may not write while a statement of ours runs, unless the file is in WAL mode;
so there each statement is short, and the import sees what is there when it looks.
"""

from __future__ import annotations

import os
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from penstock.errors import ConfigError, DependencyMissing, ImportFailed

_BUSY_SECONDS = 60.0
_CONNECT_SECONDS = 10
_CACHE_KILOBYTES = 65_536
_SOURCES = "Name the file of MLflow's database, the directory that MLflow calls mlruns, or the address of its server."


class ReadOnlyConnection(ABC):
    """One connection, used by one thread. Every method raises ImportFailed where the database cannot be asked.
    `directory` is where its file lies, empty for a server."""

    errors: ClassVar[tuple[type[Exception], ...]] = ()
    directory = ""

    def __init__(self, place: str) -> None:
        self.place = place

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.place}>"

    def rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with self._translated():
            return self._rows(statement, parameters)

    def scalar(self, statement: str, *parameters: Any) -> Any:
        found = self.rows(statement, *parameters)
        return found[0][0] if found else None

    def columns(self, table: str) -> frozenset[str]:
        """Those of a table; none where there is no such table."""
        with self._translated():
            return frozenset(self._columns(table))

    @abstractmethod
    def points_of(self, run_id: str, count: int) -> Iterator[list[tuple[Any, ...]]]:
        """Key, step, timestamp, value and whether it is NaN of all points of one run, so many at a time, in any
        order. Nothing of them is held between two."""

    @abstractmethod
    def close(self) -> None:
        """Ends the session."""

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except self.errors as error:
            detail = str(error).strip().partition("\n")[0].rstrip(".")
            hint = _SOURCES if "not a database" in detail else ""
            raise ImportFailed(f"The database at {self.place} cannot be read: {detail}.", hint=hint) from error

    @abstractmethod
    def _rows(self, statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]: ...

    @abstractmethod
    def _columns(self, table: str) -> list[str]: ...


class SqliteSource(ReadOnlyConnection):
    """A file, opened for reading alone. Text that is no UTF-8 comes with half characters in it."""

    errors = (sqlite3.Error,)

    def __init__(self, path: Path) -> None:
        super().__init__(f"sqlite:///{path}")
        self.directory = str(path.parent)
        if not path.is_file():
            raise ImportFailed(
                f"There is no file {path}.", hint="Name MLflow's database: sqlite:////absolute/mlflow.db"
            )
        with self._translated():
            self._connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS)
            self._connection.execute("PRAGMA query_only = ON")
            self._connection.execute(f"PRAGMA cache_size = -{_CACHE_KILOBYTES}")

    def points_of(self, run_id: str, count: int) -> Iterator[list[tuple[Any, ...]]]:
        after = -(2**63)
        statement = (
            'SELECT "key", step, timestamp, value, is_nan, rowid FROM metrics '
            "WHERE run_uuid = ? AND rowid > ? ORDER BY rowid LIMIT ?"
        )
        while found := self.rows(statement, run_id, after, count):
            after = found[-1][5]
            yield found

    def close(self) -> None:
        self._connection.close()

    def _rows(self, statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        statement, parameters = _as_it_came(statement, parameters)
        try:
            return self._connection.execute(statement, parameters).fetchall()
        except sqlite3.OperationalError as error:
            if "decode" not in str(error):
                raise
        before = self._connection.text_factory
        self._connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
        try:
            return self._connection.execute(statement, parameters).fetchall()
        finally:
            self._connection.text_factory = before

    def _columns(self, table: str) -> list[str]:
        return [row[1] for row in self._rows(f'PRAGMA table_info("{table}")', ())]


def _as_it_came(statement: str, parameters: Sequence[Any]) -> tuple[str, Sequence[Any]]:
    """Text that is no UTF-8 has half characters here, and goes back as the bytes that it is there."""
    pieces, bound = statement.split("?"), list(parameters)
    whole = pieces[0]
    for at, after in enumerate(pieces[1:]):
        given, place = bound[at], "?"
        if isinstance(given, str) and not given.isascii() and any("\ud800" <= letter <= "\udfff" for letter in given):
            bound[at], place = given.encode("utf-8", "surrogateescape"), "CAST(? AS TEXT)"
        whole += place + after
    return whole, bound


class ServerSource(ReadOnlyConnection):
    """A database server, in one transaction that reads alone and sees one state of the tables."""

    def __init__(self, place: str, connect: Callable[[], Any], stream: Callable[[Any], Any]) -> None:
        super().__init__(place)
        self._stream = stream
        with self._translated():
            self._connection = connect()

    def points_of(self, run_id: str, count: int) -> Iterator[list[tuple[Any, ...]]]:
        statement = 'SELECT "key", step, timestamp, value, is_nan FROM metrics WHERE run_uuid = %s'
        with self._translated():
            cursor = self._stream(self._connection)
        try:
            with self._translated():
                cursor.execute(statement, (run_id,))
            while True:
                with self._translated():
                    found = cursor.fetchmany(count)
                if not found:
                    return
                yield list(found)
        finally:
            cursor.close()

    def close(self) -> None:
        self._connection.close()

    def _rows(self, statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement.replace("%", "%%").replace("?", "%s"), tuple(parameters))
            return list(cursor.fetchall())

    def _columns(self, table: str) -> list[str]:
        schema = "current_schema()" if isinstance(self, PostgresSource) else "database()"
        statement = (
            f"SELECT column_name FROM information_schema.columns WHERE table_schema = {schema} AND table_name = ?"
        )
        return [row[0] for row in self._rows(statement, (table,))]


class PostgresSource(ServerSource):
    def __init__(self, url: URL) -> None:
        try:
            import psycopg
        except ImportError as error:
            raise _missing("PostgreSQL", "psycopg", "postgres") from error
        self.errors = (psycopg.Error,)  # type: ignore[misc]
        plain = url.set(drivername="postgresql").render_as_string(hide_password=False)

        def connect() -> Any:
            connection = psycopg.connect(plain, connect_timeout=_CONNECT_SECONDS)
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            return connection

        super().__init__(
            place_of_server(url, "postgresql"), connect, lambda connection: connection.cursor(name="penstock_points")
        )


class MysqlSource(ServerSource):
    """MySQL or MariaDB."""

    def __init__(self, url: URL) -> None:
        try:
            import pymysql
        except ImportError as error:
            raise _missing("MySQL", "PyMySQL", "mysql") from error
        self.errors = (pymysql.MySQLError,)  # type: ignore[misc]

        def connect() -> Any:
            where: dict[str, Any] = {"unix_socket": socket} if (socket := url.query.get("unix_socket")) else {}
            connection = pymysql.connect(
                host=url.host or "localhost",
                port=url.port or 3306,
                user=url.username,
                password=str(url.password or ""),
                database=url.database,
                charset="utf8mb4",
                connect_timeout=_CONNECT_SECONDS,
                **where,
            )
            with connection.cursor() as cursor:
                cursor.execute("SET SESSION sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')")
                cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            return connection

        from pymysql.cursors import SSCursor

        super().__init__(place_of_server(url, "mysql"), connect, lambda connection: connection.cursor(SSCursor))


def open_source(url: str) -> ReadOnlyConnection:
    """A path of a SQLite file, or a URL as MLflow takes it. Raises ConfigError, ImportFailed, DependencyMissing."""
    if "://" not in url:
        return SqliteSource(Path(os.path.abspath(url)))
    try:
        parsed = make_url(url)
        kind = parsed.get_backend_name()
    except (ArgumentError, ValueError):
        raise ConfigError("The source's URL cannot be read.", hint="It looks like scheme://user@host/name.") from None
    if kind == "sqlite" and parsed.database:
        return SqliteSource(Path(os.path.abspath(parsed.database)))
    if kind in ("postgresql", "postgres"):
        return PostgresSource(parsed)
    if kind in ("mysql", "mariadb"):
        return MysqlSource(parsed)
    raise ConfigError(
        f"{kind}:// is no database that can be imported from.",
        hint="SQLite (sqlite:///FILE), PostgreSQL (postgresql://…) and MySQL (mysql://…) are.",
    )


def place_of_server(url: URL, scheme: str) -> str:
    """Without password, driver and options: the same database has the same name the next time."""
    host = url.host or url.query.get("host") or url.query.get("unix_socket")
    shown = URL.create(
        scheme,
        username=url.username,
        host=host if isinstance(host, str) else None,
        port=url.port,
        database=url.database,
    )
    return shown.render_as_string()


def _missing(what: str, library: str, extra: str) -> DependencyMissing:
    return DependencyMissing(
        f"Importing from {what} needs {library}, which is not installed.",
        hint=f"Install it with: pip install 'penstock[{extra}]'",
    )
