"""`penstock env …`: the environments that models run in."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from penstock.assembly.environments import builds_environments, environments_of
from penstock.cli.console import json_text
from penstock.cli.setting_flags import config_option, given, settings_options
from penstock.config import Settings, load_settings

if TYPE_CHECKING:
    from penstock.artifacts import CachedPackage
    from penstock.environments import Entry
    from penstock.registry import Registry
    from penstock.registry.references import ModelReference

# What `build` reads of the settings; the others are for serving.
_READ = ("registry", "artifacts", "cache", "wheels", "flavor", "trust_code", "strict_env")
_NOT_READ = tuple(name for name in Settings.model_fields if name not in _READ)
_DAYS = {"d": 1.0, "h": 1 / 24, "m": 1 / 1440, "w": 7.0}


@click.group()
def env() -> None:
    """Build, list and remove environments for models.

    With --env-manager uv a model runs with the libraries that its package lists. The environment is built when the
    model is first loaded, or beforehand with penstock env build.
    """


@env.command()
@click.argument("models", nargs=-1, metavar="[MODEL...]")
@config_option
@settings_options(leave_out=_NOT_READ)
def build(models: tuple[str, ...], file: Path | None, **flags: Any) -> None:
    """Build the environments of models, so that serving and scoring find them ready. MODEL is as for penstock
    serve. Default: all models in the settings that have --env-manager uv.

    Existing environments are not built again, so you may run this command before every start, for example in an init
    container.

    \b
    Examples:
      penstock env build ./model
      penstock env build fraud models:/churn@canary --trust-code
      penstock env build ./model --wheels ./wheels
    """
    from penstock.assembly.references import parse_models, registry_of
    from penstock.logs import set_up_logging
    from penstock.package import PackagedModel

    values = given(flags)
    if models:
        values["models"] = models
    settings, _ = load_settings(values, os.environ, file)
    if not settings.models:
        raise click.UsageError("Name a model: a package's directory or URL, or a name in the registry.")
    set_up_logging(format=settings.log_format, level=settings.log_level)

    def wanted(name: str) -> bool:
        return bool(models) or builds_environments(settings.of(name).env_manager)

    references = [r for r in parse_models(settings) if r.is_pattern or wanted(r.served_as)]
    environments = environments_of(settings.cache, settings.wheels)
    built = 0
    with registry_of(settings, references) as registry:
        for name, fetch in _packages(settings, references, registry):
            if not wanted(name):
                continue
            own = settings.of(name)
            with fetch() as package:
                made = environments.ensure(
                    PackagedModel.open(package.path),
                    trust_code=own.trust_code,
                    strict_env=own.strict_env,
                    flavor=own.flavor,
                )
            click.echo(f"{name}: Python {made.version} in {made.python.parents[1]}")
            built += 1
    if not built:
        click.echo("No model uses a separate environment: --env-manager is local.", err=True)


def _packages(
    settings: Settings, references: list[ModelReference], registry: Registry | None
) -> Iterator[tuple[str, Callable[[], CachedPackage]]]:
    """Each model's name, those that a pattern stands for now among them, and how its package is had."""
    from penstock.registry.names import usable_name
    from penstock.registry.references import ModelReference

    for reference in references:
        if not reference.is_pattern:
            yield reference.served_as, partial(_fetched, settings, reference, registry)
            continue
        assert registry is not None
        for name, number in sorted(registry.search(reference.name, reference.alias).items()):
            found = ModelReference(usable_name(name), name=name, version=number)
            yield found.served_as, partial(_fetched, settings, found, registry)


def _fetched(settings: Settings, reference: ModelReference, registry: Registry | None) -> CachedPackage:
    from penstock.assembly.packages import fetch_now

    return fetch_now(settings, reference, registry).package


@env.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def list_(as_json: bool) -> None:
    """List the environments, most recently used first.

    \b
    Example:
      penstock env list
    """
    kept = environments_of()
    if as_json:
        click.echo(json_text([_facts(entry) for entry in kept.entries()]))
        return
    if not kept.entries():
        click.echo(f"No environments in {kept.root}.")
        return
    from rich.table import Table

    from penstock.cli.console import console
    from penstock.sizes import shown_size

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("ENVIRONMENT", "PYTHON", "SIZE", "LAST USED", "BUILT FOR"):
        table.add_column(name, overflow="fold", justify="right" if name == "SIZE" else "left")
    for entry in kept.entries():
        used = datetime.fromtimestamp(entry.used, UTC).strftime("%Y-%m-%d %H:%M UTC")
        facts = entry.facts
        table.add_row(entry.digest[:12], facts.get("python"), shown_size(facts.get("size", 0)), used, facts.get("for"))
    console().print(table)


@env.command()
@click.option(
    "--unused-for",
    default="30d",
    show_default=True,
    metavar="TIME",
    help="Remove environments that were not used for this long, for example 30d or 12h.",
)
@click.option(
    "--all", "everything", is_flag=True, help="Remove all environments that are not in use, and uv's downloads."
)
def prune(unused_for: str, everything: bool) -> None:
    """Remove environments that are no longer used. Environments that a running process uses stay.

    \b
    Examples:
      penstock env prune
      penstock env prune --unused-for 7d
    """
    from penstock.sizes import shown_size

    kept = environments_of()
    gone = kept.prune(unused_for=0.0 if everything else _seconds(unused_for))
    if everything:
        kept.forget()
    size = shown_size(sum(entry.facts.get("size", 0) for entry in gone))
    click.echo(f"Removed {len(gone)} of {len(gone) + len(kept.entries())} environments, {size}.")


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([dhmw])", text.strip())
    if found is None:
        raise click.UsageError(f"--unused-for takes a duration such as 30d or 12h, not {text!r}.")
    return float(found[1]) * _DAYS[found[2]] * 86400


def _facts(entry: Entry) -> dict[str, Any]:
    return {"digest": entry.digest, "path": str(entry.path), "used": entry.used, **entry.facts}
