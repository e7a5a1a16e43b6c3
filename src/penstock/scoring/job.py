"""One scoring job: chunks are read, scored and written, each stage ahead of the next; the plan says the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from time import perf_counter
from typing import Any

from penstock.errors import ConfigError, Interrupted, ScoringError, TooManyRejects
from penstock.loading import LoadedModel, LoadOptions
from penstock.machine.cores import usable_cores
from penstock.payload import Payload
from penstock.scoring.commit import SUCCESS, JobManifest, JobState
from penstock.scoring.finish import write_rejects
from penstock.scoring.job_options import JobControl, JobOptions, JobOutput, Progress
from penstock.scoring.plan import ScoringPlan, Shard, deal_files
from penstock.scoring.read.chunks import Chunk, Position, read_sources
from penstock.scoring.read.decoding import decode, fed_columns, guess_fields, kept_columns
from penstock.scoring.rejects import Tolerance
from penstock.scoring.score.output_table import fitted
from penstock.scoring.score.scorer import Scored, Task, decode_chunk, good_rows, score_ready
from penstock.scoring.score.workers import Deferred, Workers, choose_workers, score_all, working_time
from penstock.scoring.write.output_schema import decide_shape
from penstock.scoring.write.sinks import FileSink, Now, PartsSink, Sink, StreamSink
from penstock.storage.files import file_store_of, join


@dataclass(frozen=True, slots=True)
class Summary:
    """What a finished run did. `rows_in` and `rows_out` count the whole job, `seconds` this run alone, from the first
    row that was read for it, `steady` the rows a second from the first scored rows on, when all workers have started; 0
    where there were no more."""

    model: str
    version: str
    digest: str
    output: str
    rows_in: int
    rows_out: int
    rejects: int
    columns: tuple[str, ...]
    parts: int
    resumed_rows: int
    workers: Workers
    seconds: float
    steady: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class PreparedJob:
    """A plan with a model, tried on the first rows: `first` are they, scored; `seconds` is about how long one worker
    predicts for all of them, None where nothing tells. `stream` holds what was read of an input that can be read only
    once. `took` is the seconds that trying them took: the job's work, most often, since they are not scored again."""

    plan: ScoringPlan
    model: LoadedModel
    load: LoadOptions
    task: Task
    first: Scored
    seconds: float | None = None
    stream: Iterator[Chunk] | None = None
    chunk: Chunk | None = None
    took: float = 0.0

    def first_payload(self, rows: int) -> Payload:
        """Up to so many of the first rows, as the model takes them; bad ones left out."""
        assert self.chunk is not None
        found = decode(self.chunk, self.plan.sources[0], self.task.schema, self.task.keep, self.task.apart)
        return good_rows(found, self.task.schema, rows)


def prepare(
    plan: ScoringPlan, model: LoadedModel, load: LoadOptions, clock: Callable[[], float] = working_time
) -> PreparedJob:
    """Scores the first rows, which decide the output's columns and how many workers pay. Raises ScoringError."""
    started = perf_counter()
    signature, options = model.signature, plan.options
    schema = signature.enforced if signature is not None else None
    task = Task(
        plan.sources,
        schema,
        plan.params,
        ("*",) if "*" in options.keep else options.keep,
        options.on_error,
        plan.lineage.columns() if options.lineage == "columns" else {},
        frames=model.predictor.takes_frames,
        apart=tuple(name for name in options.keep if name != "*"),
    )
    chunks = read_sources(plan.sources, options, columns=_wanted_columns(task))
    first = next(chunks)
    source = plan.sources[0]
    if schema is None and source.format.is_text and source.format.name != "jsonl":
        fields = guess_fields(decode(first, source, None, task.keep, task.apart).table)
        task = replace(task, schema=fields, guessed=True)
    began = clock()
    ready = decode_chunk(task, first)
    scored = score_ready(model.predictor.predict, task, ready)
    took = clock() - began
    if scored.failure is not None:
        raise scored.failure
    assert ready.rows is not None
    kept = ready.rows.kept
    if task.keep == ("*",):
        if source.format.name == "jsonl" and first.rows and not len(ready.rows.places):
            raise ScoringError(
                f"None of the first {first.rows:,} lines of {source.path} can be read, so nothing says which "
                "columns there are.",
                hint="Name the columns to copy.",
            )
        kept_columns(kept.schema.names, task.apart)  # these are there
        # What all is, the first rows decide: others may have more columns, or fewer.
        task = replace(task, keep=tuple(kept.schema.names)) if source.format.name == "jsonl" else task
    outputs = signature.outputs if signature is not None else None
    task = replace(task, shape=decide_shape(scored.table, kept, outputs, task.lineage))
    once = source.path == "-"
    if not once:
        chunks.close()
    stream = chain([first], chunks) if once else None
    estimate = _estimate(plan, first, took)
    return PreparedJob(plan, model, load, task, scored, estimate, stream, first, perf_counter() - started)


