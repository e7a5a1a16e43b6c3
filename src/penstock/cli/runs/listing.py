"""What `penstock runs list` prints: a table that fits, JSON, or CSV."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import click

from penstock.cli.console import json_text
from penstock.cli.runs.columns import (
    ListedRuns,
    RunColumn,
    all_columns,
    chosen_columns,
    default_columns,
    in_order,
    same_in_all,
    seconds_of,
)
from penstock.cli.runs.tables import MAX_CELL, TableColumn, fitted, print_columns, terminal_width
from penstock.cli.runs.wording import iso
from penstock.error_text import printable
from penstock.fluent.views import TrackedRun

# Of columns without room, and of params that all runs share, so many are named.
_NAMED = 8

# A pipe has room for any number of columns, and nobody reads more than this.
_MOST = 100


def as_table(listed: ListedRuns, asked: Sequence[str], named: Sequence[str]) -> None:
    """`asked` are names of columns; without any, those in which the runs differ, `named` ones first."""
    if asked:
        print_columns([_printed(column, listed, 4 * MAX_CELL) for column in chosen_columns(listed, asked)])
        return
    always, more = default_columns(listed, named)
    printed = {column.name: _printed(column, listed) for column in (*always, *more[:_MOST])}
    room = fitted([printed[c.name] for c in always], [printed[c.name] for c in more[:_MOST]], terminal_width())
    print_columns([printed[column.name] for column in in_order([*always, *more[:room]])])
    if same := [f"{c.title}={c.shown(listed.runs[0])}" for c in same_in_all(listed) if c.name not in printed]:
        _note(f"The same in all: {_some(same)}.")
    if left := more[room:]:
        _note(f"No room for {_some([column.name for column in left])}. See --columns, --csv and --json.")


def as_csv(listed: ListedRuns, asked: Sequence[str]) -> None:
    """All columns, or those that were asked for, as they are called there."""
    columns = chosen_columns(listed, asked) if asked else all_columns(listed)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.name for column in columns])
    writer.writerows([column.raw(run) for column in columns] for run in listed.runs)
    click.echo(text.getvalue(), nl=False)


def as_json(listed: ListedRuns) -> None:
    click.echo(json_text([plain(run, listed.experiments) for run in listed.runs]))


def plain(run: TrackedRun, experiments: Mapping[str, str]) -> dict[str, Any]:
    """A run for programs. NaN is null."""
    info = run.info
    return {
        "run_id": info.run_id,
        "name": info.run_name,
        "experiment_id": info.experiment_id,
        "experiment": experiments.get(info.experiment_id),
        "status": info.status,
        "started": iso(info.start_time),
        "ended": iso(info.end_time),
        "duration_seconds": seconds_of(run),
        "user": info.user_id,
        "deleted": info.lifecycle_stage == "deleted",
        "metrics": dict(run.data.metrics),
        "params": dict(run.data.params),
        "tags": dict(run.data.tags),
    }


def nothing_found(where: str, filter_text: str, listed: ListedRuns | None, unknown: Sequence[str], at: str) -> None:
    """`listed` are some of the runs that there are without the filter, and `unknown` what it speaks of and none of them
    has."""
    if listed is None or not listed.runs:
        click.echo(f"There are no runs {where} yet.")
        click.echo("Log one from Python:")
        click.echo("  from penstock import tracking")
        click.echo("  with tracking.start_run(): tracking.log_metric('accuracy', 0.9)")
        return
    click.echo(f"No run {where} matches {printable(filter_text)}")
    if unknown:
        there = [f"{kind}.{key}" for kind, keys in listed.keys.items() for key in keys]
        click.echo(f"None has {_or(unknown)}. There {'are' if there else 'is nothing but attributes'}"
                   f"{': ' + _some(there, 20) if there else ''}.")  # fmt: skip
    click.echo(f"See all with: penstock runs list{at}")


def more_there_are(count: int) -> None:
    first = f"the first {count:,} runs" if count > 1 else "one run"
    _note(f"These are {first}, and there are more: --max {4 * count} or --all shows them, --filter chooses.")


def experiments_typed(experiments: Sequence[str], tracking: str) -> str:
    """As hints repeat it."""
    words = [*(f" -e {shlex.quote(name)}" for name in experiments), *([f" --tracking {tracking}"] if tracking else [])]
    return "".join(words)


def _printed(column: RunColumn, listed: ListedRuns, limit: int = MAX_CELL) -> TableColumn:
    cells = [column.shown(run) for run in listed.runs]
    numbers = column.is_number or ("." in column.name and all(_is_number(cell) for cell in cells))
    style = "cyan" if column.name == "id" else ""
    return TableColumn.of(column.title, cells, is_number=numbers and bool(cells), style=style, limit=limit)


def _is_number(cell: str) -> bool:
    if cell == "-":
        return True
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _note(text: str) -> None:
    """Beside the table, so that a pipe gets the table alone."""
    click.echo(printable(text), err=True)


def _some(names: Sequence[str], count: int = _NAMED) -> str:
    rest = len(names) - count
    return ", ".join(printable(name) for name in names[:count]) + (f" and {rest} more" if rest > 0 else "")


def _or(names: Sequence[str]) -> str:
    return " or ".join(printable(name) for name in names)
