"""--env-manager and --wheels, for commands that have no other settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from penstock.assembly.environments import MANAGERS

F = TypeVar("F", bound=Callable[..., Any])


def wheels_option(command: F) -> F:
    return click.option(
        "--wheels",
        envvar="PENSTOCK_WHEELS",
        metavar="DIR",
        help="Install offline, from this directory of wheels. Default: uv's package index.  [PENSTOCK_WHEELS]",
    )(command)


def env_manager_option(command: F) -> F:
    return click.option(
        "--env-manager",
        type=click.Choice(MANAGERS),
        default="local",
        show_default=True,
        envvar="PENSTOCK_ENV_MANAGER",
        help="The libraries that the model runs with. local: those installed with Penstock. uv (or virtualenv): "
        "those that the package lists.  [PENSTOCK_ENV_MANAGER]",
    )(command)
