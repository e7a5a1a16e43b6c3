"""A scoring job put together: where its output goes, what is planned, and `penstock.score_files`, which runs it."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from penstock.assembly.environments import own_environment
from penstock.assembly.named_models import RegistryLike, load_named, model_text
from penstock.errors import ConfigError
from penstock.flavors.interface import need
from penstock.loading import LoadOptions
from penstock.loading.local_model import LocalModel
from penstock.payload import shortened
from penstock.scoring import (
    JobControl,
    JobLineage,
    JobOptions,
    JobOutput,
    Progress,
    ScoringOptions,
    ScoringPlan,
    Source,
    Summary,
    find_sources,
    parse_tolerance,
    prepare,
    run,
)
from penstock.scoring.file_formats import FileFormat, needed_format
from penstock.scoring.plan import CHUNK_ROWS, PART_ROWS
from penstock.signature import conform_params, unknown_param, unknown_params
from penstock.storage.files import file_store_of

PathLike: TypeAlias = "str | Path"
OnError: TypeAlias = Literal["fail", "skip", "null"]
Lineage: TypeAlias = Literal["metadata", "columns", "none"]

MAX_WORKERS = 1024

log = logging.getLogger("penstock.scoring")


def now_text() -> str:
    """The time that a job's manifest is marked with."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def output_at(path: str, sources: Sequence[Source], rejects: str | None = None) -> JobOutput:
    """Where an output path leads: to a stream (`-`), to a file, or to a directory where nothing says otherwise. Raises
    ConfigError where that is an input's place."""
    if path == "-":
        return JobOutput(path, stream=open(sys.stdout.fileno(), "wb", closefd=False), rejects=rejects)
    bare = "." not in path.rsplit("/", 1)[-1]  # an unknown ending is more likely a slip than a directory's name
    directory = path.endswith("/") or bare or file_store_of(path).is_directory(path)
    if any(_same_place(path, source.path, directory=directory) for source in sources):
        raise ConfigError(f"The output {path} {'holds' if directory else 'is'} the input.")
    return JobOutput(f"{path.rstrip('/')}/" if directory else path, directory=directory, rejects=rejects)


def check_rejects(rejects: str | None, output: JobOutput | None, sources: Sequence[Source]) -> None:
    """Raises ConfigError where rejects would overwrite an input or the output."""
    taken = [source.path for source in sources] + ([output.path] if output and not output.directory else [])
    if rejects is not None and any(_same_place(rejects, path, directory=False) for path in taken):
        raise ConfigError(f"The rejects file {rejects} is an input or the output.", hint="Choose another file.")


def _same_place(output: str, source: str, *, directory: bool) -> bool:
    if "://" in output or "://" in source:
        return source.startswith(output.rstrip("/") + "/") if directory else source == output
    if source == "-":
        return False
    real, input_ = os.path.realpath(output), os.path.realpath(source)
    return input_.startswith(real + os.sep) if directory else input_ == real


def output_format_of(output: JobOutput | None, given: str | None, sources: Sequence[Source]) -> FileFormat:
    """What the output is written as; in a directory by default what the first input is. Raises ConfigError."""
    if output is None or output.directory:
        return needed_format("", given or str(sources[0].format), "output_format")
    return needed_format(output.path, given, "output_format")


def make_plan(
    model: LocalModel,
    sources: tuple[Source, ...],
    options: ScoringOptions,
    params: Mapping[str, Any] | None = None,
    shards: int = 1,
) -> ScoringPlan:
    """What a job will do, with everything that its output depends on. Raises SchemaViolation for params,
    DependencyMissing."""
    need("pyarrow", "parquet", purpose="Scoring files")
    known = model.signature.params if model.signature else ()
    for name in unknown_params(known, params):
        log.warning(unknown_param(known, name))
    checked = conform_params(known, dict(params or {}))
    software = {name: installed_version(name) for name in ("penstock", "pyarrow")}
    return ScoringPlan(JobLineage(model.name, model.version, model.digest), sources, options, checked, shards, software)


