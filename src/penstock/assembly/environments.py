"""Whether a model runs with libraries of its own, and the Python that has them."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from penstock.errors import ConfigError

if TYPE_CHECKING:  # commands that only print help import this file
    from penstock.environments import Environments
    from penstock.machine.interpreters import Interpreter
    from penstock.package import PackagedModel

MANAGERS = ("local", "uv", "virtualenv", "conda")

# The Python for a package; building its environment may take minutes.
FindInterpreter: TypeAlias = "Callable[[PackagedModel], Interpreter]"


def builds_environments(manager: str | None) -> bool:
    """Whether models run with their own libraries. MLflow's virtualenv means just that. Raises ConfigError."""
    if manager == "conda":
        raise ConfigError(
            "The environment manager conda is not supported as such: uv builds the environment, and conda packages are "
            "not installed.",
            hint="uv installs the package's pip requirements.",
        )
    return manager in ("uv", "virtualenv")


def interpreter_for(
    environments: Environments, *, trust_code: bool, strict_env: bool, flavor: str | None = None
) -> FindInterpreter:
    """The Python of a package's own environment, which is built if it is not there."""

    def find(package: PackagedModel) -> Interpreter:
        from penstock.machine.interpreters import Interpreter

        made = environments.ensure(package, trust_code=trust_code, strict_env=strict_env, flavor=flavor)
        return Interpreter(made.python, made.version)

    return find


@cache
def environments_of(directory: str | None = None, wheels: str | None = None) -> Environments:
    """This machine's environments, kept beside the packages that were downloaded. All models of a process share one
    object, which keeps what it uses from being pruned."""
    from penstock.artifacts import default_cache
    from penstock.environments import Environments

    root = Path(os.path.abspath(os.path.expanduser(directory))) if directory else default_cache()
    return Environments(root / "environments", wheels=Path(wheels) if wheels else None)


def own_environment(
    manager: str | None,
    wheels: str | None = None,
    *,
    trust_code: bool,
    strict_env: bool,
    flavor: str | None = None,
) -> FindInterpreter | None:
    """How the Python for a package is found; None where the model runs in this process. Raises ConfigError."""
    if not builds_environments(manager):
        return None
    return interpreter_for(environments_of(wheels=wheels), trust_code=trust_code, strict_env=strict_env, flavor=flavor)
