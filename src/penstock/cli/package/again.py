"""The command that was given, written out once more with what would mend it: a line to paste."""

from __future__ import annotations

import shlex

import click

from penstock.errors import PenstockError

_GIVEN = "penstock.arguments"
# What a remedy says, and adds to the command.
_FLAGS = {"overwrite": ("To replace that package", ("--force",))}


class RepeatableCommand(click.Command):
    """Remembers the arguments that it was called with, and hints at the whole line where a flag is the remedy."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_GIVEN] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except PenstockError as error:
            if error.remedy is not None and error.remedy.key in _FLAGS:
                words, flags = _FLAGS[error.remedy.key]
                error.hint, error.remedy = f"{words}: {again(*flags)}", None
            raise


def again(*more: str) -> str:
    """The command line of the RepeatableCommand that runs, with further arguments, quoted for a shell."""
    ctx = click.get_current_context()
    return shlex.join([*ctx.command_path.split(), *ctx.meta[_GIVEN], *more])
