"""The options that the `penstock runs` commands share, and how they open the place that holds the runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from penstock.cli.runs.source import RunSource
    from penstock.fluent.settings import TrackingSettings

F = TypeVar("F", bound=Callable[..., Any])

tracking_option = click.option(
    "--tracking",
    metavar="URL",
    default="",
    help="Where the runs are: the http://… of a hub or an MLflow server, a directory, or a database's URL.  [default: "
    "./penstock-registry]  [PENSTOCK_TRACKING_URI, MLFLOW_TRACKING_URI]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def experiment_option(help_text: str) -> Callable[[F], F]:
    """-e, which may be repeated; a name or an id."""
    return click.option("-e", "--experiment", "experiments", multiple=True, metavar="EXPERIMENT", help=help_text)


@contextmanager
def opened(tracking: str) -> Iterator[RunSource]:
    """At the place that was typed, else that of a variable, else the embedded store. Raises ConfigError and
    TrackingUnavailable."""
    from penstock.cli.runs.source import RunSource
    from penstock.errors import TrackingUnavailable
    from penstock.fluent.settings import TrackingSettings
    from penstock.fluent.transport.opening import open_transport

    settings = TrackingSettings.from_environ(os.environ, tracking)
    if not settings.is_server:
        settings = _of_store(settings)
    transport = open_transport(settings)
    try:
        yield RunSource(transport)
    except TrackingUnavailable as error:
        if not error.hint and not error.status:
            raise TrackingUnavailable(error.message, hint=_elsewhere(settings)) from error
        raise
    finally:
        transport.close()


def _elsewhere(settings: TrackingSettings) -> str:
    if settings.is_server:
        return "Is the server running (penstock hub)? Another place is named with --tracking."
    return "Another place is named with --tracking, or in PENSTOCK_TRACKING_URI."


def _of_store(settings: TrackingSettings) -> TrackingSettings:
    """For reading. Raises TrackingUnavailable where there is no store: opening would make one."""
    from penstock.errors import TrackingUnavailable

    if "://" in settings.uri and not settings.uri.startswith(("file:", "sqlite:")):
        return replace(settings, artifacts=settings.artifacts or os.devnull)
    if settings.uri.startswith("sqlite:"):
        file = Path(settings.uri.partition("///")[2])
        settings = replace(settings, artifacts=settings.artifacts or os.devnull)
    else:
        file = Path(settings.uri.removeprefix("file:").removeprefix("//")) / "registry.db"
        if not file.exists() and any(file.parent.glob("*/meta.yaml")):
            raise TrackingUnavailable(
                f"{file.parent} was written by MLflow without a server, in a form that is not read here.",
                hint=f"Serve it with MLflow (mlflow server --backend-store-uri {file.parent}), and give --tracking the "
                "server's address.",
            )
    if not file.exists():
        raise TrackingUnavailable(
            f"There are no runs in {settings.uri} yet: there is no such store.",
            hint="Log runs with penstock.tracking, start a hub (penstock hub), or name another place with --tracking.",
        )
    return settings
