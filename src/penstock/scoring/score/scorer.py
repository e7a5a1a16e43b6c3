"""One chunk scored: decoded, conformed, predicted, and its answers as columns; bad rows set apart from the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.errors import (
    AnswerHasNoColumns,
    AnswerUnserializable,
    CellHasNoForm,
    PenstockError,
    PredictError,
    SchemaMismatch,
    ScoringError,
    remedy,
)
from penstock.package.likely_cause import likely_cause
from penstock.payload import Array, Params, Payload, Table, Tensors, Violation, columns_named
from penstock.scoring.plan import Source
from penstock.scoring.read.chunks import Chunk
from penstock.scoring.read.decoding import Rows, column_fields, decode, left_out
from penstock.scoring.rejects import Reject
from penstock.scoring.score.output_table import output_table
from penstock.scoring.score.traced_rejects import traced
from penstock.signature import Schema, conform, is_tensor_schema
from penstock.signature.cell_texts import is_missing_word, is_number_text
from penstock.signature.conform import Conformed
from penstock.signature.gaps import with_pandas_gaps
from penstock.wire.answers.columns import prediction_columns

if TYPE_CHECKING:
    from pyarrow import Schema as ArrowSchema
    from pyarrow import Table as ArrowTable

log = logging.getLogger("penstock.scoring")

Predict = Callable[[Payload, Params], Payload]


@dataclass(frozen=True, slots=True)
class Task:
    """Everything that scoring a chunk needs besides the model, plain values that can be sent to another process.

    `keep` are the columns to copy, ("*",) all, and `apart` those that a model of no names is not given. `shape` is the
    schema of the output, which the job's first rows decide; `lineage` are constant columns; `frames` says that the
    model is handed pandas frames, `guessed` that the schema is what a file looks like, since the package has none.
    """

    sources: tuple[Source, ...]
    schema: Schema | None = None
    params: Params = None
    keep: tuple[str, ...] = ()
    on_error: str = "fail"
    lineage: Mapping[str, str] = field(default_factory=dict)
    shape: ArrowSchema = None  # until the first rows decide it
    frames: bool = False
    apart: tuple[str, ...] = ()
    guessed: bool = False


@dataclass(frozen=True, slots=True)
class Scored:
    """A chunk's output rows and rejects; `chunk` without its data. Where `failure` is set there is no table, and the
    job ends with it."""

    chunk: Chunk
    table: ArrowTable
    rejects: tuple[Reject, ...] = ()
    failure: PenstockError | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """A chunk and its rows, or why it has none. Of its data there is left what rejects are to quote."""

    chunk: Chunk
    rows: Rows | None
    failure: PenstockError | None = None


def decode_chunk(task: Task, chunk: Chunk) -> Ready:
    """Never raises what Penstock raises: a failure takes its turn behind the chunks before it."""
    bare = _bare(chunk)
    try:
        rows = decode(chunk, task.sources[chunk.source], task.schema, task.keep, task.apart)
        if chunk.row == 0 and (missing := left_out(rows.table.names, task.schema)):
            path = task.sources[chunk.source].path
            log.warning("%s has no %s: the model is given gaps there.", path, columns_named(missing))
        quoted = chunk if task.on_error != "fail" and isinstance(chunk.data, bytes) else bare
        return Ready(quoted, rows)
    except PenstockError as error:
        return Ready(bare, None, error)


def _bare(chunk: Chunk) -> Chunk:
    return replace(chunk, data=None, gaps=None)


def score_ready(predict: Predict, task: Task, ready: Ready) -> Scored:
    """The same holds here."""
    if ready.rows is None:
        return Scored(ready.chunk, None, failure=ready.failure)
    try:
        return _score(predict, task, ready.chunk, ready.rows)
    except PenstockError as error:
        return Scored(_bare(ready.chunk), None, failure=error)


def score_chunk(predict: Predict, task: Task, chunk: Chunk) -> Scored:
    """Both steps at once."""
    return score_ready(predict, task, decode_chunk(task, chunk))


def _score(predict: Predict, task: Task, chunk: Chunk, rows: Rows) -> Scored:
    source, careful, bare = task.sources[chunk.source], task.on_error != "fail", _bare(chunk)
    path = source.path
    rejects = list(rows.rejects)
    conformed, bad = _conformed(rows, task.schema, every=careful)
    for row, violation in bad.items():
        rejects.append(
            Reject(path, chunk.row + int(rows.places[row]), *_column_and_reason(violation), _cell(rows, violation))
        )
    good = _others(rows.table.rows, bad)
    if rejects and not careful:
        return Scored(bare, None, failure=_refusal(min(rejects, key=lambda r: r.row)))
    payload = with_pandas_gaps(conformed.payload, task.schema) if task.frames else conformed.payload
    pieces, failed = bisect(predict, payload, task.params, len(good), first_only=not careful)
    cause = likely_cause(payload, None if task.guessed else task.schema) if failed else ""
    for place, reason in failed:
        row, reason = int(good[place]), f"{reason}. {cause.rstrip('.')}" if cause else reason
        rejects.append(Reject(path, chunk.row + int(rows.places[row]), None, reason, _row(rows, row)))
    if failed and not careful:
        return Scored(bare, None, failure=_refusal(rejects[0]))
    answered = good[_others(len(good), [place for place, _ in failed])]
    table = output_table(pieces, rows, answered, task, chunk.rows)
    return Scored(bare, table, traced(rejects, chunk, source, rows))


def _refusal(reject: Reject) -> ScoringError:
    return ScoringError(
        f"{reject}.", hint="Bad rows can be skipped, or written as empty rows, instead.", remedy=remedy("bad_rows")
    )


def _conformed(rows: Rows, schema: Schema | None, *, every: bool) -> tuple[Conformed, dict[int, Violation]]:
    """The good rows as the model takes them, and the first violation of each bad one.

    Raises SchemaMismatch for what is wrong with all of them, such as a missing column.
    """
    table, bad = rows.table, dict[int, Violation]()
    if not table.rows:
        if table.width and schema is not None and not is_tensor_schema(schema):
            _refuse_unfit(conform(table, schema, rows.casting, limit=1), rows, schema)
        return Conformed(table), bad
    fields = column_fields(table.names or (), schema) if table.names and not _has_lists(table) else None
    for stage in (fields, schema):
        if stage is None:
            continue
        found = conform(table, stage, rows.casting, limit=None if every else 1, side_by_side=True)
        _refuse_unfit(found, rows, stage)
        for violation in found.violations:
            bad.setdefault(violation.row or 0, violation)
        if found.violations:
            break
        if isinstance(found.payload, Table):
            table = found.payload
        else:
            return Conformed(found.payload), bad
    if not bad:
        return Conformed(table), bad
    if not every:
        return Conformed(table), {min(bad): bad[min(bad)]}
    good = _others(rows.table.rows, bad)
    left = Rows(rows.table.take(good), rows.casting, rows.kept, good)
    conformed, worse = (Conformed(left.table), {}) if not len(good) else _conformed(left, schema, every=True)
    bad |= {int(good[row]): replace(v, row=int(good[row])) for row, v in worse.items()}
    return conformed, bad


def _others(count: int, taken: Iterable[int]) -> Array:
    """The numbers below `count` that are not taken, in order."""
    left = np.ones(count, dtype=bool)
    left[list(taken)] = False
    return np.flatnonzero(left)


def good_rows(rows: Rows, schema: Schema | None, most: int) -> Payload:
    """Up to `most` of the rows that fit, as the model takes them. Raises SchemaMismatch."""
    payload = _conformed(rows, schema, every=True)[0].payload
    return _taken(payload, 0, most)


def _refuse_unfit(conformed: Conformed, rows: Rows, schema: Schema) -> None:
    """Raises SchemaMismatch for what is wrong with all rows."""
    for violation in conformed.violations:
        if violation.row is None:
            message = f"The input does not fit the model: {violation}."
            if not is_tensor_schema(schema) or len(schema) > 1 or not rows.table.names or rows.table.width < 2:
                raise SchemaMismatch(message)
            keep = _others_than_text(rows) if len(schema[0].shape) == 1 else []
            raise SchemaMismatch(
                message,
                hint="Columns that are copied to the output are not given to the model.",
                remedy=remedy("keep_others", keep=",".join(keep)) if keep else remedy("keep_some"),
            )


def _others_than_text(rows: Rows) -> list[str]:
    """The columns to copy, so that the only one of texts is left for the model; none where that is not certain."""
    columns = dict(zip(map(str, rows.table.names or ()), rows.table.iter_columns(), strict=False))
    texts = [name for name, column in columns.items() if _is_text(column)]
    apart = [name for name in rows.kept.schema.names if name not in columns]
    return [*apart, *(name for name in columns if name not in texts)] if len(texts) == 1 else []


def _is_text(column: Array) -> bool:
    cells = [cell for cell in column.tolist() if isinstance(cell, str) and not is_missing_word(cell)]
    return bool(cells) and not all(map(is_number_text, cells))


def _has_lists(table: Table) -> bool:
    return any(c.dtype == object and len(c) and isinstance(c[0], (list, dict)) for c in table.iter_columns())


def _column_and_reason(violation: Violation) -> tuple[str | None, str]:
    return (None if violation.column is None else str(violation.column)), violation.reason


def _cell(rows: Rows, violation: Violation) -> Any:
    names = list(rows.table.names or ())
    if violation.column not in names or violation.row is None:
        return None if violation.row is None else _row(rows, violation.row)
    return _plain(rows.table.column(names.index(violation.column))[violation.row])


def _row(rows: Rows, row: int) -> dict[str, Any]:
    names = rows.table.names if rows.table.names is not None else range(rows.table.width)
    return {str(n): _plain(c[row]) for n, c in zip(names, rows.table.iter_columns(), strict=True)}


def _plain(cell: Any) -> Any:
    if isinstance(cell, np.datetime64):
        return str(cell)
    return cell.item() if isinstance(cell, np.generic) else cell


def bisect(
    predict: Predict, payload: Payload, params: Params, rows: int, *, first_only: bool = False
) -> tuple[list[dict[str, Array]], list[tuple[int, str]]]:
    """The answers of `rows` rows, piece by piece in order, and the rows on which the model fails, each with the reason.

    A failing batch is halved until the rows at fault stand alone: a few bad rows in n cost about 2 log n predictions
    each. With `first_only` it ends at the first of them. Raises ScoringError for an answer that is not rows.
    """
    pieces: list[dict[str, Array]] = []
    failed: list[tuple[int, str]] = []
    waiting = [(0, rows)] if rows else []
    while waiting:
        start, stop = waiting.pop()
        part = payload if stop - start == rows else _taken(payload, start, stop)
        try:
            pieces.append(prediction_columns(predict(part, params), stop - start))
        except (PredictError, AnswerUnserializable) as error:
            if isinstance(error, AnswerHasNoColumns) and not isinstance(error, CellHasNoForm):
                raise ScoringError(error.message) from None
            if stop - start == 1:
                failed.append((start, _reason(error)))
                if first_only:
                    break
                continue
            middle = (start + stop) // 2
            waiting += [(middle, stop), (start, middle)]
    return pieces, failed


def _reason(error: PenstockError) -> str:
    if isinstance(error, CellHasNoForm):  # its row is one of the part
        return f"the model's answer holds, in column {error.column!r}, {error.found}"
    return error.message.rstrip(".")


def _taken(payload: Payload, start: int, stop: int) -> Payload:
    assert isinstance(payload, (Table, Tensors))
    return payload.take(slice(start, stop))
