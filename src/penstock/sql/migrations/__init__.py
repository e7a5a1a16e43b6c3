"""Alembic, used from code: `upgrade` brings the tables behind a connection to `tables.HEAD`."""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

# Alembic keeps its environment in module globals, so one migration at a time in a process.
_ONE_AT_A_TIME = threading.Lock()


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's settings, made here instead of read from an alembic.ini. What it would print goes nowhere."""
    from alembic.config import Config

    config = Config(stdout=io.StringIO())
    config.set_main_option("script_location", "penstock.sql:migrations")
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Runs what is missing to a revision, inside the transaction that the caller began and will commit."""
    from alembic import command

    with _ONE_AT_A_TIME:
        command.upgrade(alembic_config(connection), revision)
