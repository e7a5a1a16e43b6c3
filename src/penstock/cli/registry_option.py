"""--registry, for commands that have no other settings."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def registry_option(command: F) -> F:
    """--registry for commands that have no other settings; what is not given comes from the variables."""
    return _registry_option(_registry_url)(command)


def registry_if_needed(command: F) -> F:
    """The same for commands that take a MODEL, as it was given: a path or URL needs no registry, and then the settings,
    whose library takes a while to import, are not asked."""
    return _registry_option(None)(command)


def _registry_option(callback: Callable[..., Any] | None) -> Callable[[F], F]:
    return click.option(
        "--registry",
        metavar="URL",
        callback=callback,
        help="The registry: a directory, a database's URL, or an MLflow server's http://….  [default: "
        "./penstock-registry]  [PENSTOCK_REGISTRY, MLFLOW_REGISTRY_URI, MLFLOW_TRACKING_URI]",
    )


def _registry_url(context: click.Context, parameter: click.Parameter, given: str | None) -> str:
    from penstock.config import registry_url  # here, so that help imports no pydantic

    return registry_url(given, os.environ)