def _wanted_columns(task: Task) -> Callable[[list[str]], list[str]]:
    """Which columns of a columnar file are worth decoding."""

    def choose(names: list[str]) -> list[str]:
        wanted = {*fed_columns(names, task.schema, task.apart), *kept_columns(names, task.keep)}
        return [name for name in names if name in wanted]

    return choose


def _estimate(plan: ScoringPlan, first: Chunk, seconds: float) -> float | None:
    """About how long one worker would predict for all rows, from the time for the first ones."""
    source = plan.sources[0]
    if source.path == "-" and _is_all(plan, first):
        return seconds
    share = first.share
    if source.format.is_text and source.format.compression is None and source.size:
        share = len(first.data) / source.size
    limit = plan.options.limit
    most = None if limit is None or not first.rows else seconds * limit / first.rows
    if not share or not source.size or plan.size is None:
        return most
    whole = seconds / share * plan.size / source.size
    return whole if most is None else min(whole, most)


def _is_all(plan: ScoringPlan, first: Chunk) -> bool:
    """Whether a stream ended with its first chunk, which is smaller than it would have been else."""
    size = len(first.data) if isinstance(first.data, bytes) else first.data.nbytes
    options = plan.options
    return first.rows < min(options.chunk_rows, options.part_rows) and size < options.chunk_bytes // 2


def run(prepared: PreparedJob, output: JobOutput, options: JobOptions, control: JobControl, *, now: Now) -> Summary:
    """Carries a prepared job out. A directory keeps every complete part whatever happens; a file appears at the end.

    Raises ScoringError: Interrupted where `control` stops it, TooManyRejects, JobDiffers among others.
    """
    began = perf_counter()
    plan, task = prepared.plan, prepared.task
    predictor = prepared.model.predictor
    chosen = choose_workers(
        options.workers, usable_cores(), threads=predictor.parallel, seconds=prepared.seconds, apart=predictor.apart
    )
    manifest = JobManifest(file_store_of(output.path), output.path, options.shard) if output.directory else None
    state = _begin(manifest, output, plan, options, now)
    control.on_start(chosen, len(state.parts))
    tally = _Tally(options.tolerance, state)
    chunks = prepared.stream or _chunks(plan, task, options.shard, state, tally)
    if not state.complete:
        sink = _open_sink(manifest, output, prepared, now)
        results = _results(prepared, chunks, chosen)
        _carry_out(results, sink, tally, plan, control)
    if manifest is not None:
        _finish_directory(manifest, output, plan, options, state, tally, now)
    return Summary(
        **asdict(plan.lineage),
        output=output.path,
        rows_in=tally.rows,
        rows_out=tally.rows_out,
        rejects=tally.rejects,
        columns=tuple(task.shape.names),
        parts=len(tally.parts),
        resumed_rows=sum(p.rows_in for p in state.parts),
        workers=chosen,
        seconds=prepared.took + perf_counter() - began,
        steady=tally.steady(perf_counter()),
    )


def _results(prepared: PreparedJob, chunks: Iterator[Chunk], workers: Workers) -> Iterator[Scored]:
    """What becomes of the chunks, in order. The first rows of all are scored already: a small job, or a slow model, is
    not to do that twice. Worker processes do it again, which take a while to start anyway."""
    task, known = prepared.task, prepared.first
    if workers.kind != "processes" and (first := next(chunks, None)) is not None:
        same = replace(first, data=None) == known.chunk and set(known.table.schema.names) == set(task.shape.names)
        if same:
            columns = dict(zip(known.table.schema.names, known.table.columns, strict=True))
            yield replace(known, table=fitted(columns, task.shape))
        else:
            chunks = chain([first], chunks)
    with closing(score_all(chunks, prepared.model, task, workers, prepared.load)) as rest:  # type: ignore[type-var]
        yield from rest


@dataclass
class _Tally:
    """What went through so far, this run's rows and those of parts done before."""

    tolerance: Tolerance
    state: JobState
    # All of it changes as chunks come: counts, and the parts that there are, by source.
    rows: int = 0
    rows_out: int = 0
    rejects: int = 0
    parts: set[tuple[int, int]] = field(default_factory=set)
    first: tuple[int, float] | None = None

    def __post_init__(self) -> None:
        for part in self.state.parts:
            self.rows += part.rows_in
            self.rows_out += part.rows_out
            self.rejects += part.rejects
            self.parts.add((part.source, part.part))

    def steady(self, at: float) -> float:
        """Rows a second since the first ones were scored."""
        rows, since = self.first or (self.rows, at)
        return (self.rows - rows) / (at - since) if self.rows > rows else 0.0

    def add(self, scored: Scored, at: float) -> None:
        self.rows += scored.chunk.rows
        self.rows_out += scored.table.num_rows
        self.rejects += len(scored.rejects)
        self.first = self.first or (self.rows, at)

    def add_part(self, source: int, part: int) -> None:
        self.parts.add((source, part))

    def check(self, *, of_all: bool) -> None:
        """Raises TooManyRejects."""
        if self.tolerance.exceeded(self.rejects, self.rows, of_all=of_all):
            raise TooManyRejects(
                f"{self.rejects:,} of {self.rows:,} rows were rejected; the limit is {self.tolerance}."
            )

    def parts_of(self, sources: int) -> list[int | None]:
        """How many parts each source has; None for those that another shard reads."""
        return [sum(1 for source, _ in self.parts if source == number) or None for number in range(sources)]


