"""The one connection that a server writes to a SQLite file with.

Its transactions are begun and ended at the driver, and SQLAlchemy is told of none that does not ask for it: taking a
connection from a pool, its events and its giving back cost as much as all statements of a small commit.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError


class SqliteWriter:
    """Threads wait for each other here, in turn, rather than in SQLite, which asks again and again. `engine` makes the
    connection, and begins no transaction on one that has one; a thread that waits for longer than `seconds` gets what
    SQLite says of a lock."""

    def __init__(self, engine: Engine, *, seconds: float) -> None:
        self._engine = engine
        self._seconds = seconds
        self._lock = threading.Lock()
        # The whole mutable state, under the lock: the connection, None where the next transaction opens one.
        self._connection: Connection | None = None

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Committed at its end; where that fails or something is raised, nothing of it is there."""
        if not self._lock.acquire(timeout=self._seconds):
            raise sqlite3.OperationalError("another thread has been writing for too long")
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            connection = self._connection
            driver: Any = connection.connection.driver_connection
            try:
                driver.execute("BEGIN IMMEDIATE")
                yield connection
                if connection.in_transaction():
                    connection.commit()
                else:
                    driver.execute("COMMIT")
            except BaseException:
                # Another one next time: whatever is wrong with this one, it is not found out here.
                self._drop()
                raise
        finally:
            self._lock.release()

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        """SQLite rolls back what a connection that is closed had begun."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError, sqlite3.Error):
                connection.invalidate()
                connection.close()
