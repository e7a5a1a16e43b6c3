"""`penstock score`."""

from __future__ import annotations

import logging
import os
import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from penstock.cli.console import json_text
from penstock.cli.environment_options import env_manager_option, wheels_option
from penstock.cli.loading_options import loading_options
from penstock.cli.registry_option import registry_if_needed
from penstock.cli.score.options import FileFlags, JobFlags, RowFlags, ScoreCommand
from penstock.errors import ConfigError

if TYPE_CHECKING:
    from penstock.scoring import JobOptions, JobOutput, PreparedJob, ScoringOptions, Source
    from penstock.scoring.file_formats import FileFormat

_FORMATS = "csv, tsv, jsonl (.gz or .zst after them), parquet or arrow"


@click.command(context_settings={"max_content_width": 110})
@click.argument("words", nargs=-1, metavar="MODEL INPUT...")
@click.option(
    "-o",
    "--output",
    "--output-path",
    metavar="OUTPUT",
    help="The output: a file, a directory (no file extension, or a / at the end), a URL of either, or - for standard "
    "output.",
)
@click.option(
    "--input-format", metavar="FORMAT", help=f"Format of the inputs, if their file extensions do not tell: {_FORMATS}."
)
@click.option(
    "--output-format",
    metavar="FORMAT",
    help="Format of the output, if its file extension does not tell. Default for a directory: the first input's "
    "format.",
)
@click.option("--keep", metavar="NAMES", help="Input columns to copy to the output: id,ts or '*' for all.")
@click.option(
    "--join",
    is_flag=True,
    help="Write every input column beside the predictions, as --keep '*' does. A model of one array is given all but "
    "those that --keep names.",
)
@click.option("--params", metavar="JSON", help="Params for the model, for example '{\"threshold\": 0.4}'.")
@click.option(
    "--on-error",
    type=click.Choice(["fail", "skip", "null"]),
    default="fail",
    show_default=True,
    help="What to do with a row that cannot be scored. fail: stop the job. skip: write no row. null: write a row of "
    "empty cells.",
)
@click.option(
    "--rejects",
    metavar="FILE",
    help="Where to write rows that could not be scored, as JSON lines: file, row, column, reason, value, the "
    "kept columns, and the text of the row and where it begins.",
)
@click.option(
    "--max-errors", metavar="N|P%", help="Fail (exit code 1) if there are more rejects than this: 100, or 0.1%."
)
@click.option(
    "--lineage",
    type=click.Choice(["metadata", "columns", "none"]),
    default="metadata",
    show_default=True,
    help="Where to write the model's name, version and digest: into the metadata of Parquet and Arrow files, or into "
    "three columns.",
)
@click.option(
    "--workers",
    default="auto",
    show_default=True,
    metavar="N|auto",
    help="Number of workers. auto: threads for ONNX models; processes for other models if the job is large enough.",
)
@click.option(
    "--resume", is_flag=True, help="Continue the job in the output directory, or start the job if there is none."
)
@click.option(
    "--shard", metavar="I/N", help="Score only shard I of N, counted from 0. All N runs share an output directory."
)
@click.option("--finish", is_flag=True, help="With -o alone: check that all shards are complete, and write _SUCCESS.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Score the first N rows only.")
@click.option(
    "--part-rows",
    type=click.IntRange(min=1),
    default=1_000_000,
    show_default=True,
    metavar="N",
    help="Rows per file in an output directory. A killed job loses at most one unfinished file.",
)
@click.option("--dry-run", is_flag=True, help="Show the plan and score the first rows; write nothing.")
@click.option(
    "--verify-against",
    metavar="URL",
    help="Also send the first rows to this endpoint, and fail if its predictions differ.",
)
@registry_if_needed
@loading_options
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.option(
    "-m",
    "--model-uri",
    metavar="MODEL",
    help="The model, as mlflow models predict takes it. With -i, -o and -t the output is the same JSON.",
)
@click.option(
    "-i", "--input-path", metavar="FILE", help="With -m: the input file, JSON or CSV. Default: standard input."
)
@click.option(
    "-t", "--content-type", type=click.Choice(["json", "csv"]), help="With -m: the format of the input. Default: json."
)
@env_manager_option
@wheels_option
@click.option("--install-mlflow", is_flag=True, hidden=True)
def score(install_mlflow: bool, **given: Any) -> int:
    """Score the rows of every INPUT with MODEL and write the predictions.

    INPUT is a file, a directory, a pattern ('data/*.parquet'), a URL (s3://…) or - for standard input. MODEL is a
    package's directory or URL, a name in the registry or one of MLflow's URIs, as for penstock serve. Memory use stays
    bounded, whatever the size of the files.

    A file output is atomic: the file appears when it is complete, and the job cannot be resumed. A directory output
    consists of parts: continue a job that was stopped or killed with the same command and --resume. No row is lost or
    written twice.

    Exit codes: 0 success; 1 failure or too many rejects; 2 wrong usage or schema; 3 interrupted, can be resumed.

    \b
    Examples:
      penstock score ./model rows.csv -o scores.csv
      penstock score fraud january.parquet -o scored.parquet --join
      penstock score fraud 'data/*.parquet' -o scored/ --keep id --on-error skip --rejects bad.jsonl --max-errors 0.1%
      penstock score fraud 'data/*.parquet' -o scored/ --keep id --on-error skip --resume
      zcat rows.csv.gz | penstock score fraud - --input-format csv -o - --output-format jsonl
      penstock score fraud s3://inbox/data/ -o s3://outbox/scored/ --shard 2/8
      penstock score --finish -o s3://outbox/scored/
      penstock score models:/fraud@champion rows.csv -o scores.csv --registry http://mlflow:5000
      penstock score ./model rows.csv -o scores.csv --env-manager uv
      penstock score -m ./model -i request.json -t json
    """
    from penstock.logs import set_up_logging

    set_up_logging(level="warning")
    _warn_of_variables()
    command = ScoreCommand.of(given)
    if command.finish:
        return _finish(command)
    if command.like_mlflow.model_uri is not None:
        from penstock.cli.score.like_mlflow import predict

        return predict(command)
    if command.like_mlflow.input_path is not None or command.like_mlflow.content_type is not None:
        raise click.UsageError("-i and -t require -m MODEL, as in mlflow models predict.")
    if len(command.words) < 2:
        raise click.UsageError("Give a MODEL and at least one INPUT.")
    return _score(command)


