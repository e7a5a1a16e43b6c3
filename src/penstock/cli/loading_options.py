"""--trust-code and --strict-env, for commands that load a MODEL and have no other settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def loading_options(command: F) -> F:
    for option in (
        click.option(
            "--strict-env/--no-strict-env",
            envvar="PENSTOCK_STRICT_ENV",
            help="Refuse a model that was made with another minor version of its library.",
        ),
        click.option(
            "--trust-code/--no-trust-code",
            envvar="PENSTOCK_TRUST_CODE",
            help="Load a package that runs code of its own.",
        ),
    ):
        command = option(command)
    return command
