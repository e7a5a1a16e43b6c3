"""`penstock hub import`: what an MLflow server holds, brought into a hub's store."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from penstock.cli.console import console, json_text, print_table, titled_table
from penstock.cli.hub.options import artifacts_of, artifacts_option, store_of, store_option

if TYPE_CHECKING:
    from penstock.moving.tally import ImportReport

_LINES_SHOWN = 20


@click.command(name="import")
@click.argument("source")
@store_option
@artifacts_option
@click.option("--dry-run", is_flag=True, help="Count what would be brought over and what would not; write nothing.")
@click.option("--copy-artifacts", is_flag=True, help="Copy files into the hub's artifacts too.")
@click.option(
    "--artifacts-root",
    default="",
    metavar="PLACE",
    help="With --copy-artifacts: the directory or URL that the old server was started with as --artifacts-destination.",
)
@click.option("--skip-clashes", is_flag=True, help="Leave out what has the id or name of another object in the store.")
@click.option("--accept-schema", is_flag=True, help="Read a database of a later MLflow by the columns that are known.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.pass_context
def import_command(
    context: click.Context,
    source: str,
    store: str,
    artifacts: str | None,
    dry_run: bool,
    copy_artifacts: bool,
    artifacts_root: str,
    skip_clashes: bool,
    accept_schema: bool,
    as_json: bool,
) -> int:
    """Bring what MLflow keeps in SOURCE into a hub's store.

    SOURCE is MLflow's database, which is best: a SQLite file, or the URL that the server was started with as
    --backend-store-uri; or a directory of its file store (mlruns); or the address of a running server, by the
    credentials in MLFLOW_TRACKING_TOKEN or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD. It is only read, and
    may be in use. Ids, names, times, metric histories, stages and aliases stay as they are. An import
    that was stopped goes on where it was when it is started again, and one more brings what is new since. In the end
    all is counted; what could not be brought over is listed with the reason.

    \b
    Examples:
      penstock hub import mlflow.db --dry-run
      penstock hub import mlflow.db
      penstock hub import postgresql://mlflow@db/mlflow --store ./hub-store
      penstock hub import mysql+pymysql://mlflow@db/mlflow --json
      penstock hub import ./mlruns --copy-artifacts
      penstock hub import http://old:5000 --copy-artifacts

    \b
    With the files, so that the old server can go:
      penstock hub import mlflow.db --copy-artifacts \\
        --artifacts-root ./mlartifacts
    """
    from penstock.moving.importer import ImportOptions
    from penstock.moving.running import run_import

    store, artifacts = store_of(context)
    options = ImportOptions(
        dry_run=dry_run,
        skip_clashes=skip_clashes,
        copy_artifacts=copy_artifacts,
        artifacts_root=artifacts_root,
    )
    where = artifacts_of(store, artifacts)
    try:
        with _bar() as progress:
            report = run_import(source, store, where, options, progress, accept_unknown=accept_schema)
    except KeyboardInterrupt:
        click.echo("What was imported until now stays: start it again, and it goes on there.", err=True)
        raise
    if as_json:
        click.echo(json_text(_as_json(report)))
    else:
        _print(report)
    return 0 if report.agrees else 1


@contextmanager
def _bar() -> Iterator[Callable[[str, int, int], object]]:
    """How far it is on stderr, if that is a terminal: rate and time left as well."""
    screen = console(stderr=True)
    if not sys.stderr.isatty():
        yield lambda step, done, total: None
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

    began = time.monotonic()
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=screen,
        transient=True,
    ) as shown:
        task = shown.add_task("experiments", total=None, rate="")

        def advance(step: str, done: int, total: int) -> None:
            rate = f"{done / max(time.monotonic() - began, 0.001):,.0f}/s"
            shown.update(task, description=step, completed=done, total=max(total, done) or None, rate=rate)

        yield advance


def _print(report: ImportReport) -> None:
    screen = console()
    what = "Would be imported from" if report.dry_run else "Imported from"
    click.echo(f"{what} {report.source} into {report.store} in {report.seconds:.1f} s:")
    rows = [
        {
            "kind": each.kind,
            "source": _count(each.source),
            "imported": _count(each.imported),
            "already": _count(each.present),
            "skipped": _count(each.skipped),
            "in store": _count(each.store),
            "counts": "agree" if each.agrees else "DIFFER",
        }
        for each in report.counted
        if any((each.source, each.imported, each.present, each.skipped))
    ]
    if rows:
        print_table(screen, titled_table("", rows))
    _print_reasons(report)
    for note in report.notes:
        click.echo(note, err=True)
    if not report.agrees:
        click.echo(
            "Some counts differ. If the source was written to meanwhile, import once more: what came since is brought.",
            err=True,
        )


def _print_reasons(report: ImportReport) -> None:
    """Each reason once, with how often it was met and one object that it was met with."""
    if not report.reasons:
        return
    objects: dict[tuple[str, str], dict[str, None]] = {}
    for each in report.listed:
        objects.setdefault((each.kind, each.reason), {})[each.id] = None
    met = [
        (kind, reason, count, list(objects.get((kind, reason), ())))
        for kind, reasons in report.reasons.items()
        for reason, count in sorted(reasons.items(), key=lambda each: -each[1])
    ]
    click.echo("Left out, or changed:")
    for kind, reason, count, ids in met[:_LINES_SHOWN]:
        times = f" ({count:,})" if count > 1 else ""
        example = f"{ids[0]}{' and others' if len(ids) > 1 else ''}: " if ids else ""
        click.echo(f"  {kind}{times}: {example}{reason}")
    if len(met) > _LINES_SHOWN or any(len(ids) != 1 for _, _, _, ids in met):
        click.echo("All of them are in the report that --json prints.")


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _as_json(report: ImportReport) -> dict[str, Any]:
    return {
        "source": report.source,
        "store": report.store,
        "dry_run": report.dry_run,
        "seconds": round(report.seconds, 3),
        "agrees": report.agrees,
        "counts": [{**asdict(each), "agrees": each.agrees} for each in report.counted],
        "reasons": report.reasons,
        "listed": [asdict(each) for each in report.listed],
        "unlisted": report.unlisted,
        "notes": report.notes,
    }
