"""--registry, for commands that have no other settings, and as hints repeat it.

A hint names a command, and what is pasted has to ask the same place. What came from a variable, a settings file or the
default is there for the next command, too, and is not repeated.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from penstock.error_text import without_passwords

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
        help="The registry: a directory, a database's URL, or the http://… of a hub or an MLflow server.  [default: "
        "./penstock-registry]  [PENSTOCK_REGISTRY, MLFLOW_REGISTRY_URI, PENSTOCK_TRACKING_URI, "
        "MLFLOW_TRACKING_URI]",
    )


def _registry_url(context: click.Context, parameter: click.Parameter, given: str | None) -> str:
    from penstock.config import registry_url  # here, so that help imports no pydantic

    return registry_url(given, os.environ)


def registry_typed(arguments: Sequence[str] = ()) -> str:
    """` --registry URL` as it was typed, with --artifacts where that was, too; empty where nothing was. `arguments` are
    a command line's; without them it is the command that runs."""
    return _typed(("registry", "artifacts"), arguments)


def store_typed(arguments: Sequence[str] = ()) -> str:
    """The same for ` --store PLACE` of the hub's commands."""
    return _typed(("store",), arguments)


def _typed(names: Sequence[str], arguments: Sequence[str]) -> str:
    found = ((name, _in(arguments, f"--{name}") if arguments else _in_context(name)) for name in names)
    return "".join(f" --{name} {shlex.quote(without_passwords(value))}" for name, value in found if value)


def _in(arguments: Sequence[str], flag: str) -> str | None:
    """The last one counts."""
    value = None
    for argument, after in zip(arguments, [*arguments[1:], None], strict=True):
        if argument == "--":
            break
        name, equals, given = argument.partition("=")
        if name == flag:
            value = given if equals else after
    return value


def _in_context(name: str) -> str | None:
    for context in _contexts():
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            # Where a command gets the value of a variable through a callback, the source still says what was typed.
            return None if context.params.get(name) is None else str(context.params[name])
    return None


def _contexts() -> Iterator[click.Context]:
    """The command that runs, and the groups that it is in."""
    context = click.get_current_context(silent=True)
    while context is not None:
        yield context
        context = context.parent
