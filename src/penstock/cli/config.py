"""`penstock config show`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from penstock.cli.console import cell, console, json_text
from penstock.cli.setting_flags import config_option, given, settings_options
from penstock.config import Origins, ServerSettings, Settings, load_settings, origins_of, unknown_variables, variable_of
from penstock.error_text import without_passwords


@click.group()
def config() -> None:
    """The settings of a server."""


@config.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@settings_options(leave_out=("models",))
def show(models: tuple[str, ...], file: Path | None, as_json: bool, **flags: Any) -> None:
    """Show every setting, its value and where the value comes from, as penstock serve would use them with the same
    models, flags, variables and file. Settings of single models, from the tables [models.NAME], come last.

    \b
    Examples:
      PENSTOCK_PORT=9000 penstock config show
      penstock config show fraud --workers 4 --config /etc/penstock.toml
    """
    values = given(flags)
    if models:
        values["models"] = models
    settings, origins = load_settings(values, os.environ, file)
    for unknown in unknown_variables(os.environ):
        click.echo(f"Warning: {unknown}", err=True)
    if as_json:
        click.echo(json_text(_as_json(settings, origins)))
        return
    console().print(_table(settings, origins))
    if settings.own:
        console().print("\nSettings of single models, which override those above:\n")
        console().print(_own_table(settings))


def _as_json(settings: ServerSettings, origins: Origins) -> dict[str, Any]:
    """Each setting with its value and origin; under `models` also each model with a table of its own, complete."""
    rows: dict[str, Any] = {n: {"value": v, "from": origins[n]} for n, v in _values(settings).items()}
    rows["models"]["own"] = {
        model: {
            name: {"value": _values(settings.of(model))[name], "from": origin}
            for name, origin in origins_of(model, settings, origins).items()
        }
        for model in settings.own
    }
    return rows


def _table(settings: Settings, origins: Origins) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("setting", "value", "from", "meaning"):
        table.add_column(title, overflow="fold")
    values = _values(settings)
    for name, field in Settings.model_fields.items():
        origin = origins[name] if origins[name] != "default" else f"default ({variable_of(name)})"
        table.add_row(name, _shown(values[name]), origin, field.description)
    return table


def _own_table(settings: ServerSettings) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("model", "setting", "value", "from"):
        table.add_column(title, overflow="fold")
    for model, own in settings.own.items():
        values = _values(settings.of(model))
        for name in own:
            table.add_row(model, name, _shown(values[name]), f"\\[models.{model}]")
        if not own:
            table.add_row(model, "", "", "as above")
    return table


def _values(settings: Settings) -> dict[str, Any]:
    values = settings.model_dump(mode="json", include=set(Settings.model_fields))
    return {name: _masked(value) for name, value in values.items()}


def _masked(value: Any) -> Any:
    """A value without the passwords in its URLs: a registry, a place for packages, a model, a collector of traces."""
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return without_passwords(value) if isinstance(value, str) else value


def _shown(value: Any) -> str:
    return "" if value is None else cell(value)
