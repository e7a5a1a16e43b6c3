"""A live line on stderr, where that is a terminal: what is done, how fast, and how long it takes yet."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def shown_progress(
    what: str, total: float | None = None, *, of_bytes: bool = False
) -> Iterator[Callable[[float], None]]:
    """Gives a function that is told how much more is done. Without a total the line counts alone."""
    if not sys.stderr.isatty():  # asked here, since rich takes a while to import
        yield lambda more: None
        return
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    from penstock.cli.console import console

    counted = (DownloadColumn(), TransferSpeedColumn()) if of_bytes else (MofNCompleteColumn(),)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), *counted, TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda more: progress.advance(task, more)
