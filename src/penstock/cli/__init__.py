"""The command line: one file for each group of commands, imported when it is used.

Errors are one sentence and a hint; exit code 2 for usage, 1 for failure. A traceback comes only with --debug.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from importlib import import_module
from typing import Any, NoReturn

import click

from penstock.cli.remedies import hint_of
from penstock.cli.streams import fitted_lines, room_on_terminal, set_up_streams
from penstock.error_text import kind_of, printable, text_of, without_passwords
from penstock.errors import ConfigError, PenstockError, SchemaMismatch, SchemaViolation
from penstock.version import __version__

# Command -> where it lives, and its line in `penstock --help`, so that help imports none of them.
_COMMANDS = {
    "serve": ("penstock.cli.serve:serve", "Serve models over HTTP."),
    "token": ("penstock.cli.token.commands:token", "Make, list and revoke tokens for a server of models."),
    "hub": ("penstock.cli.hub.serve:hub", "Serve tracking and registry to MLflow clients."),
    "score": ("penstock.cli.score.command:score", "Score files with a model."),
    "package": ("penstock.cli.package.commands:package", "Make, convert and lock packages."),
    "inspect": ("penstock.cli.inspect:inspect", "Show what is in a package."),
    "verify": ("penstock.cli.inspect:verify", "Check a package: its seal, that it loads, its answers."),
    "registry": ("penstock.cli.registry.commands:registry", "Register, promote and roll back versions."),
    "runs": ("penstock.cli.runs.commands:runs", "List, show and compare tracked runs; send what waits."),
    "env": ("penstock.cli.env:env", "Build, list and remove environments for models."),
    "image": ("penstock.cli.image:image", "Write a build context for a container image of a model."),
    "doctor": (
        "penstock.cli.doctor.command:doctor",
        "Check that this machine meets the needs of a server.",
    ),
    "ping": ("penstock.cli.ping:ping", "Check that the server on this machine is alive."),
    "config": ("penstock.cli.config:config", "Show the settings and where they come from."),
    "demo": ("penstock.cli.demo.command:demo", "Try all of Penstock on sample models."),
    "version": ("penstock.cli.version:version", "Show the version."),
}


class _LazyGroup(click.Group):
    """Knows its commands by name; imports one when it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the whole traceback of an error.")
@click.version_option(__version__, message="%(version)s")
def penstock(debug: bool) -> None:
    """Serve MLflow models over MLflow's protocol, with batching, metrics and live version swaps.

    \b
    Start here:
      penstock package sklearn model.joblib --example rows.csv -o ./model
      penstock serve ./model
      penstock demo
    """


_REPORT = "Repeat the command as penstock --debug … for the traceback, and report it."


_INDENT = " " * len("Error: ")


def _say(message: str, hint: str) -> None:
    click.echo(f"Error: {without_passwords(printable(message))}", err=True)
    if hint:
        lines = fitted_lines(without_passwords(printable(hint)), room_on_terminal(sys.stderr) - len(_INDENT))
        click.echo("\n".join(f"{_INDENT}{line}" for line in lines), err=True)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Runs a command line and exits."""
    # An interpreter that ends looks for circles among all objects once more. With a model's libraries that takes longer
    # than many a command, and the memory goes back to the system anyway.
    atexit.register(gc.freeze)
    os.umask(os.umask(0o077) | 0o022)  # whatever the shell says: nobody else may write to what is made here
    if arguments is None:
        set_up_streams()
        arguments = sys.argv[1:]
    try:
        result: Any = penstock.main(args=arguments, prog_name="penstock", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        click.echo("Stopped.", err=True)
        sys.exit(130)
    except PenstockError as error:
        if "--debug" in arguments:
            raise
        _say(error.message, hint_of(error, arguments))
        sys.exit(2 if isinstance(error, (ConfigError, SchemaMismatch, SchemaViolation)) else 1)
    except BrokenPipeError:
        sys.exit(141)
    except Exception as error:
        if "--debug" in arguments:
            raise
        _say(f"An error that was not expected: {kind_of(error)}: {text_of(error, 300)}.", _REPORT)
        sys.exit(1)
    sys.exit(result if isinstance(result, int) else 0)
