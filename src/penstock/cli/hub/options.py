"""Options that the hub's commands share."""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from penstock.errors import ConfigError
from penstock.store_places import artifacts_beside, refuse_mistyped


class PortType(click.IntRange):
    """A port. Of a Service named penstock-hub, Kubernetes makes `PENSTOCK_HUB_PORT=tcp://…`, which is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, str) and value.startswith("tcp://"):
            return DEFAULT_PORT
        return int(super().convert(value, param, ctx))


DEFAULT_PORT = 5000

store_option = click.option(
    "--store",
    default="./penstock-registry",
    show_default=True,
    envvar=["PENSTOCK_STORE", "PENSTOCK_REGISTRY"],
    help="The database of tracking and registry: a directory, sqlite:///FILE, or postgresql://….",
)
artifacts_option = click.option(
    "--artifacts",
    envvar="PENSTOCK_ARTIFACTS",
    help="Where files are kept: a directory or a URL such as s3://bucket/artifacts. Default: artifacts in the store's "
    "directory, or beside its SQLite file.",
)


def store_of(context: click.Context) -> tuple[str, str | None]:
    """--store and --artifacts of a command, or else the same ones before it: `penstock hub --store S gc`."""
    return _given(context, "store"), _given(context, "artifacts")


def _given(context: click.Context, name: str) -> Any:
    above = context.parent
    if above is None or context.get_parameter_source(name) is not ParameterSource.DEFAULT:
        return context.params[name]
    return above.params.get(name, context.params[name])


def artifacts_of(store: str, artifacts: str | None) -> str:
    """Raises ConfigError for a database elsewhere, beside which there is no directory, and for what is no place."""
    refuse_mistyped(store)
    found = artifacts or artifacts_beside(store)
    if not found:
        raise ConfigError(
            "A store in a database needs a place for files.",
            hint="Give --artifacts a directory, or a URL such as s3://bucket/artifacts.",
        )
    return found
