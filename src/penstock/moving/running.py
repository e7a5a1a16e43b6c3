"""An import out of plain values: its source, the store, and where files are."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace

from penstock.artifacts.opening import open_tree
from penstock.errors import ConfigError, remedy
from penstock.moving.importer import ImportOptions, import_all
from penstock.moving.opening import open_import_source
from penstock.moving.steps.session import OnProgress
from penstock.moving.tally import ImportReport
from penstock.moving.target import ImportTarget
from penstock.registry.sql.store import SqlRegistry
from penstock.sql.database import Database
from penstock.sql.sqlite import SqliteDatabase
from penstock.tracking.opening import open_database
from penstock.tracking.sql.store import SqlTrackingStore


def run_import(
    source: str,
    store: str,
    artifacts: str,
    options: ImportOptions,
    progress: OnProgress,
    *,
    accept_unknown: bool = False,
) -> ImportReport:
    """Raises what opening source and store raises, and what `import_all` does."""
    with ExitStack() as opened:
        found = opened.enter_context(closing(open_import_source(source, accept_unknown=accept_unknown)))
        given = opened.enter_context(_existing(store)) if options.dry_run else store
        database = opened.enter_context(closing(open_database(given)))
        _refuse_same(found.place, database)
        if not options.dry_run or given != store:
            if isinstance(database, SqliteDatabase):
                database.migrate()
            # Which makes the default experiment, where there is none yet.
            opened.enter_context(closing(SqlTrackingStore(database, artifact_root="mlflow-artifacts:")))
        registry = SqlRegistry(database, artifact_root=artifacts)
        target = ImportTarget(database, registry, open_tree(artifacts), found.place)
        report = import_all(found, target, options, progress)
        return replace(report, store=store) if options.dry_run else report


@contextmanager
def _existing(store: str) -> Iterator[str]:
    """A store that a look may be taken at: an empty one where none is there, since a look makes none."""
    with closing(open_database(store)) as database:
        missing = isinstance(database, SqliteDatabase) and not database.path.exists()
    if not missing:
        yield store
        return
    with tempfile.TemporaryDirectory(prefix="penstock-import-") as directory:
        yield directory


def _refuse_same(place: str, database: Database) -> None:
    """A store that lives in MLflow's own database: its tables are beside ours there, and nothing of it need move."""
    if isinstance(database, SqliteDatabase) and place == f"sqlite:///{database.path}":
        raise ConfigError(
            f"{place} is the store itself.",
            hint="Import into another store: a directory, sqlite:///FILE or a URL.",
            remedy=remedy("another_store"),
        )
