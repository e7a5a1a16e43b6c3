"""`penstock version`."""

from __future__ import annotations

import platform

import click

from penstock.version import __version__


@click.command()
def version() -> None:
    """Show the version of Penstock and of Python."""
    click.echo(f"penstock {__version__} (Python {platform.python_version()})")