def _warn_of_variables() -> None:
    if any(name.upper().startswith("PENSTOCK_") for name in os.environ):
        from penstock.config import unknown_variables

        for said in unknown_variables(os.environ):
            logging.getLogger("penstock").warning(said)


def _use_one_thread() -> None:
    """One thread for each prediction, whatever the number of workers: answers do not depend on it. numpy's own threads
    start when it is imported, and spend a tenth of a second on that alone."""
    if "numpy" not in sys.modules:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def _score(command: ScoreCommand) -> int:
    began = perf_counter()
    _use_one_thread()
    from penstock.assembly.named_models import load_named
    from penstock.assembly.scoring import make_plan, output_format_of
    from penstock.cli.score import report as score_report
    from penstock.scoring import find_sources, prepare

    job = _job_options(command.job)
    sources = find_sources(command.words[1:], command.files.input_format)
    output = None if command.dry_run and command.files.output is None else _output(command.files, sources)
    _check_usage(command, output, sources)
    flags = command.model
    load = flags.load_options(threads=1)
    with load_named(command.words[0], flags.registry, load, flags.environment()) as model:
        plan = make_plan(
            model,
            sources,
            _scoring_options(command.rows, output_format_of(output, command.files.output_format, sources)),
            _json_params(command.rows.params),
            job.shard.count,
        )
        score_report.print_head(plan, output.path if output else None, job.shard if command.job.shard else None)
        unjoined = model.loaded.proof.unjoined
        if unjoined.startswith(("rows answered", "the order")):
            click.echo(f"Warning: {unjoined}; the rows are scored in chunks.", err=True)
        prepared = prepare(plan, model.loaded, load)
        if command.verify_against is not None:
            from penstock.cli.score.verify import verify_against

            click.echo(verify_against(command.verify_against, prepared), err=True)
        if command.dry_run or output is None:
            score_report.print_first_rows(prepared, command.as_json)
            return 0
        return _run(prepared, output, job, began, as_json=command.as_json)


