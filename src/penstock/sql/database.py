"""Where the tables are: transactions whose schema was checked, and every SQLAlchemy error translated, here alone."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from penstock.errors import (
    RegistryError,
    RegistryOutdated,
    RegistryReadOnly,
    RegistryUnavailable,
    remedy,
)
from penstock.sql.dialect import run
from penstock.sql.migrations import upgrade
from penstock.sql.server_errors import server_error
from penstock.sql.tables import HEAD, REVISION_TABLE
from penstock.store_places import held_by_mlflow

T = TypeVar("T")

_revisions = Table(REVISION_TABLE, MetaData(), Column("version_num", String(32)))


class Database(ABC):
    """Runs functions of a connection, each in one transaction. `place` names it to people, without a password."""

    # What the driver itself raises, where it is asked past SQLAlchemy.
    _driver_errors: tuple[type[Exception], ...] = (sqlite3.Error,)
    # Those of them that are about a value which no column takes: the database is well.
    _value_errors: tuple[type[Exception], ...] = (sqlite3.DataError,)

    def __init__(self, place: str, *, read_only: bool) -> None:
        self.place = place
        self._read_only = read_only

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.place}{' read-only' if self._read_only else ''}>"

    @abstractmethod
    def read(self, query: Callable[[Connection], T]) -> T:
        """What `query` returns, seeing one state of the tables. It may run twice."""

    @abstractmethod
    def write(self, change: Callable[[Connection], T]) -> T:
        """What `change` returns, once it is committed."""

    def guarded(self, look: Callable[[Connection], object], then: Callable[[], T], *, alone: bool) -> T:
        """What `then` returns, which runs once `look` has read something without raising. On a server both run beside
        others like them, and `alone` waits for all that began before, on any machine. A database that is a file is
        served by one process, which knows itself what it does."""
        self.read(look)
        return then()

    @abstractmethod
    def snapshot(self, directory: Path) -> AbstractContextManager[Connection]:
        """One state of the tables to read from for as long as that takes, whoever writes meanwhile, of whatever
        revision they are. `directory` is for a copy, where one is made: whoever gives it removes it."""

    @abstractmethod
    def fill(self, change: Callable[[Connection], T]) -> T:
        """What `change` returns, once it is committed: one that takes as long as it takes, and that makes the tables
        or finds them as they are. A file that is not there is made first, with tables of this release."""

    @abstractmethod
    def migrate(self) -> str:
        """Brings the tables to HEAD; says in one sentence what was done."""

    @abstractmethod
    def close(self) -> None:
        """Releases connections."""

    def _refuse_if_read_only(self) -> None:
        if self._read_only:
            raise RegistryReadOnly(f"The registry at {self.place} was opened for reading only.")

    def _migrated(self, connection: Connection) -> str:
        before = revision(connection) if inspect(connection).has_table(REVISION_TABLE) else None
        if before == HEAD:
            return f"The registry at {self.place} is up to date (revision {HEAD})."
        self._refuse_if_newer(before)
        self._refuse_mlflows(connection)
        upgrade(connection)
        return f"The registry at {self.place} was migrated from {before or 'no tables'} to revision {HEAD}."

    def _check_revision(self, connection: Connection) -> None:
        found = revision(connection)
        if found != HEAD:
            self._refuse_if_newer(found)
            raise self._outdated(f"are at revision {found or 'none'}; this release needs {HEAD}")

    def _refuse_mlflows(self, connection: Connection) -> None:
        """A database of MLflow's own gets no tables of ours; one that has both from before is used as it is."""
        has = inspect(connection).has_table
        if has("alembic_version") and has("experiments") and has("runs") and not has(REVISION_TABLE):
            raise held_by_mlflow(self._url, "a database of MLflow's own")

    @property
    def _url(self) -> str:
        return self.place

    def _refuse_if_newer(self, found: str | None) -> None:
        if found is not None and found > HEAD:  # revisions are numbered, in four digits
            raise RegistryOutdated(
                f"The registry at {self.place} was migrated by a newer Penstock (revision {found}; this release "
                f"knows {HEAD}).",
                hint="Upgrade Penstock on this machine.",
            )

    def _outdated(self, what: str) -> RegistryOutdated:
        return RegistryOutdated(
            f"The tables of the registry at {self.place} {what}.",
            hint="Migrate the registry first.",
            remedy=remedy("migrate"),
        )

    @contextmanager
    def _translated(self, *, writing: bool) -> Iterator[None]:
        """The boundary: nothing of SQLAlchemy or of a driver leaves it."""
        try:
            yield
        except DBAPIError as error:
            raise self._translate(error.orig, writing=writing) from error
        except self._driver_errors as error:
            raise self._translate(error, writing=writing) from error
        except SQLAlchemyError as error:
            raise self._unavailable(_first_line(error)) from error

    def _translate(self, error: BaseException | None, *, writing: bool) -> RegistryError:
        code = getattr(error, "sqlite_errorname", None) or getattr(error, "sqlstate", None) or ""
        detail = _first_line(error)
        missing_in_sqlite = isinstance(error, sqlite3.OperationalError) and detail.startswith(
            ("no such table", "no such column")
        )
        if code in ("42P01", "42703") or missing_in_sqlite:  # undefined table, undefined column
            return self._outdated("are missing or belong to another release")
        # 25006: a standby or a read-only session; 42501: no privilege.
        if code.startswith("SQLITE_READONLY") or code == "25006" or (code == "42501" and writing):
            return RegistryReadOnly(f"The registry at {self.place} cannot be written: {detail}.")
        if code in ("SQLITE_CORRUPT", "SQLITE_NOTADB"):
            return RegistryUnavailable(
                f"The registry at {self.place} is damaged or not a SQLite file: {detail}.",
                hint="Restore it from a backup.",
            )
        if isinstance(error, self._value_errors):
            return RegistryError(f"The registry at {self.place} cannot hold a value: {detail}.")
        if (told := server_error("53100" if code == "SQLITE_FULL" else code)) is not None:
            return told.kind(f"The registry at {self.place} {told.what}: {detail}.", hint=told.hint)
        if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return RegistryUnavailable(f"The registry at {self.place} is locked by another process: {detail}.")
        return self._unavailable(detail)

    def _unavailable(self, detail: str) -> RegistryUnavailable:
        """That nobody answered must not be read as "there is no such model"."""
        return RegistryUnavailable(
            f"The registry at {self.place} cannot be used: {detail}.",
            hint="The registry could not be asked, so nothing is known about its models.",
            remedy=remedy("ask_registry", registry=self.place),
        )


def count_change(connection: Connection) -> None:
    """Moves the change counter on, last in a transaction: whoever changes something waits for its row from then on."""
    run(connection, "UPDATE penstock_changes SET counter = counter + 1")


def revision(connection: Connection) -> str | None:
    """What the revision table says; None if it is empty."""
    return connection.execute(select(_revisions.c.version_num)).scalar_one_or_none()


def _first_line(error: BaseException | None) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
