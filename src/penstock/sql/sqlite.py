"""The embedded registry's database: one SQLite file, made by the first write, in WAL mode.

A connection is opened for each transaction and closed after it. That takes about a millisecond, leaves no thread or
handle behind, and sees at once a file that was replaced or moved here. A server that answers out of the file all day
keeps its connections (`keep`), and opens others when the file is another one. WAL needs a local file system.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, QueuePool

from penstock.errors import RegistryError, RegistryNotFound, RegistryReadOnly, RegistryUnavailable, remedy
from penstock.sql.database import Database, count_change
from penstock.sql.migrations import upgrade
from penstock.sql.sqlite_writer import SqliteWriter
from penstock.sql.tables import HEAD

T = TypeVar("T")

# Functions that statements may call, by name: the number of their arguments, and what they do.
Functions: TypeAlias = Mapping[str, tuple[int, Callable[..., Any]]]

BUSY_SECONDS = 30.0


class SqliteDatabase(Database):
    """One file. Writers queue at BEGIN IMMEDIATE; readers do not wait for them and never change the file."""

    def __init__(
        self,
        path: Path,
        *,
        place: str | None = None,
        read_only: bool = False,
        keep: bool = False,
        functions: Functions | None = None,
    ) -> None:
        super().__init__(place or str(path), read_only=read_only)
        self.path = path
        self._keep = keep
        self._reader = _engine(path, "mode=ro", begin="BEGIN", keep=keep, functions=functions)
        self._frozen_reader = _engine(path, "mode=ro&immutable=1", begin="BEGIN", functions=functions)
        self._writer = _engine(path, "mode=rw", begin="BEGIN IMMEDIATE")
        kept = _engine(path, "mode=rw", begin="BEGIN IMMEDIATE", keep=True)
        self._kept_writer = SqliteWriter(kept, seconds=BUSY_SECONDS) if keep else None
        # Mutable state of a database that keeps its connections: which file they are connected to, by device and inode,
        # whether its tables were found to be of this release, and whether its directory may be written to.
        self._file: tuple[int, int] | None = None
        self._checked = False
        self._writable = False

    def read(self, query: Callable[[Connection], T]) -> T:
        if not self._exists():
            raise self._missing()
        before = self._frozen()
        if before is not None:
            try:
                found = self._read_with(self._frozen_reader, query)
            except RegistryError:
                if self._frozen() == before:
                    raise
            else:
                if self._frozen() == before:
                    return found
        return self._read_with(self._reader, query)

    def _read_with(self, engine: Engine, query: Callable[[Connection], T]) -> T:
        with self._translated(writing=False), engine.begin() as connection:
            if not self._checked:
                self._check_tables(connection)
                self._checked = self._keep
            return query(connection)

    def write(self, change: Callable[[Connection], T]) -> T:
        self._prepare()
        begun = self._writer.begin() if self._kept_writer is None else self._kept_writer.transaction()
        with self._translated(writing=True), begun as connection:
            if not self._checked:
                self._migrated(connection)
            changed = change(connection)
            count_change(connection)
        self._checked = self._keep
        return changed

    @contextmanager
    def snapshot(self, directory: Path) -> Iterator[Connection]:
        """A copy by SQLite's own backup, in one go: writers do not wait for it, and it need not begin anew for them."""
        if not self._exists():
            raise self._missing()
        options = "mode=ro" if self._frozen() is None else "mode=ro&immutable=1"
        copy = directory / "snapshot.db"
        with self._translated(writing=False):
            with (
                closing(sqlite3.connect(f"{self.path.as_uri()}?{options}", uri=True, timeout=BUSY_SECONDS)) as source,
                closing(sqlite3.connect(copy)) as target,
            ):
                target.execute("PRAGMA synchronous = OFF")  # whoever is cut off makes another one
                source.backup(target)
            with _engine(copy, "mode=rw", begin="BEGIN").begin() as connection:
                yield connection

    def fill(self, change: Callable[[Connection], T]) -> T:
        self._prepare()
        with self._translated(writing=True), self._writer.begin() as connection:
            self._refuse_mlflows(connection)
            changed = change(connection)
        self._checked = False
        return changed

    def migrate(self) -> str:
        if self._prepare():
            return f"Created a new registry at {self.place} (revision {HEAD})."
        with self._translated(writing=True), self._writer.begin() as connection:
            return self._migrated(connection)

    def close(self) -> None:
        """Closes the connections that are kept, if any are."""
        self._reader.dispose()
        if self._kept_writer is not None:
            self._kept_writer.close()

    def _check_tables(self, connection: Connection) -> None:
        try:
            self._check_revision(connection)
        except DBAPIError:  # there are none of ours
            self._refuse_mlflows(connection)
            raise

    @property
    def _url(self) -> str:
        return f"sqlite:///{self.path}"

    def _exists(self) -> bool:
        try:
            found = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise RegistryUnavailable(f"The registry at {self.place} cannot be read: {error.strerror}.") from error
        if self._keep and self._file != (found.st_dev, found.st_ino):
            self.close()
            self._file, self._checked, self._writable = (found.st_dev, found.st_ino), False, False
        return True

    def _missing(self) -> RegistryUnavailable:
        if self._file is not None:
            return RegistryUnavailable(
                f"The registry at {self.place} is gone: {self.path} is not there any more.", hint="Put the file back."
            )
        return RegistryNotFound(
            f"There is no registry at {self.place}.",
            hint="Registering the first model creates the registry.",
            remedy=remedy("create_registry"),
        )

    def _frozen(self) -> tuple[int, int, int] | None:
        """What identifies the file's present content where SQLite must be told that nobody writes; else None.

        Reading in WAL mode takes two files beside the database, which a reader cannot make in a directory that it may
        not write to. While no writer has made them either, all there is to read is in the file itself. A writer that
        comes while we read is noticed by calling this twice.
        """
        if self._may_write():
            return None
        try:
            if os.stat(f"{self.path}-wal").st_size:
                return None
        except OSError:
            pass
        now = self.path.stat()
        return now.st_ino, now.st_size, now.st_mtime_ns

    def _may_write(self) -> bool:
        """Whether the directory may be written to. Kept connections have made their files by then, so that is found out
        once."""
        if not self._writable and os.access(self.path.parent, os.W_OK):
            self._writable = self._keep
            return True
        return self._writable

    def _prepare(self) -> bool:
        """Makes the file if it is not there, and says whether it did. Raises RegistryReadOnly before SQLite would, and
        RegistryUnavailable where a file that was there is gone: an empty one in its place would hide that."""
        self._refuse_if_read_only()
        if self._exists():
            if not self._may_write():
                raise self._read_only_place("the directory is read-only")
            return False
        if self._file is not None:
            raise self._missing()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if not os.access(self.path.parent, os.W_OK):
                raise self._read_only_place("the directory is read-only")
            with self._translated(writing=True):
                return self._create()
        except OSError as error:
            reason = error.strerror or str(error)
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise self._read_only_place(reason) from error
            raise RegistryUnavailable(f"The registry at {self.place} cannot be created: {reason}.") from error

    def _create(self) -> bool:
        """Made beside and linked: nobody ever sees a file without its tables, and of two creators one wins."""
        draft = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex}")
        try:
            with closing(sqlite3.connect(draft)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
            with _engine(draft, "mode=rw", begin="BEGIN IMMEDIATE").begin() as transaction:
                upgrade(transaction)
            return _link(draft, self.path)
        finally:
            draft.unlink(missing_ok=True)

    def _read_only_place(self, reason: str) -> RegistryReadOnly:
        return RegistryReadOnly(f"The registry at {self.place} cannot be written: {reason}.")


def _link(draft: Path, path: Path) -> bool:
    """Gives the draft its name unless that is taken; says whether it did."""
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    except OSError:
        # A file system without hard links. Two first writers in the same instant are not told apart here.
        if path.exists():
            return False
        draft.rename(path)
    return True


def _engine(path: Path, options: str, *, begin: str, keep: bool = False, functions: Functions | None = None) -> Engine:
    def connect() -> sqlite3.Connection:
        # isolation_level None: transactions are begun below, not guessed by the driver.
        connection = sqlite3.connect(
            f"{path.as_uri()}?{options}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=not keep,
        )
        connection.execute("PRAGMA foreign_keys = ON")
        for name, (count, function) in (functions or {}).items():
            connection.create_function(name, count, function, deterministic=True)
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool if keep else NullPool)

    def begin_here(connection: Connection) -> None:
        driver: Any = connection.connection.driver_connection
        if not driver.in_transaction:  # it was begun at the driver
            driver.execute(begin)

    event.listen(engine, "begin", begin_here)
    return engine
