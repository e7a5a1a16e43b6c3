"""What the `penstock package` commands that save a model take, as one value; and -o, which all of them take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Any

import click


@dataclass(frozen=True)
class Saving:
    """Where the package goes, and what is recorded in it beside the model. `columns` are those of the example that
    callers send, all where none is named."""

    example: Path
    columns: tuple[str, ...]
    params: tuple[str, ...]
    datetimes: tuple[str, ...]
    output: Path
    force: bool
    requirements: tuple[str, ...]
    lock: bool


def output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """-o and --force: where the package goes, and whether that of a package which is there."""
    forced = click.option("--force", is_flag=True, help="Replace the package that is in the directory.")(command)
    return click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path),
        required=True,
        metavar="DIR",
        help="The directory of the new package.",
    )(forced)


def saving_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options, which the command is given together as `saving`."""

    @wraps(command)
    def with_saving(*arguments: Any, **given: Any) -> Any:
        saving = Saving(**{field.name: given.pop(field.name) for field in fields(Saving)})
        return command(*arguments, saving=saving, **given)

    taking: Callable[..., Any] = with_saving
    for option in (
        click.option(
            "--example",
            type=click.Path(path_type=Path),
            required=True,
            metavar="FILE",
            help="Example rows, as callers will send them: .csv, .parquet, or .json with a request body.",
        ),
        click.option(
            "--column",
            "columns",
            multiple=True,
            metavar="NAME",
            help="A column of the example that callers will send. May be repeated. Default: all of them.",
        ),
        click.option(
            "--param",
            "params",
            multiple=True,
            metavar="NAME=VALUE",
            help="An inference param with its default, as JSON or as text. May be repeated.",
        ),
        click.option(
            "--datetime",
            "datetimes",
            multiple=True,
            metavar="NAME[=UNIT]",
            help="A column of the example that holds dates and times. UNIT (s, ms, us or ns) says what numbers in the "
            "column count since 1970; without a unit numbers are refused. May be repeated.",
        ),
        output_options,
        click.option(
            "--requirement",
            "requirements",
            multiple=True,
            metavar="SPEC",
            help="A requirement to record in addition to those found. May be repeated.",
        ),
        click.option("--lock", is_flag=True, help="Pin all requirements with hashes, as penstock package lock does."),
    ):
        taking = option(taking)
    return taking