def _run(prepared: PreparedJob, output: JobOutput, job: JobOptions, began: float, *, as_json: bool) -> int:
    from penstock.assembly.scoring import now_text
    from penstock.cli.score import report as score_report
    from penstock.errors import Interrupted
    from penstock.scoring import JobControl, run

    try:
        with score_report.stop_on_signals() as stopped, score_report.bar() as advance:
            control = JobControl(score_report.print_start, advance, stopped)
            summary = run(prepared, output, job, control, now=now_text)
    except Interrupted:
        return score_report.print_interrupted(output, _own_arguments())
    total = perf_counter() - began
    score_report.print_summary(summary, total, as_json=as_json, to_stderr=output.path == "-")
    return 0


def _own_arguments() -> list[str]:
    context = click.get_current_context()
    arguments: list[str] | None = context.find_root().obj
    return arguments if arguments is not None else sys.argv[1:]


def _finish(command: ScoreCommand) -> int:
    from penstock.scoring import finish

    if command.words or command.files.output is None:
        raise click.UsageError("--finish takes only -o OUTPUT, the directory of the shards.")
    done = finish(command.files.output, command.files.rejects)
    if command.as_json:
        click.echo(json_text(done, indent=False))
    else:
        totals = f"{done.parts} parts, {done.rows_out:,} rows, {done.rejects:,} rejects"
        click.echo(f"All {done.shards} shards are complete: {totals}.")
    return 0


def _output(files: FileFlags, sources: tuple[Source, ...]) -> JobOutput:
    from penstock.assembly.scoring import output_at

    if files.output is None:
        raise click.UsageError("Give -o OUTPUT: a file, a directory, or - for standard output.")
    return output_at(files.output, sources, files.rejects)


def _check_usage(command: ScoreCommand, output: JobOutput | None, sources: tuple[Source, ...]) -> None:
    from penstock.assembly.scoring import check_rejects

    job = command.job
    check_rejects(command.files.rejects, output, sources)
    directory = output is not None and output.directory
    if job.shard and not directory:
        raise ConfigError(
            "--shard needs an output directory that all shards share.", hint="Give a directory: -o scored/"
        )
    if job.shard and command.rows.limit:
        raise ConfigError("--limit counts the rows of all shards and cannot be combined with --shard.")
    if job.shard and "-" in command.words[1:]:
        raise ConfigError("Standard input cannot be split into shards.")
    if job.resume and not directory:
        raise ConfigError("Only a directory output can be resumed.", hint="Give a directory: -o scored/")


def _job_options(flags: JobFlags) -> JobOptions:
    from penstock.scoring import JobOptions, Shard, parse_shard, parse_tolerance

    tolerance = parse_tolerance(flags.max_errors)
    shard = parse_shard(flags.shard) if flags.shard else Shard()
    return JobOptions(shard, flags.resume, _workers(flags.workers), tolerance)


def _workers(text: str) -> str | int:
    from penstock.assembly.scoring import MAX_WORKERS

    if text == "auto":
        return text
    if text.isdigit() and 0 < int(text) <= MAX_WORKERS:
        return int(text)
    raise ConfigError(f"--workers {text} must be a number or auto.")


def _scoring_options(flags: RowFlags, output: FileFormat) -> ScoringOptions:
    from penstock.scoring import ScoringOptions

    return ScoringOptions(
        output=output,
        keep=(*(("*",) if flags.join else ()), *(flags.keep.split(",") if flags.keep else ())),
        on_error=flags.on_error,
        lineage=flags.lineage,
        limit=flags.limit,
        part_rows=flags.part_rows,
    )


def _json_params(text: str | None) -> dict[str, Any]:
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
