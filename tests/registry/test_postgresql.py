"""What only PostgreSQL has: privileges, and migrations that wait to be asked for. The contract tests cover the rest."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from psycopg import ConnectionInfo
from sqlalchemy import Connection, Engine, create_engine, make_url, text
from sqlalchemy.pool import NullPool

from penstock.cli.remedies import hint_of
from penstock.errors import (
    RegistryDenied,
    RegistryError,
    RegistryOutdated,
    RegistryReadOnly,
    RegistryUnavailable,
    SearchInvalid,
)
from penstock.mlflow_api.search.entities import EXPERIMENTS
from penstock.registry import NewVersion, Registry, open_registry
from penstock.registry.sql.store import SqlRegistry
from penstock.sql.dialect import run
from penstock.sql.postgresql import PostgresDatabase
from penstock.sql.search.compiling import SearchTable, find_rows
from penstock.sql.tables import REVISION_TABLE, metadata
from penstock.tracking.opening import open_database
from penstock.tracking.queries import ExperimentQuery
from support.postgres import Postgres, reader_of


def test_a_database_is_migrated_only_when_asked(postgres_url: str) -> None:
    with closing(open_registry(postgres_url, artifacts="s3://models")) as registry:
        for use in (registry.models, lambda: registry.register("fraud", NewVersion("x"))):
            with pytest.raises(RegistryOutdated) as caught:
                use()
            assert "penstock registry migrate" in hint_of(caught.value)
        assert "from no tables to revision" in registry.migrate()
        assert "up to date" in registry.migrate()
        assert registry.register("fraud", NewVersion("fraud/1")).source == "s3://models/fraud/1"


def test_migrations_at_once_make_one_schema(postgres_url: str) -> None:
    said: list[str] = []

    def work() -> None:
        with closing(open_registry(postgres_url, artifacts="x")) as registry:
            said.append(registry.migrate())

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("up to date" in sentence for sentence in said) == 2


def test_the_migrated_schema_is_the_one_in_tables(postgres_url: str) -> None:
    with closing(open_registry(postgres_url, artifacts="x")) as registry:
        registry.migrate()
    engine = create_engine(make_url(postgres_url), poolclass=NullPool)
    with engine.connect() as connection:
        options = {"version_table": REVISION_TABLE, "compare_type": True, "compare_server_default": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


def test_select_is_all_a_reader_needs(postgres_url: str) -> None:
    with closing(open_registry(postgres_url, artifacts="x")) as registry:
        registry.migrate()
        registry.register("fraud", NewVersion("x"))
        registry.promote("fraud", "1", by="ann")
    with reader_of(postgres_url) as url, closing(open_registry(url, artifacts="x")) as reader:
        assert reader.resolve("fraud").version == "1"
        assert len(reader.history("fraud")) == len(reader.models()) == 1
        for write in (
            lambda: reader.register("fraud", NewVersion("x")),
            lambda: reader.delete("fraud", "1"),
            lambda: reader.promote("fraud", "1", by="ben"),
        ):
            with pytest.raises(RegistryReadOnly, match="permission denied"):
                write()


def test_a_reader_never_migrates(postgres_url: str) -> None:
    with closing(open_registry(postgres_url, artifacts="x")) as registry:
        registry.migrate()
    engine = create_engine(make_url(postgres_url), poolclass=NullPool)
    with reader_of(postgres_url) as url:
        for revision, said in (("0000", "penstock registry migrate"), ("9999", "Upgrade Penstock")):
            with engine.begin() as connection:
                connection.execute(text(f"UPDATE {REVISION_TABLE} SET version_num = '{revision}'"))
            with closing(open_registry(url, artifacts="x", read_only=True)) as reader:
                with pytest.raises(RegistryOutdated) as caught:
                    reader.resolve("fraud")
                assert said in hint_of(caught.value)


_REFUSALS: list[tuple[str, type[RegistryError], str]] = [
    ("23505", RegistryUnavailable, "was changed by somebody else in this moment: words of the server. Nothing was"),
    ("40P01", RegistryUnavailable, "Try again."),
    ("53300", RegistryUnavailable, "takes no more connections: words of the server. Raise its max_connections"),
    ("54001", RegistryError, "does not take statements or values as large as this"),
    ("57014", RegistryUnavailable, "ended a statement that took too long"),
    ("57P01", RegistryUnavailable, "is being shut down"),
    ("42501", RegistryDenied, "does not let us read its tables"),
    ("XX001", RegistryUnavailable, "is damaged: words of the server. Restore it from a backup."),
    ("P0001", RegistryUnavailable, "refuses what it was asked: words of the server. The database's own log says"),
]


def test_a_server_that_answers_is_not_said_to_be_away(postgres_url: str) -> None:
    """Each of its refusals has plain words of its own."""
    with closing(open_registry(postgres_url, artifacts="x")) as registry, closing(open_database(postgres_url)) as db:
        registry.migrate()
        for code, kind, said in _REFUSALS:
            statement = f"DO $$ BEGIN RAISE EXCEPTION 'words of the server' USING ERRCODE = '{code}'; END $$"
            with pytest.raises(RegistryError) as caught:
                db.read(partial(_run, statement))
            assert type(caught.value) is kind, code
            assert said in f"{caught.value.message} {caught.value.hint}"
            assert "could not be asked" not in hint_of(caught.value)


def _run(statement: str, c: Connection) -> None:
    run(c, statement)


def test_behind_a_pooler_nothing_is_prepared(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which says another process than the one that answers, and another one answers in the next transaction."""

    def prepared() -> int:
        with (
            closing(open_registry(postgres_url, artifacts="x")) as registry,
            closing(open_database(postgres_url)) as db,
        ):
            registry.migrate()
            db.read(lambda c: [run(c, "SELECT count(*) FROM penstock_models") for _ in range(10)])
            count: int = db.read(lambda c: run(c, "SELECT count(*) FROM pg_prepared_statements").scalar())
        return count

    assert prepared() > 0
    monkeypatch.setattr(ConnectionInfo, "backend_pid", property(lambda self: -1))
    assert prepared() == 0


