"""`penstock hub token …`: who may ask the hub what."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import click

from penstock.cli.console import console, print_table, titled_table
from penstock.cli.registry_option import store_typed

if TYPE_CHECKING:
    from penstock.access.policy import HubRole

_ROLES = ("read", "write", "promote", "admin")


@click.group()
def token() -> None:
    """Add, list and revoke the tokens that callers of the hub need.

    Each role may do what those before it may: read looks at everything; write logs runs and files, and registers
    versions; promote moves aliases and stages; admin deletes, renames, and restores. Every change of the registry is
    recorded under the name of the token.

    \b
    Examples:
      penstock hub token add ann --role write
      penstock hub token list
      penstock hub token revoke ann

    \b
    The store of another place is named before the command:
      penstock hub --store postgresql://penstock@db/penstock \\
        token add ci --role promote
    """


@token.command()
@click.argument("name")
@click.option("--role", type=click.Choice(_ROLES), required=True, help="What its holder may do.")
@click.pass_obj
def add(store: str, name: str, role: str) -> None:
    """Make a token, and print it. It is shown this once: the hub keeps a digest of it.

    \b
    Examples:
      penstock hub token add ann --role write
      export MLFLOW_TRACKING_TOKEN=pst_…

    \b
    Or for a client that knows logins alone, with any user name:
      export MLFLOW_TRACKING_USERNAME=ann MLFLOW_TRACKING_PASSWORD=pst_…
    """
    from penstock.assembly.hub import open_tokens

    with closing(open_tokens(store)) as tokens:
        click.echo(tokens.add(name, cast("HubRole", role)))
        first = len(tokens.list()) == 1
    click.echo(f"{name} may {role}. Give it to the client as MLFLOW_TRACKING_TOKEN; it is not shown again.", err=True)
    if first:
        click.echo(
            "It is the first token of this store: from now on its hubs ask everybody for one, and clients without are "
            "refused at once, on this machine too. Only a hub that is started with --open-to-everybody asks for none.",
            err=True,
        )


@token.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def list_tokens(store: str, as_json: bool) -> None:
    """Show the tokens by name, revoked ones included. What they are, nobody knows any more.

    \b
    Examples:
      penstock hub token list
      penstock hub token list --json
    """
    from penstock.assembly.hub import open_tokens

    with closing(open_tokens(store)) as tokens:
        found = tokens.list()
    rows = [
        {
            "name": info.name,
            "role": info.role,
            "created": _time(info.created_at),
            "last_used": None if info.used_at is None else _time(info.used_at),
            "revoked": None if info.revoked_at is None else _time(info.revoked_at),
        }
        for info in found
    ]
    if as_json:
        click.echo(json.dumps(rows))
    elif not rows:
        click.echo("There are no tokens.")
    else:
        print_table(console(), titled_table("", rows))


@token.command()
@click.argument("name")
@click.pass_obj
def revoke(store: str, name: str) -> None:
    """Make a token worthless, within a second in every hub on the store. Its name is not given again.

    \b
    Example:
      penstock hub token revoke ann
    """
    from penstock.assembly.hub import open_tokens

    with closing(open_tokens(store)) as tokens:
        tokens.revoke(name)
        good = any(info.revoked_at is None for info in tokens.list())
    click.echo(f"{name} is revoked.")
    if not good:
        click.echo(
            "It was the last good token of this store: its hubs go on asking for one, after a restart too, and let "
            "nobody in but holders of tokens that they were given at the start. Make another with: "
            f"penstock hub{store_typed()} token add NAME --role admin",
            err=True,
        )


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")
