"""One scoring job: rows, payload, conform, predict, columns, file. Memory is bounded by a chunk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from penstock.errors import AnswerHasNoColumns, PredictError, ScoringError
from penstock.loading import LoadedModel
from penstock.payload import Params, Table
from penstock.scoring.commit import atomic_file
from penstock.scoring.files import Chunk, file_format, open_writer, read_chunks
from penstock.signature import Signature, conform, conform_params, is_tensor_schema
from penstock.wire.columns import empty_columns, prediction_columns

CHUNK_ROWS = 16_384


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is: rows done, and the share of the input that is read (0 to 1)."""

    rows: int
    share: float


@dataclass(frozen=True, slots=True)
class ScoreSummary:
    """What a finished job did. `digest` names the package."""

    input: str
    output: str
    digest: str
    rows: int
    columns: tuple[str, ...]
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def score_file(
    model: LoadedModel,
    source: Path,
    target: Path,
    *,
    keep: Sequence[str] = (),
    params: Mapping[str, Any] | None = None,
    chunk_rows: int = CHUNK_ROWS,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> ScoreSummary:
    """Scores the rows of a CSV or Parquet file into another, in order.

    The output appears when it is complete; until then, and if anything fails, what was at `target` stays. Raises
    ScoringError, which names the row, and SchemaViolation for params that do not fit.
    """
    began = perf_counter()
    if source.exists() and target.exists() and source.samefile(target):
        raise ScoringError(f"The output {target} is the input.")
    signature = model.signature
    given = conform_params(signature.params if signature else (), params)
    target_format = file_format(target)
    rows = 0
    columns: tuple[str, ...] = ()
    with atomic_file(target) as path:
        writer = open_writer(path, target_format)
        try:
            for chunk in read_chunks(source, signature.enforced if signature else None, chunk_rows, keep):
                scored = _score(model, chunk, source, keep, given)
                writer.write(scored)
                rows += scored.rows
                columns = tuple(str(n) for n in scored.names or ())
                on_progress(Progress(rows, chunk.progress))
            if not rows:
                empty = empty_columns(signature.outputs if signature else None)
                writer.write(Table.of(list(empty), list(empty.values())))
                columns = tuple(empty)
        finally:
            writer.close()
    return ScoreSummary(str(source), str(target), model.digest, rows, columns, perf_counter() - began)


def _score(model: LoadedModel, chunk: Chunk, source: Path, keep: Sequence[str], params: Params) -> Table:
    """One chunk's output columns. Raises ScoringError with the number of the row in the file."""
    signature = model.signature
    conformed = conform(
        _model_columns(chunk.table, signature, keep),
        signature.enforced if signature else None,
        chunk.casting,
        limit=1,
        side_by_side=True,
    )
    if conformed.violations:
        first = conformed.violations[0]
        row = None if first.row is None else first.row + chunk.first_row
        where = f"row {row}, " if row is not None else ""
        column = f"column {first.column!r}: " if first.column is not None else ""
        raise ScoringError(f"{source.name} does not fit the model: {where}{column}{first.reason}.")
    try:
        answer = model.predictor.predict(conformed.payload, params)
    except PredictError as error:
        last = chunk.first_row + chunk.table.rows - 1
        raise ScoringError(f"The model failed on rows {chunk.first_row} to {last} of {source.name}. {error}") from error
    try:
        columns = {**chunk.carried, **prediction_columns(answer, chunk.table.rows)}
    except AnswerHasNoColumns as error:
        raise ScoringError(error.message) from None
    return Table.of(list(columns), list(columns.values()))


def _model_columns(table: Table, signature: Signature | None, keep: Sequence[str]) -> Table:
    """A model that takes one array gets every column side by side, but for those that are only carried through."""
    if signature is None or signature.inputs is None or not is_tensor_schema(signature.inputs) or not keep:
        return table
    fed = [i for i, name in enumerate(table.names or ()) if name not in keep]
    names = [table.names[i] for i in fed] if table.names is not None else None
    return Table.of(names, [table.column(i) for i in fed], table.index)