class TestTrouble:
    """The server goes away, comes back, or says nothing."""

    @pytest.fixture
    def registry(self, own_postgres_url: str) -> Iterator[Registry]:
        with closing(open_registry(own_postgres_url, artifacts="x")) as opened:
            opened.migrate()
            opened.register("fraud", NewVersion("x"))
            opened.promote("fraud", "1", by="ann")
            yield opened

    def test_a_restart_between_two_questions_is_not_noticed(self, registry: Registry, postgres: Postgres) -> None:
        assert registry.resolve("fraud").version == "1"
        postgres.stop()
        try:
            with pytest.raises(RegistryUnavailable, match="cannot be used"):
                registry.resolve("fraud")
        finally:
            postgres.start()
        assert registry.resolve("fraud").version == "1"
        postgres.stop()
        postgres.start()
        assert registry.promote("fraud", "1", by="ben").by == "ben"

    def test_a_server_that_stands_still_is_given_up(
        self, registry: Registry, postgres: Postgres, own_postgres_url: str
    ) -> None:
        url = make_url(own_postgres_url).update_query_dict({"connect_timeout": "2"})
        impatient = SqlRegistry(PostgresDatabase(url, answer_seconds=0.3), artifact_root="x")
        with closing(impatient):
            assert impatient.resolve("fraud").version == "1"
            begin = time.monotonic()
            with postgres.frozen(), pytest.raises(RegistryUnavailable):
                impatient.resolve("fraud")
            assert time.monotonic() - begin < 15
            assert impatient.resolve("fraud").version == "1"

    def test_nobody_waits_for_ever_for_a_lock(self, registry: Registry, own_postgres_url: str) -> None:
        url = make_url(own_postgres_url)
        blocker = create_engine(url, poolclass=NullPool)
        with closing(SqlRegistry(PostgresDatabase(url, answer_seconds=0.5), artifact_root="x")) as impatient:
            with blocker.begin() as connection:
                connection.execute(text("SELECT * FROM penstock_models FOR UPDATE"))
                assert impatient.resolve("fraud").version == "1"  # who reads does not wait
                with pytest.raises(RegistryUnavailable, match="ended a statement that took too long") as caught:
                    impatient.promote("fraud", "1", by="ben")
                assert "could not be asked" not in hint_of(caught.value)
            assert impatient.promote("fraud", "1", by="ben").by == "ben"

    def test_the_server_ends_what_takes_too_long(self, own_postgres_url: str) -> None:
        """Nobody waits for it any more; whoever asks again would add another."""

        def sleep(c: Connection) -> object:
            return run(c, "SELECT pg_sleep(30)").scalar()

        def sleepers(c: Connection) -> object:
            asked = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(30)'"
            return run(c, asked).scalar()

        with closing(PostgresDatabase(make_url(own_postgres_url), answer_seconds=0.5)) as database:
            database.migrate()
            for ask in (database.read, database.write):
                with pytest.raises(RegistryUnavailable, match="ended a statement that took too long"):
                    ask(sleep)
            assert database.read(sleepers) == 0

    def test_a_shorter_time_out_of_the_operators_stays(self, own_postgres_url: str) -> None:
        url = make_url(own_postgres_url)
        options = f"{url.query['options']} -cstatement_timeout=1234"
        for given, wanted in ((url, "8s"), (url.update_query_dict({"options": options}), "1234ms")):
            with closing(PostgresDatabase(given)) as database:
                database.migrate()
                assert database.read(lambda c: run(c, "SHOW statement_timeout").scalar()) == wanted

    def test_a_search_that_takes_too_long_is_told_to_be_simpler(self, own_postgres_url: str) -> None:
        slow = SearchTable(
            columns={"name": "(SELECT 'a' FROM pg_sleep(30))", "creation_time": "1", "experiment_id": "1"}
        )
        source = "penstock_experiments e"

        def search(c: Connection) -> object:
            query = ExperimentQuery("name = 'a'")
            return find_rows(*(c, EXPERIMENTS, slow, "e.id", source), query=query, order=[], mark=[], conditions=[])

        with closing(PostgresDatabase(make_url(own_postgres_url), answer_seconds=0.5)) as database:
            database.migrate()
            with pytest.raises(SearchInvalid, match="takes longer than the database may work at it") as caught:
                database.read(search)
            assert "fewer comparisons" in hint_of(caught.value)

    def test_a_migration_waits_for_another_however_long(self, own_postgres_url: str) -> None:
        url = make_url(own_postgres_url)
        engine = create_engine(url, poolclass=NullPool)
        said: list[str] = []
        with closing(SqlRegistry(PostgresDatabase(url, answer_seconds=0.3), artifact_root="x")) as second:
            with engine.begin() as connection:
                lock = {"key": PostgresDatabase.MIGRATION_LOCK}
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), lock)
                waiting = threading.Thread(target=lambda: said.append(second.migrate()))
                waiting.start()
                waiting.join(1)
                assert waiting.is_alive()
            waiting.join(30)
        assert len(said) == 1

    def test_a_name_that_becomes_free_while_a_version_waits_for_its_model_gets_a_new_one(
        self, registry: Registry, own_postgres_url: str
    ) -> None:
        engine = create_engine(make_url(own_postgres_url), poolclass=NullPool)
        made: list[str] = []
        with engine.begin() as connection:
            connection.execute(text("SELECT * FROM penstock_models FOR UPDATE"))
            waiting = threading.Thread(target=lambda: made.append(registry.register("fraud", NewVersion("y")).version))
            waiting.start()
            until_someone_waits(engine)
            connection.execute(text("UPDATE penstock_models SET name = 'theft'"))
        waiting.join(30)
        assert made == ["1"]
        assert [(m.name, m.versions) for m in registry.models()] == [("fraud", 1), ("theft", 1)]


def until_someone_waits(engine: Engine) -> None:
    """For a lock on a row, which another one holds."""
    mine = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for _ in range(1000):
            if connection.execute(text(mine)).scalar_one():
                return
            time.sleep(0.01)
    pytest.fail("nobody waits")
