"""What the `penstock package` commands that save a model take, as one value; and -o, which all of them take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click


@dataclass(frozen=True)
class Saving:
    """Where the package goes, and what is recorded in it beside the model."""

    example: Path
    output: Path
    requirements: tuple[str, ...]
    lock: bool


output_option = click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="The directory of the new package.",
)


def saving_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options, which the command is given together as `saving`."""

    @wraps(command)
    def with_saving(
        *arguments: Any, example: Path, output: Path, requirements: tuple[str, ...], lock: bool, **others: Any
    ) -> Any:
        return command(*arguments, saving=Saving(example, output, requirements, lock), **others)

    taking: Callable[..., Any] = with_saving
    for option in (
        click.option(
            "--example",
            type=click.Path(path_type=Path),
            required=True,
            metavar="FILE",
            help="Example rows, as callers will send them: .csv, .parquet, or .json with a request body.",
        ),
        output_option,
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
