"""What `penstock runs compare` prints: a column for each run, in as many tables as the terminal's width needs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import click

from penstock.cli.console import json_text
from penstock.cli.runs.comparison import ComparedRow
from penstock.cli.runs.tables import TableColumn, fitted, print_columns, terminal_width
from penstock.cli.runs.wording import SHORT_ID, number, signed
from penstock.fluent.views import TrackedRun


def as_json(runs: Sequence[TrackedRun], rows: Sequence[ComparedRow]) -> None:
    """Values and differences in the order of `runs`. NaN is null."""
    click.echo(
        json_text(
            {
                "runs": [
                    {"run_id": run.info.run_id, "name": run.info.run_name, "deleted": _is_deleted(run)} for run in runs
                ],
                "rows": [
                    {
                        "kind": row.kind,
                        "key": row.key,
                        "values": [_plain(value) for value in row.values],
                        "differs": row.differs,
                        **({"deltas": [_plain(delta) for delta in row.deltas]} if row.deltas else {}),
                    }
                    for row in rows
                ],
            }
        )
    )


def as_text(runs: Sequence[TrackedRun], rows: Sequence[ComparedRow], same: int) -> None:
    """`same` rows were left out, since they say the same of all runs."""
    if not rows:
        click.echo(f"These {len(runs)} runs differ in nothing that was logged.")
    for number_of_table, chosen in enumerate(_tables(runs, rows) if rows else ()):
        if number_of_table:
            click.echo("")
        print_columns(chosen)
    if same:
        click.echo(f"{same} row{'s are' if same > 1 else ' is'} the same in all: --all", err=True)


def _tables(runs: Sequence[TrackedRun], rows: Sequence[ComparedRow]) -> Iterator[list[TableColumn]]:
    """Each begins with the names of rows and the first run, to which all others are compared."""
    keys = [row.key if row.kind == "run" else f"{row.kind}.{row.key}" for row in rows]
    names = TableColumn.of("", keys, style="cyan")
    columns = [TableColumn.of(_title(run), [_cell(row, i) for row in rows]) for i, run in enumerate(runs)]
    always, others = [names, columns[0]], columns[1:]
    while others:
        room = max(1, fitted(always, others, terminal_width()))
        yield [*always, *others[:room]]
        others = others[room:]


def _title(run: TrackedRun) -> str:
    deleted = ", deleted" if _is_deleted(run) else ""
    return f"{run.info.run_name or 'run'} {run.info.run_id[:SHORT_ID]}{deleted}"


def _is_deleted(run: TrackedRun) -> bool:
    return run.info.lifecycle_stage == "deleted"


def _cell(row: ComparedRow, place: int) -> str:
    value = row.values[place]
    if value is None:
        return "-"
    shown = number(value) if isinstance(value, float) else str(value)
    delta = row.deltas[place] if row.deltas else None
    return shown if not delta else f"{shown} ({signed(delta)})"


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
