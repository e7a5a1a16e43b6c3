"""An embedded store that is only read: it has to be there, since opening one makes its tables where there are none."""

from __future__ import annotations

import os
import shlex
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from penstock.errors import TrackingUnavailable
from penstock.fluent.settings import TrackingSettings
from penstock.store_places import DATABASE_FILE, directory_of, is_mlflows_file_store, refuse_what_is_no_store


def existing(settings: TrackingSettings) -> TrackingSettings:
    """What opens the store for reading. Raises TrackingUnavailable where there is none."""
    uri = settings.uri
    if "://" in uri and not uri.startswith("file:"):
        # Who reads needs no place for files: those of a run are listed as far as its store knows them.
        settings = replace(settings, artifacts=settings.artifacts or os.devnull)
        if not uri.startswith("sqlite:"):
            return settings
        file = Path(uri.partition("///")[2])
    else:
        file = Path(directory_of(uri), DATABASE_FILE)
        if file.parent.is_file():
            refuse_what_is_no_store(file.parent)
        _refuse_files_of_mlflow(file.parent)
    _refuse_other_databases(uri, file)
    return settings


def _refuse_files_of_mlflow(directory: Path) -> None:
    if is_mlflows_file_store(directory):
        raise TrackingUnavailable(
            f"{directory} was written by MLflow without a server, in a form that is not read here.",
            hint=_moving(str(directory)),
        )


def _refuse_other_databases(uri: str, file: Path) -> None:
    tables = _tables_of(file)
    if any(table.startswith("penstock_") for table in tables):
        return
    if {"experiments", "runs", "latest_metrics"} <= tables:
        raise TrackingUnavailable(
            f"{uri} is a database of MLflow's own, whose tables are not read here.",
            hint=_moving(uri),
        )
    raise TrackingUnavailable(
        f"There are no runs in {uri} yet: there is no such store.",
        hint="Log runs with penstock.tracking, start a hub (penstock hub), or name another place with --tracking.",
    )


def _moving(source: str) -> str:
    return (
        f"Move what it holds into a store (penstock hub import {shlex.quote(source)}), or serve it with MLflow, "
        "and give --tracking the server's address."
    )


def _tables_of(file: Path) -> set[str]:
    """Their names; none where there is no such file, and where it is no database."""
    if not file.is_file():
        return set()
    try:
        with closing(sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode=ro", uri=True)) as connection:
            return {str(name) for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    except sqlite3.Error:
        return set()
