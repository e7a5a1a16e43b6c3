"""`penstock doctor`: what a server needs of this machine and of its models, checked before it is started."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from penstock.cli.doctor.finding import Finding


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--config", "file", type=click.Path(path_type=Path), help="The settings file. Default: ./penstock.toml")
@click.option("--registry", metavar="URL", help="The registry to use.  [PENSTOCK_REGISTRY]")
@click.option("--trust-code", is_flag=True, default=None, help="As for penstock serve.  [PENSTOCK_TRUST_CODE]")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def doctor(
    models: tuple[str, ...], file: Path | None, registry: str | None, trust_code: bool | None, as_json: bool
) -> None:
    """Check what a server with these settings needs: libraries, threads, memory, reader processes, a writable cache,
    the registry, and that each model exists, matches its seal, is trusted and was made with the libraries installed
    here.

    Settings come from variables and penstock.toml, as for penstock serve. The command loads no model and changes
    nothing. Exit code 1 if something would prevent the server from serving.

    \b
    Examples:
      penstock doctor
      penstock doctor fraud models:/churn@canary --registry postgresql://db/penstock
      kubectl exec deploy/penstock -- penstock doctor
    """
    from penstock.cli.console import json_text
    from penstock.cli.doctor.checks import examine
    from penstock.cli.doctor.finding import FAILS
    from penstock.cli.serve import platform_models
    from penstock.config import load_settings

    given: dict[str, Any] = {"registry": registry, "trust_code": trust_code}
    flags = {name: value for name, value in given.items() if value is not None}
    if models:
        flags["models"] = models
    settings, _ = load_settings(flags, os.environ, file)
    if not settings.models:
        settings = settings.model_copy(update={"models": platform_models(os.environ)})
    findings = examine(settings, os.environ)
    if as_json:
        click.echo(json_text([found.plain() for found in findings]))
    else:
        _print(findings)
    sys.exit(1 if any(found.state == FAILS for found in findings) else 0)


_STYLES = {"ok": "green", "look": "yellow", "fails": "bold red"}


def _print(findings: list[Finding]) -> None:
    from rich.table import Table

    from penstock.cli.console import cell, console, print_table

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for found in findings:
        text = cell(found.found) + (f"\n[dim]{cell(found.advice)}[/dim]" if found.advice else "")
        table.add_row(f"[{_STYLES[found.state]}]{found.state}[/]", cell(found.what), text)
    screen = console()
    print_table(screen, table)
    counts = {state: sum(f.state == state for f in findings) for state in _STYLES}
    screen.print(
        f"{len(findings)} checks: {counts['ok']} ok, {counts['look']} to look at, {counts['fails']} that fail."
    )
