"""Flags made from the settings' own declaration, so that a setting has one name everywhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import click
from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

from penstock.config import FILE_NAME, FILE_VARIABLE, Settings, mlflow_variables_of, variable_of

F = TypeVar("F", bound=Callable[..., Any])


# Other names of flags: the letters that `mlflow models serve` gives them, and what is quicker to type.
_OTHER_NAMES = {"host": ("-h",), "port": ("-p",), "timeout": ("-t",), "workers": ("-w",), "tokens_file": ("--tokens",)}


def settings_options(*, leave_out: tuple[str, ...] = ()) -> Callable[[F], F]:
    """A click option for every setting. Options that are not given are not in the result: see `given`."""

    def decorate(command: F) -> F:
        for name in reversed(Settings.model_fields):
            if name not in leave_out:
                command = _option(name)(command)
        return command

    return decorate


config_option = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    help=f"The settings file, for the server and for single models.  [default: ./{FILE_NAME}]  [{FILE_VARIABLE}]",
)


def given(values: dict[str, Any]) -> dict[str, Any]:
    """Only what was really given on the command line."""
    return {name: value for name, value in values.items() if value is not None and value != ()}


def _option(name: str) -> Callable[[F], F]:
    field = Settings.model_fields[name]
    flag = f"--{name.replace('_', '-')}"
    default = field.default
    shown = "" if default in (None, "", (), False) or name == "api_token" else f"  [default: {default}]"
    text = f"{field.description}{shown}  [{', '.join([variable_of(name), *mlflow_variables_of(name)])}]"
    if field.annotation is bool:
        return click.option(f"{flag}/--no-{name.replace('_', '-')}", name, default=None, help=text)
    if get_origin(field.annotation) is tuple:
        return click.option(flag, name, multiple=True, help=text)
    return click.option(flag, *_OTHER_NAMES.get(name, ()), name, default=None, type=_type(field), help=text)


def _type(field: FieldInfo) -> Any:
    annotation = field.annotation
    if any(isinstance(mark, BeforeValidator) for mark in field.metadata):
        return str  # people write it otherwise than it is kept, a size with its unit
    if get_origin(annotation) is Literal:
        return click.Choice(get_args(annotation))
    return next((a for a in (annotation, *get_args(annotation)) if a in (int, float)), str)