def _begin(
    manifest: JobManifest | None, output: JobOutput, plan: ScoringPlan, options: JobOptions, now: Now
) -> JobState:
    if manifest is None:
        if options.resume:
            raise ConfigError("Only a directory output can be resumed.", hint="Give a directory: -o scored/")
        return JobState({})
    if options.resume and any(source.path == "-" for source in plan.sources):
        raise ConfigError("A job that reads standard input cannot be resumed.", hint="Give it a file.")
    file_store_of(output.path).make_directory(output.path)
    return manifest.begin(plan.fingerprint(), resume=options.resume, at=now())


def _chunks(plan: ScoringPlan, task: Task, shard: Shard, state: JobState, tally: _Tally) -> Iterator[Chunk]:
    """The chunks of the parts that are still to do."""
    owners = deal_files(plan.sources, shard.count)
    own = None if owners is None else {number for number, owner in enumerate(owners) if owner == shard.index}
    done = {(part.source, part.part) for part in state.parts}
    # A run can begin where its last complete part ended; those before it, others' among them, are there.
    start = state.parts[-1].next if state.parts else Position()
    for part in range(start.part):
        tally.add_part(start.source, part)
    if own is None and shard.count > 1:
        # How many parts the others have in earlier inputs, only these tell.
        yield from read_sources(
            plan.sources, plan.options, wanted=lambda *_: False, files=range(start.source), on_part=tally.add_part
        )
    yield from read_sources(
        plan.sources,
        plan.options,
        wanted=lambda source, part: (own is not None or shard.owns(source, part)) and (source, part) not in done,
        files=own,
        start=start,
        before=tally.rows if shard.count == 1 else 0,
        columns=_wanted_columns(task),
        on_part=tally.add_part,
    )


def _open_sink(manifest: JobManifest | None, output: JobOutput, prepared: PreparedJob, now: Now) -> Sink:
    plan, shape = prepared.plan, prepared.task.shape
    metadata = plan.lineage.metadata() if plan.options.lineage == "metadata" else {}
    if output.stream is not None:
        return StreamSink(output.stream, plan, shape, metadata, output.rejects)
    if manifest is None:
        return FileSink(output.path, plan, shape, metadata, output.rejects)
    return PartsSink(output.path, manifest, plan, shape, metadata, now)


def _carry_out(results: Iterable[Scored], sink: Sink, tally: _Tally, plan: ScoringPlan, control: JobControl) -> None:
    """Every result into the sink, which is left complete or as far as it can be kept."""
    behind = Deferred()
    failed = True
    try:
        with closing(results) as each:  # type: ignore[type-var]
            for scored in each:
                if scored.failure is not None:
                    raise scored.failure
                tally.add(scored, perf_counter())
                tally.check(of_all=False)
                behind.call(sink.write, scored)
                share = plan.share(scored.chunk.source, scored.chunk.share)
                control.on_progress(Progress(tally.rows, tally.rejects, share))
                if control.stopped():
                    raise Interrupted("Stopped.")
        behind.drain()
        if not isinstance(sink, PartsSink):
            tally.check(of_all=True)
        sink.finish()
        failed = False
    except ScoringError as error:
        if control.stopped() and not isinstance(error, Interrupted):  # the signal reached the workers too
            raise Interrupted("Stopped.") from error
        raise
    except OSError as error:  # what is read is translated where it is read
        raise ScoringError(f"The output cannot be written: {error.strerror or error}.") from error
    finally:
        if failed:
            # Parts whose rows are all scored already are worth completing.
            with suppress(Exception):
                behind.drain()
        behind.close()
        sink.abandon()


def _finish_directory(
    manifest: JobManifest,
    output: JobOutput,
    plan: ScoringPlan,
    options: JobOptions,
    state: JobState,
    tally: _Tally,
    now: Now,
) -> None:
    """Says that all parts are there; alone, also that the job is done."""
    tally.check(of_all=True)
    if not state.complete:
        manifest.end(tally.parts_of(len(plan.sources)), at=now())
    if options.shard.count > 1:
        return
    found = manifest.state()
    if found is None:
        raise ScoringError(f"The manifest of {output.path} no longer exists.")
    write_rejects(output.path, found.parts, output.rejects)
    place = file_store_of(output.path)
    with place.written(join(output.path, SUCCESS)) as path:
        path.write_bytes(b"")


__all__ = ["PreparedJob", "Summary", "prepare", "run"]
