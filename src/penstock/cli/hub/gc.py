"""`penstock hub gc`: what was deleted is removed for good."""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING

import click

from penstock.cli.console import console, json_text, print_table, titled_table
from penstock.cli.hub.options import artifacts_of, artifacts_option, store_of, store_option
from penstock.cli.hub.progress import shown_progress
from penstock.sizes import shown_size

if TYPE_CHECKING:
    from penstock.hub.gc.plan import GcPlan

_DURATION = re.compile(r"(?:([\d.]+)d)?(?:([\d.]+)h)?(?:([\d.]+)m)?(?:([\d.]+)s)?")
_SECONDS = (86_400, 3600, 60, 1)

# What stays that is named one by one.
_KEPT_SHOWN = 20


@click.command()
@store_option
@artifacts_option
@click.option("--older-than", metavar="TIME", help="Only what was deleted so long ago: 30d, 12h, 2d8h.")
@click.option("--run-ids", metavar="IDS", help="Only these runs; IDs with commas between them.")
@click.option("--experiment-ids", metavar="IDS", help="Only these experiments, with what is in them.")
@click.option("--logged-model-ids", metavar="IDS", help="Only these logged models.")
@click.option("--dry-run", is_flag=True, help="Show what would be removed, and remove nothing.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--json", "as_json", is_flag=True, help="Print what is removed and what stays as JSON.")
@click.pass_context
def gc(
    context: click.Context,
    store: str,
    artifacts: str | None,
    older_than: str | None,
    run_ids: str | None,
    experiment_ids: str | None,
    logged_model_ids: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Remove for good what was deleted: runs, experiments and logged models, with their files. What is removed cannot
    be restored.

    Packages below the artifacts that no version has are removed, too, and what uploads have left that were cut off a
    day ago or longer. Files of registered versions stay, and files that are not the hub's. Where IDs are given, only
    what they name is removed.

    It may run beside hubs, and one that was cut off is continued by the next.

    \b
    Examples:
      penstock hub gc --dry-run
      penstock hub gc --older-than 30d --yes
      penstock hub gc --run-ids 0d7f5c8e6b1b4f0f9a3c2b1d4e5f6071
      penstock hub gc --store postgresql://penstock@db/penstock \\
        --artifacts s3://bucket/artifacts
    """
    from penstock.assembly.upkeep import garbage_collector
    from penstock.hub.gc.plan import GcRequest

    store, artifacts = store_of(context)
    request = GcRequest(
        int((time.time() - _seconds(older_than)) * 1000), _ids(run_ids), _ids(experiment_ids), _ids(logged_model_ids)
    )
    with garbage_collector(store, artifacts_of(store, artifacts)) as collector:
        with shown_progress("looking for garbage") as (advance,):
            plan = collector.plan(request, lambda: advance(1))
        if not as_json:
            _show(plan)
        if not dry_run and not plan.is_empty:
            _confirm(yes)
            with shown_progress("removing", totals=[plan.places]) as (advance,):
                collector.collect(plan, request, advance)
        if as_json:
            click.echo(json_text({"dry_run": dry_run, **plan.as_json()}))
        elif not dry_run and not plan.is_empty:
            click.echo("Removed.")


def _show(plan: GcPlan) -> None:
    """What goes, by kind, and what stays."""
    rows = [
        _row("deleted runs", len(plan.runs), plan, "runs"),
        _row("deleted experiments", len(plan.experiments), plan, ""),
        _row("deleted logged models", len(plan.models), plan, "logged_models"),
        _row("packages without a version", len(plan.packages), plan, "packages"),
        {"what": "drafts of uploads", "count": plan.drafts.files, **_size(plan.drafts.files, plan.drafts.bytes)},
        _row("left by an earlier collection", len(plan.leftovers), plan, "leftovers"),
    ]
    shown = [row for row in rows if row["count"]]
    if shown:
        print_table(console(), titled_table("", shown))
    else:
        click.echo("There is nothing to remove.")
    for each in plan.kept[:_KEPT_SHOWN]:
        click.echo(f"stays: {each.what}: {each.why}", err=True)
    if plan.orphans:
        several = "s" * (len(plan.orphans) > 1)
        click.echo(
            f"stays: {len(plan.orphans)} logged model{several} of these runs: delete what is to go with them first, "
            "and name it by --logged-model-ids where others are named; --json has the ids.",
            err=True,
        )
    if len(plan.kept) > _KEPT_SHOWN:
        click.echo(f"and {len(plan.kept) - _KEPT_SHOWN} more stay; --json names all.", err=True)


def _row(what: str, count: int, plan: GcPlan, kind: str) -> dict[str, object]:
    files = plan.counts.get(kind)
    return {"what": what, "count": count, **_size(files.files if files else 0, files.bytes if files else 0)}


def _size(files: int, size: int) -> dict[str, object]:
    return {"files": f"{files:,}", "size": shown_size(size)}


def _confirm(yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("Nobody can be asked here: say --yes to remove it, or --dry-run to look.")
    click.confirm("Remove all this for good?", abort=True, err=True)


def _seconds(text: str | None) -> float:
    if text is None:
        return 0.0
    found = _DURATION.fullmatch(text.strip())
    try:
        parts = [float(part) for part in found.groups("0")] if found and found[0] else []
    except ValueError:
        parts = []
    if not parts:
        raise click.UsageError(f"--older-than takes a duration such as 30d, 12h or 2d8h, not {text!r}.")
    return sum(part * seconds for part, seconds in zip(parts, _SECONDS, strict=True))


def _ids(text: str | None) -> tuple[str, ...]:
    found = tuple(part.strip() for part in (text or "").split(",") if part.strip())
    if text is not None and not found:
        raise click.UsageError("No ID is given.")
    return found
