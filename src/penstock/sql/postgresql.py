"""PostgreSQL through psycopg 3. Reading takes SELECT alone; `migrate` is never run by itself.

No call waits for ever: a server that is reached and does not answer is given up after ANSWER_SECONDS, whatever holds
it up, so that a gateway that is stopped meanwhile ends in time. The server itself ends a statement a little earlier:
one that nobody waits for any more would go on there. Connections are kept, and tried before they are used: one that a
restarted server has forgotten is replaced unseen. A pooler may lie between, which gives each transaction another
process of the server's (PgBouncer in its mode `transaction`): nothing here needs two transactions of one process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, text

from penstock.errors import DependencyMissing
from penstock.sql.answer_watch import AnswerWatch
from penstock.sql.database import Database, count_change

T = TypeVar("T")

CONNECT_SECONDS = 5
ANSWER_SECONDS = 10.0
# Of the wait for an answer, what a statement may take; the rest is for the way of the refusal.
STATEMENT_SHARE = 0.8

# Guarded transactions at once: they last as long as a file takes, and leave connections to everybody else.
_GUARDS = 8

# A shorter time-out of the operator's stays. Compiling a statement takes longer than any of ours does: PostgreSQL
# begins with it by a guess at the cost, which a long filter makes high.
_PREPARE = """
SELECT pg_backend_pid(), set_config('jit', 'off', false),
       (SELECT set_config('statement_timeout', %(most)s::text, false) FROM pg_settings
        WHERE name = 'statement_timeout' AND setting::integer NOT BETWEEN 1 AND %(most)s)
"""


class PostgresDatabase(Database):
    """A database by URL. `answer_seconds` bounds each wait for the server, but for migrations, which take what they
    take."""

    # Any number will do, so long as it is always the same: migrations wait for each other.
    MIGRATION_LOCK = 0x70656E73746F636B
    GUARD_LOCK = MIGRATION_LOCK + 1

    def __init__(self, url: URL, *, read_only: bool = False, answer_seconds: float = ANSWER_SECONDS) -> None:
        # The query part goes too: a password may be given there.
        super().__init__(
            url.set(drivername="postgresql", query={}).render_as_string(hide_password=True), read_only=read_only
        )
        connect = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_SECONDS}
        try:
            self._engine: Engine = create_engine(url, connect_args=connect, pool_pre_ping=True)
        except ImportError as error:
            raise DependencyMissing(
                "A registry in PostgreSQL needs psycopg, which is not installed.",
                hint="Install it with: pip install 'penstock[postgres]'",
            ) from error
        from psycopg import DataError, Error

        self._driver_errors = (Error,)
        self._value_errors = (DataError,)
        self._watch = AnswerWatch(answer_seconds)
        self._guards = BoundedSemaphore(_GUARDS)
        event.listen(self._engine, "do_connect", _connector(self._watch))
        self._reader = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    def read(self, query: Callable[[Connection], T]) -> T:
        with self._translated(writing=False), self._reader.begin() as connection:
            self._check_revision(connection)
            return query(connection)

    def write(self, change: Callable[[Connection], T]) -> T:
        self._refuse_if_read_only()
        with self._translated(writing=True), self._engine.begin() as connection:
            self._check_revision(connection)
            changed = change(connection)
            count_change(connection)
            return changed

    @contextmanager
    def snapshot(self, directory: Path) -> Iterator[Connection]:
        """One transaction that sees what was committed before it began. Each of its reads is short."""
        with self._translated(writing=False), self._reader.begin() as connection:
            yield connection

    def fill(self, change: Callable[[Connection], T]) -> T:
        self._refuse_if_read_only()
        with self._translated(writing=True), self._engine.begin() as connection, _without_timeout(connection):
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": self.MIGRATION_LOCK})
            self._refuse_mlflows(connection)
            return change(connection)

    def guarded(self, look: Callable[[Connection], object], then: Callable[[], T], *, alone: bool) -> T:
        """By an advisory lock to the end of the transaction. What others commit while it is waited for is seen: each
        statement looks at the tables anew."""
        lock = text(f"SELECT pg_advisory_xact_lock{'' if alone else '_shared'}(:key)")
        with self._guards, self._translated(writing=False), self._engine.begin() as connection:
            self._check_revision(connection)
            connection.execute(lock, {"key": self.GUARD_LOCK})
            look(connection)
            return then()

    def migrate(self) -> str:
        self._refuse_if_read_only()
        with self._translated(writing=True), self._engine.begin() as connection, _without_timeout(connection):
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": self.MIGRATION_LOCK})
            return self._migrated(connection)

    def close(self) -> None:
        self._engine.dispose()
        self._watch.close()


def _connector(watch: AnswerWatch) -> Callable[..., Any]:
    """Connects as SQLAlchemy would, to a connection whose waits end."""
    import psycopg

    class TimedConnection(psycopg.Connection[Any]):
        is_timed = True

        def wait(self, *args: Any, **named: Any) -> Any:
            """Every wait for the server comes through here. The server may be stopped, or the way there cut with
            nobody saying so: no time-out of the server's own helps then."""
            if not self.is_timed:
                return super().wait(*args, **named)
            with watch.over(self.fileno()) as waiting:
                try:
                    return super().wait(*args, **named)
                except psycopg.OperationalError:
                    if not waiting.given_up:
                        raise
                    raise psycopg.OperationalError(f"the server does not answer within {watch.seconds:g} s") from None

    def connect(dialect: Any, record: Any, args: list[Any], named: dict[str, Any]) -> Any:
        connection = TimedConnection.connect(*args, **named)
        told = connection.execute(_PREPARE, {"most": round(watch.seconds * STATEMENT_SHARE * 1000)}).fetchone()
        if told is None or told[0] != connection.info.backend_pid:
            # A pooler, which says who it is itself: the next transaction may run in another process of the server's,
            # which does not know what was prepared in this one.
            connection.prepare_threshold = None
        connection.commit()
        return connection

    return connect


@contextmanager
def _without_timeout(connection: Connection) -> Iterator[None]:
    """Neither here nor in the server, to the end of the transaction."""
    driver: Any = connection.connection.driver_connection
    before, driver.is_timed = driver.is_timed, False
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    try:
        yield
    finally:
        driver.is_timed = before
