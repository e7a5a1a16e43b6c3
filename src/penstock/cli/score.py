"""`penstock score`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from penstock.cli.models import load, registry_option

if TYPE_CHECKING:
    from penstock.scoring import Progress, ScoreSummary


@click.command()
@click.argument("model")
@click.argument("input", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The file to write: .csv or .parquet."
)
@click.option("--keep", metavar="NAMES", help="Input columns to carry through: id,ts or '*' for all.")
@click.option("--params", metavar="JSON", help="Params for the model, for example '{\"threshold\": 0.4}'.")
@registry_option
@click.option(
    "--trust-code/--no-trust-code", envvar="PENSTOCK_TRUST_CODE", help="Load a package that runs code of its own."
)
@click.option("--strict-env/--no-strict-env", envvar="PENSTOCK_STRICT_ENV",
              help="Refuse a model made with another minor version of its library.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def score(
    model: str, input: Path, output: Path, keep: str | None, params: str | None, registry: str,
    trust_code: bool, strict_env: bool, as_json: bool,
) -> None:  # fmt: skip
    """Score the rows of INPUT (CSV or Parquet) with MODEL and write the predictions.

    MODEL is a package's directory, a name in the registry or one of MLflow's URIs, as for penstock serve. Memory stays
    bounded however large the file is. The output appears only when it is complete.

    \b
    Examples:
      penstock score ./model rows.csv -o scores.csv
      penstock score fraud january.parquet -o scored.parquet --keep '*'
      penstock score models:/fraud@champion rows.csv -o scores.csv --registry http://mlflow:5000
    """
    from penstock.loading import LoadOptions
    from penstock.logs import set_up_logging
    from penstock.scoring import score_file

    set_up_logging(level="warning")
    name, version, loaded = load(model, registry, LoadOptions(trust_code=trust_code, strict_env=strict_env))
    click.echo(f"{name} version {version} ({loaded.digest[:12]})", err=True)
    if loaded.proof.unjoined.startswith(("rows answered", "the order")):
        click.echo(f"Warning: {loaded.proof.unjoined}; the file is scored in pieces.", err=True)
    try:
        with _bar(input.name) as advance:
            kept = keep.split(",") if keep else ()
            summary = score_file(loaded, input, output, keep=kept, params=_params(params), on_progress=advance)
    finally:
        loaded.close()
    _print_summary(summary, as_json)


def _params(text: str | None) -> dict[str, Any]:
    import orjson

    if text is None:
        return {}
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise click.UsageError(f"--params is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise click.UsageError("--params must be a JSON object.")
    return value


@contextmanager
def _bar(label: str) -> Iterator[Callable[[Progress], None]]:
    """A progress bar on stderr, where that is a terminal."""
    from penstock.cli.console import console

    screen = console(stderr=True)
    if not screen.is_terminal:
        yield lambda _: None
        return
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[done]} rows"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=screen, transient=True) as bar:
        task = bar.add_task(label, total=1.0, done="0")
        yield lambda progress: bar.update(task, completed=progress.share, done=f"{progress.rows:,}")


def _print_summary(summary: ScoreSummary, as_json: bool) -> None:
    if as_json:
        import orjson

        click.echo(orjson.dumps(summary.as_dict()).decode())
        return
    rate = summary.rows / summary.seconds if summary.seconds else 0
    click.echo(
        f"Wrote {summary.rows:,} rows ({', '.join(summary.columns[:6])}{', …' if len(summary.columns) > 6 else ''}) "
        f"to {summary.output} in {summary.seconds:.2f} s, {rate:,.0f} rows/s."
    )
