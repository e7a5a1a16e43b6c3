"""What the demo says and does: numbered steps, commands run in its work directory as a person would run them."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console

# Far more than any command of the demo takes, so that a hanging one ends with a sentence and not never.
COMMAND_TIMEOUT = 120.0


class DemoFailed(click.ClickException):
    """A step did not do what it should: one sentence, exit code 1."""


class Shell:
    """Prints what happens, and runs commands in `work`.

    The commands see none of the caller's PENSTOCK_* and MLFLOW_* variables: a token or an address set there would
    change the demo.
    """

    def __init__(self, work: Path, screen: Console) -> None:
        self.work = work
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("PENSTOCK_", "MLFLOW_"))}
        # What commands keep for later ones would outlive the demo.
        self.environment |= {"PENSTOCK_CACHE": str(work / "cache"), "PENSTOCK_SPOOL": str(work / "spool")}
        self._screen = screen
        # The whole mutable state: the step being shown.
        self._number = 0
        self._title = ""

    @property
    def where(self) -> str:
        """The step now, for an error."""
        return f"in step {self._number} ({self._title})" if self._number else "before its first step"

    def step(self, title: str) -> None:
        self._number += 1
        self._title = title
        self._print("")
        self._print(f"[{self._number}] {title}", style="bold cyan")

    def say(self, text: str) -> None:
        self._print(f"    {text}")

    def command(self, arguments: Sequence[str]) -> None:
        """Shows a command, quoted so that it can be copied."""
        self._print(f"  $ {shlex.join(arguments)}", style="bold")

    def output(self, text: str) -> None:
        for line in text.splitlines():
            self._print(f"    {line}", style="dim")

    def run(self, *commands: Sequence[str], code: int = 0) -> None:
        """Runs `penstock` and `python` commands side by side; shows each with its output, in order.

        Raises DemoFailed where one ends with another code than `code`.
        """
        running = [self._start(command) for command in commands]
        try:
            for command, process in zip(commands, running, strict=True):
                self.command(command)
                output, _ = process.communicate(timeout=COMMAND_TIMEOUT)
                self.output(output)
                if process.returncode != code:
                    raise DemoFailed(f"{' '.join(command[:2])} … ended with code {process.returncode}, not {code}.")
        finally:
            for process in running:
                process.kill()
                process.communicate()

    def read(self, command: Sequence[str]) -> str:
        """What a command prints, for the demo itself: the command is shown, its output is not. Raises DemoFailed."""
        self.command(command)
        process = self._start(command, stderr=subprocess.PIPE)
        try:
            output, errors = process.communicate(timeout=COMMAND_TIMEOUT)
        finally:
            process.kill()
            process.communicate()
        if process.returncode != 0:
            raise DemoFailed(f"{' '.join(command[:3])} … failed: {last_lines(errors)}")
        return output

    @contextmanager
    def exported(self, name: str, value: str) -> Iterator[None]:
        """Sets a variable for all commands meanwhile."""
        self._print(f"  $ export {name}={shlex.quote(value)}", style="bold")
        self.environment[name] = value
        try:
            yield
        finally:
            del self.environment[name]

    def _start(self, command: Sequence[str], *, stderr: int = subprocess.STDOUT) -> subprocess.Popen[str]:
        return subprocess.Popen(
            in_this_environment(command),
            cwd=self.work,
            env=self.environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
        )

    def _print(self, text: str, style: str | None = None) -> None:
        # No markup: answers are full of brackets. No wrapping: commands are to be copied.
        self._screen.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def in_this_environment(command: Sequence[str]) -> list[str]:
    """The command with this very interpreter and installation, whatever the PATH may find."""
    program, *arguments = command
    return [sys.executable, *([] if program == "python" else ["-m", program]), *arguments]


def last_lines(text: str, count: int = 3) -> str:
    """The end of a log in one line, for an error message."""
    return " / ".join(line.strip() for line in text.strip().splitlines()[-count:]) or "the command printed nothing"
