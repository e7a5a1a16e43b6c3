"""`penstock hub migrate`: the tables of a store in a database that others share."""

from __future__ import annotations

import click


@click.command()
@click.pass_obj
def migrate(store: str) -> None:
    """Migrate the tables of --store to the schema of this release.

    A hub does this by itself for a store in a directory, and never for one in PostgreSQL, which others may use: its
    user needs no right to change tables then.

    \b
    Example:
      penstock hub --store postgresql://owner@db/penstock migrate
    """
    from penstock.assembly.hub import migrate_store

    click.echo(migrate_store(store))
