"""`penstock runs …`: runs listed, shown and compared, wherever they were logged."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from penstock.cli.runs.options import experiment_option, json_option, opened, tracking_option
from penstock.error_text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.cli.runs.columns import ListedRuns
    from penstock.cli.runs.reading.source import FoundRuns, ReadRun, RunSearch, RunSource

_DEFAULT_MAX = 50
_VIEWS = {"active": "ACTIVE_ONLY", "deleted": "DELETED_ONLY", "all": "ALL"}


@click.group()
def runs() -> None:
    """Find, show and compare runs: those of a hub, of an MLflow server, or of the embedded store.

    A server that asks for a token is given the one in MLFLOW_TRACKING_TOKEN.

    \b
    Examples:
      penstock runs list -e churn --filter 'metrics.f1 > 0.9' \\
        --order-by 'metrics.f1 DESC'
      penstock runs list --tracking http://hub:5000
    """


@runs.command("list")
@click.argument("named", nargs=-1, metavar="[EXPERIMENT]...")
@experiment_option("The same as EXPERIMENT, as show and compare take it.")
@click.option(
    "--filter",
    "filter_text",
    default="",
    metavar="TEXT",
    help="MLflow's filter language: metrics.f1 > 0.9 and params.depth = '4' and status = 'FINISHED'.",
)
@click.option(
    "--order-by", multiple=True, metavar="KEY", help="Sort, as by 'metrics.f1 DESC'. May be repeated. Default: newest."
)
@click.option(
    "--max", "limit", type=click.IntRange(1), default=_DEFAULT_MAX, show_default=True, help="So many runs at most."
)
@click.option("--all", "everything", is_flag=True, help="All runs, however many.")
@click.option(
    "--view", type=click.Choice(list(_VIEWS)), default="active", show_default=True, help="Which runs, of deleted ones."
)
@click.option(
    "--columns",
    multiple=True,
    metavar="NAMES",
    help="These columns, with commas between them: id,name,started,params.depth,'metrics.*'. Default: those in which "
    "the runs differ, as far as there is room.",
)
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print all columns as CSV.")
@tracking_option
def list_(
    named: tuple[str, ...],
    experiments: tuple[str, ...],
    filter_text: str,
    order_by: tuple[str, ...],
    limit: int,
    everything: bool,
    view: str,
    columns: tuple[str, ...],
    as_json: bool,
    as_csv: bool,
    tracking: str,
) -> None:
    """List runs, the newest first, with the metrics and params in which they differ: those of each EXPERIMENT, by name
    or id, or without any those of all.

    \b
    Examples:
      penstock runs list
      penstock runs list churn \\
        --filter "metrics.f1 > 0.9 and params.depth = '4'" \\
        --order-by 'metrics.f1 DESC'
      penstock runs list churn --all --csv > churn.csv
    """
    from penstock.cli.runs import listing
    from penstock.cli.runs.columns import ListedRuns
    from penstock.cli.runs.filter_errors import named_columns
    from penstock.cli.runs.reading.source import RunSearch

    if as_json and (as_csv or columns):
        raise click.UsageError("--json has all there is of each run: it takes neither --columns nor --csv.")
    typed = (*named, *experiments)
    asked = [name.strip() for text in columns for name in text.split(",") if name.strip()]
    with opened(tracking) as source:
        names = _experiments(source, typed)
        query = RunSearch(list(names), filter_text, order_by, _VIEWS[view], None if everything else limit)
        found = _searched(source, query)
        listed = ListedRuns(found.runs, names, _now())
        if as_json:
            listing.as_json(listed)
        elif as_csv:
            listing.as_csv(listed, asked)
        elif found.runs:
            listing.as_table(listed, asked, named_columns(filter_text, order_by))
        else:
            _say_nothing_found(source, query, names, typed, tracking)
    if found.more:
        listing.more_there_are(len(found.runs))


@runs.command()
@click.argument("run")
@experiment_option("Look for the run's name in this experiment alone. May be repeated.")
@click.option("--all", "everything", is_flag=True, help="All metrics, params, tags and files, however many.")
@json_option
@tracking_option
def show(run: str, experiments: tuple[str, ...], everything: bool, as_json: bool, tracking: str) -> None:
    """Show one RUN: its params, tags and metrics with their course, the data that it took, its files and models.

    RUN is its id, the beginning of its id, or its name; a deleted run is found where no other is meant.

    \b
    Examples:
      penstock runs show 4f2c91ab
      penstock runs show brave-crane-7 -e churn --json
    """
    from penstock.cli.runs import details
    from penstock.cli.runs.reading.histories import metric_facts
    from penstock.cli.runs.reading.naming import named_run
    from penstock.cli.runs.reading.relatives import relatives_of

    with opened(tracking) as source:
        read = named_run(source, run, _chosen_ids(source, experiments))
        with _status() as say:
            facts = metric_facts(source, read.run, lambda key: say(f"reading {key}"))
        shown = details.ShownRun(read, _experiment_of(source, read), facts, relatives_of(source, read), _now())
    if as_json:
        details.as_json(shown)
    else:
        details.as_text(shown, everything=everything)


@runs.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN...")
@experiment_option("Look for names of runs in this experiment alone. May be repeated.")
@click.option("--all", "everything", is_flag=True, help="Also rows that are the same in all runs.")
@json_option
@tracking_option
def compare(
    runs: tuple[str, ...], experiments: tuple[str, ...], everything: bool, as_json: bool, tracking: str
) -> None:
    """Compare two runs and more: what differs, and how far each metric is from that of the first.

    A RUN is its id, the beginning of its id, or its name; a deleted run is found where no other is meant.

    \b
    Examples:
      penstock runs compare 4f2c91ab 77de0102
      penstock runs compare baseline deeper wider -e churn --all
    """
    from penstock.cli.runs import comparing
    from penstock.cli.runs.comparison import compared
    from penstock.cli.runs.reading.naming import named_run

    if len(runs) < 2:
        raise click.UsageError("Name two runs at least: a run is compared with others.")
    with opened(tracking) as source:
        ids = _chosen_ids(source, experiments)
        read = [named_run(source, text, ids) for text in runs]
        names = {each.run.info.experiment_id: _experiment_of(source, each) for each in read}
    found = [each.run for each in read]
    if len({run.info.run_id for run in found}) < len(found):
        raise click.UsageError("The same run is named twice.")
    rows = compared(read, names)
    kept = [row for row in rows if everything or row.differs]
    if as_json:
        comparing.as_json(found, kept)
    else:
        comparing.as_text(found, kept, len(rows) - len(kept))


@runs.command()
@click.option(
    "--tracking",
    metavar="URL",
    default="",
    help="Only what was logged to this place. Default: all, but for other servers.",
)
@click.option(
    "--spool",
    metavar="DIR",
    default="",
    help="Where it waits.  [default: ~/.local/state/penstock/spool]  [PENSTOCK_SPOOL]",
)
@click.option("--dry-run", is_flag=True, help="Only say what waits.")
@json_option
def sync(tracking: str, spool: str, dry_run: bool, as_json: bool) -> None:
    """Send what programs logged while no server answered, or before they were killed.

    The next program that starts a run at the same place does so, too. Nothing is there twice, however often it is sent.
    Credentials go to the server that MLFLOW_TRACKING_URI or PENSTOCK_TRACKING_URI names, or --tracking: what is for
    another one waits until that names it. Exits with 1 where something waits on, and says why.

    \b
    Examples:
      penstock runs sync
      penstock runs sync --tracking http://hub:5000 --dry-run
    """
    from penstock.cli.runs import syncing
    from penstock.fluent.settings import TrackingSettings
    from penstock.fluent.spool import synced_segments

    directory = spool or TrackingSettings.from_environ(os.environ).spool
    segments = synced_segments(directory, tracking, dry_run=dry_run)
    report = syncing.as_json if as_json else syncing.as_text
    if not report(segments, directory, dry_run=dry_run):
        raise SystemExit(1)


def _now() -> datetime:
    return datetime.now(UTC)


def _experiments(source: RunSource, texts: Sequence[str]) -> dict[str, str]:
    """Names by id: those that were chosen, else all. Raises ExperimentNotFound."""
    chosen = [source.experiment(text) for text in _chosen(texts)] or source.experiments.values()
    return {experiment.experiment_id: experiment.name for experiment in chosen}


def _chosen_ids(source: RunSource, texts: Sequence[str]) -> list[str]:
    """Ids of the experiments that were chosen, none where it may be any. Raises ExperimentNotFound."""
    return [source.experiment(text).experiment_id for text in _chosen(texts)]


def _chosen(texts: Sequence[str]) -> Sequence[str]:
    """What was typed, else what MLflow's variables name."""
    variables = (os.environ.get(f"MLFLOW_EXPERIMENT_{what}", "").strip() for what in ("ID", "NAME"))
    return texts or [text for text in variables if text][:1]


