"""How a store's URL becomes a database for registry and tracking together."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from penstock.errors import ConfigError
from penstock.sql.database import Database
from penstock.sql.postgresql import PostgresDatabase
from penstock.sql.search.compiling import SQLITE_FUNCTIONS
from penstock.sql.sqlite import SqliteDatabase
from penstock.store_places import DATABASE_FILE, directory_of, refuse_mistyped, refuse_what_is_no_store


def open_database(url: str) -> Database:
    """A directory (or `file:` URL) with the embedded database, sqlite:///FILE, or postgresql://…; for a server, so that
    connections are kept. Raises ConfigError."""
    refuse_mistyped(url)
    url = directory_of(url)
    if "://" not in url:
        directory = Path(os.path.abspath(url))
        refuse_what_is_no_store(directory)
        path = directory / DATABASE_FILE
        return SqliteDatabase(path, place=str(directory), keep=True, functions=SQLITE_FUNCTIONS)
    parsed = _parsed(url)
    kind = parsed.get_backend_name()
    if kind == "sqlite":
        if not parsed.database or parsed.database == ":memory:" or parsed.host or parsed.query:
            raise ConfigError(
                "A SQLite store needs a file, without URL options.",
                hint="Write sqlite:///relative.db or sqlite:////absolute.db.",
            )
        return SqliteDatabase(Path(os.path.abspath(parsed.database)), keep=True, functions=SQLITE_FUNCTIONS)
    if kind == "postgresql":
        return PostgresDatabase(parsed.set(drivername="postgresql+psycopg"))
    raise ConfigError(
        f"{kind}:// is no store.", hint="A store is a directory, sqlite:///FILE, or postgresql://user@host/database."
    )


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        # Neither the URL nor the parser's message, which may quote it: there may be a password in it.
        raise ConfigError(
            "The store's URL cannot be read.", hint="It looks like scheme://user:password@host/name."
        ) from None
