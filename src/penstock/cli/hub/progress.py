"""Live lines on stderr, where that is a terminal: what is done, how much of it, and how long it takes yet."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TypeAlias

# Is told how much more is done.
Advance: TypeAlias = Callable[[float], None]


@contextmanager
def shown_progress(*steps: str, totals: Sequence[float | None] = ()) -> Iterator[tuple[Advance, ...]]:
    """A line for each step, and what it is told by. Without a total a line counts alone."""
    if not sys.stderr.isatty():  # asked here, since rich takes a while to import
        yield tuple(lambda more: None for _ in steps)
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from penstock.cli.console import console

    count = TextColumn("{task.completed:,.0f}")
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), count, TaskProgressColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console(stderr=True), transient=True) as progress:
        known = [*totals, *(None for _ in steps)]
        tasks = [progress.add_task(step, total=total) for step, total in zip(steps, known, strict=False)]
        yield tuple(partial(progress.advance, task) for task in tasks)
