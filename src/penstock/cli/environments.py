"""Where environments are kept, and --wheels, for the commands that use them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from penstock.environments import Environments

F = TypeVar("F", bound=Callable[..., Any])


def environments_of(cache: str | None = None, wheels: str | None = None) -> Environments:
    """This machine's environments: beside the packages that were downloaded."""
    from penstock.artifacts import default_cache
    from penstock.environments import Environments

    root = Path(os.path.abspath(os.path.expanduser(cache))) if cache else default_cache()
    return Environments(root / "environments", wheels=Path(wheels) if wheels else None)


def wheels_option(command: F) -> F:
    """--wheels for commands that have no other settings."""
    return click.option(
        "--wheels",
        envvar="PENSTOCK_WHEELS",
        metavar="DIR",
        help="A directory of wheels to take distributions from, offline; default: uv's index.  [PENSTOCK_WHEELS]",
    )(command)