def score_files(
    model: PathLike,
    inputs: PathLike | Sequence[PathLike],
    output: PathLike,
    *,
    input_format: str | None = None,
    output_format: str | None = None,
    keep: str | Sequence[str] = (),
    params: Mapping[str, Any] | None = None,
    on_error: OnError = "fail",
    rejects: PathLike | None = None,
    max_errors: int | str | None = None,
    lineage: Lineage = "metadata",
    workers: int | Literal["auto"] = "auto",
    resume: bool = False,
    limit: int | None = None,
    part_rows: int = PART_ROWS,
    chunk_rows: int = CHUNK_ROWS,
    registry: RegistryLike = None,
    trust_code: bool = False,
    strict_env: bool = False,
    env_manager: str = "local",
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Summary:
    """Scores the rows of files and writes the predictions: `penstock score`, from Python. Memory stays bounded.

    `model` and `registry` are as for `load_model`. `inputs` is a file, a directory, a pattern (`"data/*.parquet"`) or
    URL, or several: CSV, TSV, JSON lines (also .gz or .zst), Parquet or Arrow, by their endings or `input_format`.
    `output` is a file, which appears when it is complete, or a directory (no ending, or a `/` at the end) of parts of
    `part_rows` rows; a job that was ended goes on there with `resume=True`, without losing or doubling a row.

    `keep` names input columns to carry through, `["*"]` for all; as text it is what the command line takes, `"id,ts"`.
    `on_error` is what a row that cannot be scored does:
    end the job, leave no row (`"skip"`), or leave a row of gaps (`"null"`). `rejects` is a file of JSON lines for such
    rows; beyond `max_errors` of them (a number, or a share like `"0.1%"`) the job fails. `lineage` is where model,
    version and digest are written. `workers` is how many processes or threads predict, `chunk_rows` how many rows are
    read and predicted at once. `limit` scores the first rows only. `on_progress` is called after every chunk.

    Returns a Summary: `rows_in`, `rows_out`, `rejects`, `columns`, `parts`, `seconds` and more. Raises what
    `load_model` raises; ConfigError for what does not go together; SchemaMismatch where the files have not the model's
    columns; ScoringError for a row that ends the job; TooManyRejects; JobDiffers where another job was begun there.

        >>> done = penstock.score_files("./model", "rows.parquet", "scores.parquet", keep=["id"])
        >>> done.rows_out
        1000
    """
    _check_arguments(model, on_error, lineage, workers)
    sources = _sources_of(inputs, input_format)
    target = _target_of(output, sources, rejects, resume=resume)
    tolerance = parse_tolerance(None if max_errors is None else str(max_errors))
    job = JobOptions(resume=resume, workers=workers, tolerance=tolerance)
    format_ = output_format_of(target, output_format, sources)
    options = ScoringOptions(format_, _columns_of(keep), on_error, lineage, limit, part_rows, chunk_rows)
    load = LoadOptions(trust_code=trust_code, strict_env=strict_env, threads=1)
    environment = own_environment(env_manager, trust_code=trust_code, strict_env=strict_env)
    with load_named(model, registry, load, environment) as loaded:
        prepared = prepare(make_plan(loaded, sources, options, params), loaded.loaded, load)
        return run(prepared, target, job, JobControl(on_progress=on_progress), now=now_text)


def _check_arguments(model: Any, on_error: Any, lineage: Any, workers: Any) -> None:
    """Raises ConfigError."""
    model_text(model)
    _check_choice("on_error", on_error, get_args(OnError))
    _check_choice("lineage", lineage, get_args(Lineage))
    number = isinstance(workers, Integral) and not isinstance(workers, bool)
    if workers != "auto" and not (number and 0 < workers <= MAX_WORKERS):
        raise ConfigError(f"workers must be a number from 1 to {MAX_WORKERS} or 'auto', not {shortened(workers)}.")


def _check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    """Raises ConfigError."""
    if value not in choices:
        listed = f"{', '.join(map(repr, choices[:-1]))} or {choices[-1]!r}"
        raise ConfigError(f"{name} must be {listed}, not {shortened(value)}.")


def _columns_of(keep: Any) -> tuple[str, ...]:
    """Raises ConfigError."""
    if isinstance(keep, str):
        return tuple(keep.split(",")) if keep else ()
    names = tuple(keep) if isinstance(keep, Iterable) else (keep,)
    if not all(isinstance(name, str) for name in names):
        raise ConfigError(f"keep must be a list of the input's columns, not {shortened(keep)}.")
    return names


def _place_of(name: str, value: Any) -> str:
    """Raises ConfigError."""
    if not isinstance(value, (str, os.PathLike)) or not str(value):
        raise ConfigError(f"{name} must be a path or URL, not {shortened(value)}.")
    return str(value)


def _sources_of(inputs: PathLike | Sequence[PathLike], format_: str | None) -> tuple[Source, ...]:
    """Raises ConfigError."""
    if isinstance(inputs, (str, bytes, os.PathLike)) or not isinstance(inputs, Iterable):
        inputs = [inputs]
    sources = find_sources([_place_of("inputs", place) for place in inputs], format_)
    if not sources:
        raise ConfigError("There are no inputs to score.", hint="Give at least one input.")
    return sources


def _target_of(output: PathLike, sources: Sequence[Source], rejects: PathLike | None, *, resume: bool) -> JobOutput:
    """Raises ConfigError."""
    target = output_at(_place_of("output", output), sources, None if rejects is None else _place_of("rejects", rejects))
    check_rejects(target.rejects, target, sources)
    if resume and not target.directory:
        raise ConfigError("Only a directory output can be resumed.", hint="Give a directory: scored/")
    return target
