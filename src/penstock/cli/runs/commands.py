"""`penstock runs …`: runs listed, shown and compared, wherever they were logged."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from penstock.cli.runs.options import experiment_option, json_option, opened, tracking_option

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.cli.runs.columns import ListedRuns
    from penstock.cli.runs.source import FoundRuns, RunSearch, RunSource

_DEFAULT_MAX = 50
_VIEWS = {"active": "ACTIVE_ONLY", "deleted": "DELETED_ONLY", "all": "ALL"}


@click.group()
def runs() -> None:
    """Find, show and compare runs: those of a hub, of an MLflow server, or of the embedded store.

    A server that asks for a token is given the one in MLFLOW_TRACKING_TOKEN.

    \b
    Examples:
      penstock runs list -e churn --filter 'metrics.f1 > 0.9' --order-by 'metrics.f1 DESC'
      penstock runs list --tracking http://hub:5000
    """


@runs.command("list")
@experiment_option("Only runs of this experiment, by name or id. May be repeated. Default: all experiments.")
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
    """List runs, the newest first, with the metrics and params in which they differ.

    \b
    Examples:
      penstock runs list
      penstock runs list -e churn --filter "metrics.f1 > 0.9 and params.depth = '4'" --order-by 'metrics.f1 DESC'
      penstock runs list -e churn --all --csv > churn.csv
    """
    from penstock.cli.runs import listing
    from penstock.cli.runs.columns import ListedRuns
    from penstock.cli.runs.filter_errors import named_columns
    from penstock.cli.runs.source import RunSearch

    if as_json and (as_csv or columns):
        raise click.UsageError("--json has all there is of each run: it takes neither --columns nor --csv.")
    asked = [name.strip() for text in columns for name in text.split(",") if name.strip()]
    with opened(tracking) as source:
        named = _experiments(source, experiments)
        query = RunSearch(list(named), filter_text, order_by, _VIEWS[view], None if everything else limit)
        found = _searched(source, query)
        listed = ListedRuns(found.runs, named, _now())
        if as_json:
            listing.as_json(listed)
        elif as_csv:
            listing.as_csv(listed, asked)
        elif found.runs:
            listing.as_table(listed, asked, named_columns(filter_text, order_by))
        else:
            _say_nothing_found(source, query, named, experiments, tracking)
    if found.more:
        listing.more_there_are(len(found.runs))


def _now() -> datetime:
    return datetime.now(UTC)


def _experiments(source: RunSource, texts: Sequence[str]) -> dict[str, str]:
    """Names by id: those that were typed, else what MLflow's variables name, else all. Raises ExperimentNotFound."""
    if not texts:
        variables = (os.environ.get(f"MLFLOW_EXPERIMENT_{what}", "").strip() for what in ("ID", "NAME"))
        texts = [text for text in variables if text][:1]
    if not texts:
        return {known.experiment_id: known.name for known in source.experiments.values()}
    chosen = [source.experiment(text) for text in texts]
    return {experiment.experiment_id: experiment.name for experiment in chosen}


def _searched(source: RunSource, query: RunSearch) -> FoundRuns:
    from penstock.cli.runs.filter_errors import check, pointing_at

    if not query.experiment_ids:
        check(query.filter, query.order_by)
    with pointing_at(query.filter, query.order_by), _counting() as progress:
        return source.search(query, progress)


@contextmanager
def _counting() -> Iterator[Callable[[int], None]]:
    """How many runs were read, on a terminal alone."""
    from penstock.cli.console import console

    screen = console(stderr=True)
    if not screen.is_terminal:
        yield lambda count: None
        return
    with screen.status("") as status:
        yield lambda count: status.update(f"{count:,} runs read")


def _say_nothing_found(
    source: RunSource, query: RunSearch, named: dict[str, str], typed: Sequence[str], tracking: str
) -> None:
    from penstock.cli.runs import listing
    from penstock.cli.runs.columns import ListedRuns
    from penstock.cli.runs.filter_errors import named_columns
    from penstock.cli.runs.source import RunSearch

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
