"""The options that the `penstock registry` commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from penstock.cli.registry_option import registry_option

F = TypeVar("F", bound=Callable[..., Any])

PRODUCTION = "production"  # as in penstock.registry, which is not imported before a command runs


def common_options(command: F) -> F:
    """The options that every command takes."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
        click.option(
            "--artifacts",
            envvar="PENSTOCK_ARTIFACTS",
            metavar="URL",
            help="Where the registry stores packages: a directory or URL. Default: beside the database. Required for "
            "PostgreSQL.",
        ),
        registry_option,
    ):
        command = option(command)
    return command


alias_option = click.option("--alias", default=PRODUCTION, show_default=True, help="The alias to move.")
reason_option = click.option("--reason", default="", help="The reason for the change, kept in the history.")


def wait_options(command: F) -> F:
    """The options of commands that move an alias and may wait for gateways to follow."""
    for option in (
        click.option(
            "--wait-timeout",
            default=60.0,
            show_default=True,
            metavar="SECONDS",
            help="Maximum time to wait, in seconds.",
            type=click.FloatRange(min=0),
        ),
        click.option(
            "--wait-as", metavar="NAME", help="The name that the gateways serve the model under, if it differs."
        ),
        click.option(
            "--wait",
            "urls",
            multiple=True,
            metavar="URL",
            help="Wait until the gateway at this address serves the version in all its workers. Exit code 1 if the "
            "gateway cannot. May be repeated. PENSTOCK_API_TOKEN holds the gateways' token.",
        ),
    ):
        command = option(command)
    return command
