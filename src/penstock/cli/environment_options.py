"""Where environments are kept, and --env-manager and --wheels, for the commands that use them."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from penstock.errors import ConfigError

if TYPE_CHECKING:
    from penstock.environments import Environments
    from penstock.machine.interpreters import Interpreter
    from penstock.package import PackagedModel

F = TypeVar("F", bound=Callable[..., Any])


MANAGERS = ("local", "uv", "virtualenv", "conda")


def builds_environments(manager: str | None) -> bool:
    """Whether models run with their own libraries. MLflow's virtualenv means just that. Raises ConfigError."""
    if manager == "conda":
        raise ConfigError(
            "--env-manager conda: environments are built by uv, and conda's packages are not installed.",
            hint="--env-manager uv installs what the package lists for pip.",
        )
    return manager in ("uv", "virtualenv")


def interpreter_for(
    environments: Environments, *, trust_code: bool, strict_env: bool, flavor: str | None = None
) -> Callable[[PackagedModel], Interpreter]:
    """The Python of a package's own environment, which is built if it is not there."""

    def find(package: PackagedModel) -> Interpreter:
        from penstock.machine.interpreters import Interpreter

        made = environments.ensure(package, trust_code=trust_code, strict_env=strict_env, flavor=flavor)
        return Interpreter(made.python, made.version)

    return find


@cache
def environments_of(directory: str | None = None, wheels: str | None = None) -> Environments:
    """This machine's environments: beside the packages that were downloaded. One object for all models of a process,
    which keeps what it uses from being pruned."""
    from penstock.artifacts import default_cache
    from penstock.environments import Environments

    root = Path(os.path.abspath(os.path.expanduser(directory))) if directory else default_cache()
    return Environments(root / "environments", wheels=Path(wheels) if wheels else None)


def wheels_option(command: F) -> F:
    """--wheels for commands that have no other settings."""
    return click.option(
        "--wheels",
        envvar="PENSTOCK_WHEELS",
        metavar="DIR",
        help="A directory of wheels to take distributions from, offline; default: uv's index.  [PENSTOCK_WHEELS]",
    )(command)


def env_manager_option(command: F) -> F:
    """--env-manager for commands that have no other settings."""
    return click.option(
        "--env-manager",
        type=click.Choice(MANAGERS),
        default="local",
        show_default=True,
        envvar="PENSTOCK_ENV_MANAGER",
        help="The libraries that the model runs with: local, those beside Penstock; uv (or virtualenv), those that its "
        "package lists.  [PENSTOCK_ENV_MANAGER]",
    )(command)


def own_environment(
    manager: str | None, wheels: str | None, *, trust_code: bool, strict_env: bool
) -> Callable[[PackagedModel], Interpreter] | None:
    """How a command finds the Python for a package; None where the model runs in this process. Raises ConfigError."""
    if not builds_environments(manager):
        return None
    return interpreter_for(environments_of(wheels=wheels), trust_code=trust_code, strict_env=strict_env)
