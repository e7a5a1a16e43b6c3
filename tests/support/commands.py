"""`penstock …` in this process: as a user runs it, but for the start of an interpreter and its imports, which take
longer than most commands do. Each command runs in a process of its own somewhere, too.
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

import pytest

from penstock.cli import main

# Called with the arguments, and with variables by name.
Here = Callable[..., subprocess.CompletedProcess[str]]


def exit_code(*arguments: object) -> int:
    """Runs `penstock ARGUMENTS` here, to its exit code."""
    with _process_unchanged(), pytest.raises(SystemExit) as ended:
        main([*map(str, arguments)])
    assert isinstance(ended.value.code, int)
    return ended.value.code


@contextmanager
def _process_unchanged() -> Iterator[None]:
    """Commands set up logging, and servers their loop and threads, for a process that they have for themselves."""
    loggers = [logging.getLogger(name) for name in (None, "uvicorn", "alembic", "urllib3")]
    before = [(logger.handlers[:], logger.level) for logger in loggers]
    policy, interval = asyncio.get_event_loop_policy(), sys.getswitchinterval()
    try:
        yield
    finally:
        asyncio.set_event_loop_policy(policy)
        sys.setswitchinterval(interval)
        for logger, (handlers, level) in zip(loggers, before, strict=True):
            logger.handlers[:] = handlers
            logger.setLevel(level)


def here_in(directory: Path, monkeypatch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]) -> Here:
    """Runs commands in this directory, with no settings but those given."""

    def run(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        with monkeypatch.context() as patched, chdir(directory):
            for name in [name for name in os.environ if name.startswith(("PENSTOCK_", "MLFLOW_"))]:
                patched.delenv(name)
            for name, value in variables.items():
                patched.setenv(name, value)
            capture.readouterr()
            code = exit_code(*arguments)
        return subprocess.CompletedProcess([str(argument) for argument in arguments], code, *capture.readouterr())

    return run
