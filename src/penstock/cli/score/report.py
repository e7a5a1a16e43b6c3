"""What `penstock score` tells a person: the plan, a live bar, a summary; all on stderr but the summary."""

from __future__ import annotations

import re
import resource
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import click

from penstock.cli.console import cell, console, json_text
from penstock.sizes import shown_size

if TYPE_CHECKING:
    from penstock.scoring import JobOutput, PreparedJob, Progress, ScoringPlan, Shard, Summary
    from penstock.scoring.score.workers import Workers

INTERRUPTED = 3


def print_head(plan: ScoringPlan, output: str | None, shard: Shard | None) -> None:
    """Which model, and what will be done."""
    lineage, options = plan.lineage, plan.options
    click.echo(f"{lineage.model} version {lineage.version} ({lineage.digest[:12]})", err=True)
    files = len(plan.sources)
    what = plan.sources[0].path if files == 1 else f"{files} files"
    size = f", {shown_size(plan.size)}" if plan.size is not None else ""
    rows = total_rows(plan)
    counted = f", {rows:,} rows" if rows is not None else ""
    parts = f" in parts of {options.part_rows:,} rows" if output is not None and output.endswith("/") else ""
    share = f", shard {shard}" if shard else ""
    click.echo(
        f"{what} ({plan.sources[0].format}{size}{counted}) to {output or '…'} ({options.output}){parts}{share}",
        err=True,
    )


def total_rows(plan: ScoringPlan) -> int | None:
    """The rows of all sources where their files say so at their end: Parquet, if there are not too many files."""
    if any(s.format.name != "parquet" or s.path == "-" for s in plan.sources) or len(plan.sources) > 100:
        return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    from penstock.storage.files import file_store_of

    rows = 0
    for source in plan.sources:
        try:
            with file_store_of(source.path).open(source.path) as file:
                rows += pq.read_metadata(file).num_rows
        except (pa.ArrowException, OSError):
            return None  # reading it will say what is wrong
    return rows if plan.options.limit is None else min(rows, plan.options.limit)


def print_start(workers: Workers, parts: int) -> None:
    done = f", {parts} parts are done already" if parts else ""
    click.echo(f"{workers}{done}", err=True)


@contextmanager
def bar() -> Iterator[Callable[[Progress], None]]:
    """A live bar on stderr, where that is a terminal."""
    if not sys.stderr.isatty():  # asked here, since rich takes a while to import
        yield lambda _: None
        return
    from rich.progress import BarColumn, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        SpinnerColumn(),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[counts]}"),
        TimeRemainingColumn(),
    )
    shown = Bar(*columns, console=console(stderr=True), transient=True)
    task = shown.add_task("", total=1.0, counts="")
    first: list[tuple[int, float]] = []

    def advance(progress: Progress) -> None:
        if not first:  # begun with the first rows, so that what is said before stays above it
            first.append((progress.rows, monotonic()))
            shown.start()
        done, elapsed = progress.rows - first[0][0], monotonic() - first[0][1]
        rate = f"{done / elapsed:,.0f} rows/s" if elapsed > 0.5 else ""
        counts = f"{progress.rows:,} rows  {rate}  {progress.rejects:,} rejects  {shown_size(memory())}"
        shown.update(task, completed=progress.share, counts=counts)

    try:
        yield advance
    finally:
        shown.stop()


def memory() -> int:
    """Resident bytes of this process now; 0 where the system does not tell."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    return 0


def peak_memory(workers: Workers) -> int:
    """The most resident bytes that this process has had; with worker processes, the largest one's for each of them."""
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return _own_peak() + (1024 * largest * workers.count if workers.kind == "processes" else 0)


def _own_peak() -> int:
    """Bytes, as the system counts them for this program. `getrusage` counts what the process was before it, too: a
    large program that started this one would show."""
    with suppress(OSError):
        if found := re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE):
            return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C or SIGTERM came; a second one ends at once."""
    came: list[int] = []

    def note(number: int, frame: Any) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def print_interrupted(output: JobOutput, arguments: list[str]) -> int:
    """Says how to go on, where that is possible; the exit code."""
    if not output.directory:
        click.echo("Stopped; nothing was written. Only a directory output can be resumed.", err=True)
        return 1
    words = [*arguments, *([] if "--resume" in arguments else ["--resume"])]
    click.echo(f"Stopped; complete parts are kept. Continue with:\n  {shlex.join(['penstock', *words])}", err=True)
    return INTERRUPTED


def print_first_rows(prepared: PreparedJob, as_json: bool) -> None:
    """A dry run's result: what the output will look like."""
    table, rejects = prepared.first.table, prepared.first.rejects
    if as_json:
        document = {
            "plan": prepared.plan.fingerprint(),
            "columns": {f.name: str(f.type) for f in prepared.task.shape},
            "seconds": prepared.seconds,
            "first_rows": table.slice(0, 5).to_pylist(),
            "rejects": [str(reject) for reject in rejects[:5]],
        }
        click.echo(json_text(document, indent=False))
        return
    from rich.table import Table

    shown = Table(box=None, pad_edge=False)
    for field in prepared.task.shape:
        shown.add_column(f"{cell(field.name)}\n{field.type}")
    for row in table.slice(0, 5).to_pylist():
        shown.add_row(*("" if value is None else cell(value) for value in row.values()))
    console().print(shown)
    for reject in rejects[:5]:
        click.echo(f"Rejected: {reject}")
    seconds = f"; one worker would need about {prepared.seconds:,.1f} s" if prepared.seconds is not None else ""
    click.echo(
        f"The first {prepared.first.chunk.rows:,} rows: {len(rejects):,} rejected{seconds}. Nothing was written."
    )


def print_summary(summary: Summary, total: float, *, as_json: bool, to_stderr: bool) -> None:
    """`total` is how many seconds the command took, with what came before the first row: loading and proving."""
    new = summary.rows_in - summary.resumed_rows
    rate = new / summary.seconds if summary.seconds else 0.0
    if as_json:
        document = summary.as_dict() | {
            "total_seconds": total,
            "rows_per_second": round(rate, 1),
            "peak_memory_bytes": peak_memory(summary.workers),
        }
        click.echo(json_text(document, indent=False), err=to_stderr)
        return
    from rich.table import Table

    names = summary.columns
    shown = Table(box=None, pad_edge=False, show_header=False)
    resumed = f" ({summary.resumed_rows:,} in earlier runs)" if summary.resumed_rows else ""
    shown.add_row(
        "rows", f"{summary.rows_in:,} read{resumed}, {summary.rows_out:,} written, {summary.rejects:,} rejected"
    )
    shown.add_row("columns", ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else ""))
    shown.add_row(
        "output",
        summary.output
        + (f", {summary.parts} part{'s' * (summary.parts != 1)}" if summary.output.endswith("/") else ""),
    )
    after = f"{summary.seconds:.2f} s after loading and proving"
    shown.add_row("time", f"{total:.2f} s, of which {after}: {rate:,.0f} rows/s, {summary.workers}")
    shown.add_row("memory", f"{shown_size(peak_memory(summary.workers))} at most")
    console(stderr=to_stderr).print(shown)