def _experiment_of(source: RunSource, read: ReadRun) -> str:
    """The name of the experiment that a run is in, which may be a deleted one."""
    experiment_id = read.run.info.experiment_id
    known = source.experiments.get(experiment_id)
    return known.name if known else source.experiment_name(experiment_id)


def _searched(source: RunSource, query: RunSearch) -> FoundRuns:
    from penstock.cli.runs.filter_errors import check, pointing_at

    if not query.experiment_ids:
        check(query.filter, query.order_by)
    with pointing_at(query.filter, query.order_by), _status() as say:
        return source.search(query, lambda count: say(f"{count:,} runs read"))


@contextmanager
def _status() -> Iterator[Callable[[str], None]]:
    """Says what goes on, on a terminal alone."""
    from penstock.cli.console import console

    screen = console(stderr=True, markup=False)
    if not screen.is_terminal:
        yield lambda text: None
        return
    with screen.status("") as status:
        yield lambda text: status.update(printable(text))


def _say_nothing_found(
    source: RunSource, query: RunSearch, named: dict[str, str], typed: Sequence[str], tracking: str
) -> None:
    from penstock.cli.runs import listing
    from penstock.cli.runs.columns import ListedRuns
    from penstock.cli.runs.filter_errors import named_columns
    from penstock.cli.runs.reading.source import RunSearch

    names = " and ".join(repr(name) for name in named.values())
    everywhere = len(named) == len(source.experiments) and not typed
    where = f"at {source.place}" if everywhere else f"in experiment {names} at {source.place}"
    listed: ListedRuns | None = None
    unknown: list[str] = []
    if query.filter:
        others = source.search(RunSearch(query.experiment_ids, view=query.view, limit=100))
        listed = ListedRuns(others.runs, named, _now())
        known = {f"{kind}.{key}" for kind in ("metrics", "params") for key in listed.keys[kind]}
        unknown = [n for n in named_columns(query.filter, ()) if n not in known and not n.startswith("tags.")]
    listing.nothing_found(where, query.filter, listed, unknown, listing.experiments_typed(typed, tracking))
