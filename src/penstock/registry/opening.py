"""How a URL becomes an SqlRegistry: one function per kind of URL, named in the table of `open_registry`."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from penstock.artifacts import PackageCache
from penstock.errors import ConfigError
from penstock.registry.interface import Registry
from penstock.registry.sql.store import SqlRegistry
from penstock.sql.postgresql import PostgresDatabase
from penstock.sql.search.compiling import SQLITE_FUNCTIONS
from penstock.sql.sqlite import SqliteDatabase
from penstock.store_places import ARTIFACT_DIRECTORY, DATABASE_FILE, held_by_mlflow, is_mlflows_file_store


def open_embedded(url: str, artifacts: str | None, read_only: bool, cache: PackageCache) -> Registry:
    """A directory, given as an absolute path, with the database file and the packages in it."""
    directory = Path(url)
    if directory.is_file():
        raise ConfigError(
            f"{directory} is a file, but an embedded registry is a directory.",
            hint=f"For a SQLite file, write sqlite:///{directory}",
        )
    if is_mlflows_file_store(directory):
        raise held_by_mlflow(str(directory), "a directory of MLflow's file store")
    database = SqliteDatabase(
        directory / DATABASE_FILE, place=str(directory), read_only=read_only, functions=SQLITE_FUNCTIONS
    )
    return SqlRegistry(database, artifact_root=artifacts or str(directory / ARTIFACT_DIRECTORY), cache=cache)


def open_sqlite(url: str, artifacts: str | None, read_only: bool, cache: PackageCache) -> Registry:
    """A SQLite file, with the packages in a directory beside it unless they are elsewhere."""
    parsed = _parsed(url)
    if not parsed.database or parsed.database == ":memory:" or parsed.host or parsed.query:
        raise ConfigError(
            "A SQLite registry needs a file, without URL options.",
            hint="Write sqlite:///relative.db or sqlite:////absolute.db; for a registry in memory, memory:.",
        )
    path = Path(os.path.abspath(parsed.database))
    root = artifacts or str(path.parent / ARTIFACT_DIRECTORY)
    database = SqliteDatabase(path, read_only=read_only, functions=SQLITE_FUNCTIONS)
    return SqlRegistry(database, artifact_root=root, cache=cache)


def open_postgresql(url: str, artifacts: str | None, read_only: bool, cache: PackageCache) -> Registry:
    """A PostgreSQL database. Where the packages are must be said: every reader has to find them."""
    parsed = _parsed(url)
    if artifacts is None:
        raise ConfigError(
            "A registry in PostgreSQL needs a place for the packages.",
            hint="Set artifacts (PENSTOCK_ARTIFACTS) to a directory or a URL such as s3://bucket/models.",
        )
    database = PostgresDatabase(parsed.set(drivername="postgresql+psycopg"), read_only=read_only)
    return SqlRegistry(database, artifact_root=artifacts, cache=cache)


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        # Neither the URL nor the parser's message, which may quote it: there may be a password in it.
        raise ConfigError(
            "The registry URL cannot be read.", hint="It looks like scheme://user:password@host/name."
        ) from None
