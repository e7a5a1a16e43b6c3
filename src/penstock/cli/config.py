"""`penstock config show`."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click

from penstock.config import Settings, load_settings, variable_of


@click.group()
def config() -> None:
    """The settings of a server."""


@config.command()
@click.option(
    "--config", "file", type=click.Path(path_type=Path), help="The file of settings. Default: ./penstock.toml"
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def show(file: Path | None, as_json: bool) -> None:
    """Show every setting, its value and where that comes from.

    \b
    Example:
      PENSTOCK_PORT=9000 penstock config show
    """
    settings, origins = load_settings({}, os.environ, file)
    values = settings.model_dump(mode="json")
    values["registry"] = _without_password(values["registry"])
    if as_json:
        import orjson

        rows = {name: {"value": value, "from": origins[name]} for name, value in values.items()}
        click.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2).decode())
        return
    from rich.table import Table

    from penstock.cli.console import console

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("setting", "value", "from", "meaning"):
        table.add_column(title, overflow="fold")
    for name, field in Settings.model_fields.items():
        origin = origins[name] if origins[name] != "default" else f"default ({variable_of(name)})"
        table.add_row(name, str(values[name] if values[name] is not None else ""), origin, field.description)
    console().print(table)


def _without_password(url: str) -> str:
    """A registry's URL for a screen."""
    return re.sub(r"(://[^:/@]*):[^@/]*@", r"\1:***@", url)
