"""Tables of an empty database, made by what the first migration in this process sent, and not by Alembic again.

Most tests begin with an empty database. Finding out what to send takes forty milliseconds each time, sending it two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, event, inspect

from penstock.sql import database, sqlite
from penstock.sql.migrations import upgrade
from penstock.sql.tables import REVISION_TABLE

_CHANGES = ("CREATE", "ALTER", "DROP", "INSERT", "UPDATE", "DELETE")

# What was sent, with its parameters, by dialect.
_sent: dict[str, list[tuple[str, Any]]] = {}


@contextmanager
def replayed_migrations() -> Iterator[None]:
    """Whatever migrates an empty database meanwhile sends that; one that is not empty is migrated as ever."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (database, sqlite):
            patch.setattr(module, "upgrade", upgrade_quickly)
        yield


def upgrade_quickly(connection: Connection, revision: str = "head") -> None:
    dialect = connection.dialect.name
    if revision != "head" or inspect(connection).has_table(REVISION_TABLE):
        upgrade(connection, revision)
    elif dialect not in _sent:
        with _recorded(connection) as sent:
            upgrade(connection)
        _sent[dialect] = sent
    else:
        for statement, parameters in _sent[dialect]:
            connection.exec_driver_sql(statement, parameters)


@contextmanager
def _recorded(connection: Connection) -> Iterator[list[tuple[str, Any]]]:
    sent: list[tuple[str, Any]] = []

    def note(_: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if statement.lstrip().startswith(_CHANGES):
            sent.append((statement, parameters or None))

    remember: Callable[..., None] = note
    event.listen(connection, "before_cursor_execute", remember)
    try:
        yield sent
    finally:
        event.remove(connection, "before_cursor_execute", remember)
