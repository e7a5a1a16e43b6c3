"""The command that was given, written out once more with what would mend it: a line to paste."""

from __future__ import annotations

import shlex

import click

from penstock.errors import PenstockError, Remedy

_GIVEN = "penstock.arguments"


class RepeatableCommand(click.Command):
    """Remembers the arguments that it was called with, and hints at the whole line where a remedy is one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_GIVEN] = list(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except PenstockError as error:
            if error.remedy is not None and (hint := _whole_line(error.remedy)):
                error.hint, error.remedy = hint, None
            raise


def again(*more: str) -> str:
    """The command line of the RepeatableCommand that runs, with further arguments, quoted for a shell."""
    ctx = click.get_current_context()
    return shlex.join([*ctx.command_path.split(), *ctx.meta[_GIVEN], *more])


def _whole_line(remedy: Remedy) -> str:
    """What to do, ending in a command; empty for a remedy that no further argument is."""
    names = remedy.names
    match remedy.key:
        case "overwrite":
            return f"To replace that package: {again('--force')}"
        case "add_code":
            flags = [part for path in shlex.split(names["code"]) for part in ("--code", path)]
            return f"To take {names['them']} along: {again(*flags)}"
        case "missing_module":
            return (
                f"If {names['module']} is a file of your own, repeat the command with --code and its path. If it is a "
                f"library: pip install {names['library']} && {again()}"
            )
        case "script_code":
            return (
                f"Define {names['name']} in a file of its own, such as features.py, import it from there where the "
                f"model is written, and write it again; then: {again('--code', 'features.py')}"
            )
        case _:
            return ""
