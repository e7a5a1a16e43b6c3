"""One chunk scored: decoded, conformed, predicted, and its answers as columns; bad rows set apart from the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.errors import AnswerHasNoColumns, PenstockError, PredictError, SchemaMismatch, ScoringError, remedy
from penstock.payload import TEXT, Array, Params, Payload, Table, Tensors, Violation, clipped
from penstock.scoring.plan import Source
from penstock.scoring.read.chunks import Chunk
from penstock.scoring.read.decoding import Rows, column_fields, decode
from penstock.scoring.rejects import Reject
from penstock.signature import Field, Scalar, Schema, conform, is_tensor_schema
from penstock.signature.conform import Conformed
from penstock.wire.answer_columns import prediction_columns
from penstock.wire.columnar import batch_of_table

if TYPE_CHECKING:
    from pyarrow import ChunkedArray
    from pyarrow import Schema as ArrowSchema
    from pyarrow import Table as ArrowTable

Predict = Callable[[Payload, Params], Payload]


@dataclass(frozen=True, slots=True)
class Task:
    """Everything that scoring a chunk needs besides the model, plain values that can be sent to another process.

    `shape` is the schema of the output, which the job's first rows decide; `lineage` are constant columns;
    `frames` says that the model is handed pandas frames.
    """

    sources: tuple[Source, ...]
    schema: Schema | None = None
    params: Params = None
    keep: tuple[str, ...] = ()
    on_error: str = "fail"
    lineage: Mapping[str, str] = field(default_factory=dict)
    shape: ArrowSchema = None  # until the first rows decide it
    frames: bool = False


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
    """A chunk, without its data, and its rows, or why it has none."""

    chunk: Chunk
    rows: Rows | None
    failure: PenstockError | None = None


def decode_chunk(task: Task, chunk: Chunk) -> Ready:
    """Never raises what Penstock raises: a failure takes its turn behind the chunks before it."""
    bare = replace(chunk, data=None)
    try:
        return Ready(bare, decode(chunk, task.sources[chunk.source], task.schema, task.keep))
    except PenstockError as error:
        return Ready(bare, None, error)


def score_ready(predict: Predict, task: Task, ready: Ready) -> Scored:
    """The same holds here."""
    if ready.rows is None:
        return Scored(ready.chunk, None, failure=ready.failure)
    try:
        return _score(predict, task, ready.chunk, ready.rows)
    except PenstockError as error:
        return Scored(ready.chunk, None, failure=error)


def score_chunk(predict: Predict, task: Task, chunk: Chunk) -> Scored:
    """Both steps at once."""
    return score_ready(predict, task, decode_chunk(task, chunk))


def _score(predict: Predict, task: Task, chunk: Chunk, rows: Rows) -> Scored:
    path, careful = task.sources[chunk.source].path, task.on_error != "fail"
    rejects = list(rows.rejects)
    conformed, bad = _conformed(rows, task.schema, every=careful)
    for row, violation in bad.items():
        rejects.append(
            Reject(path, chunk.row + int(rows.places[row]), *_column_and_reason(violation), _cell(rows, violation))
        )
    good = _others(rows.table.rows, bad)
    if rejects and not careful:
        return Scored(chunk, None, failure=_refusal(min(rejects, key=lambda r: r.row)))
    payload = with_text(conformed.payload, task.schema) if task.frames else conformed.payload
    pieces, failed = bisect(predict, payload, task.params, len(good), first_only=not careful)
    for place, reason in failed:
        row = int(good[place])
        rejects.append(Reject(path, chunk.row + int(rows.places[row]), None, reason, _row(rows, row)))
    if failed and not careful:
        return Scored(chunk, None, failure=_refusal(rejects[0]))
    answered = good[_others(len(good), [place for place, _ in failed])]
    table = _output(pieces, rows, answered, task, chunk.rows)
    return Scored(chunk, table, tuple(sorted(rejects, key=lambda r: r.row)))


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
            _refuse_unfit(conform(table, schema, rows.casting, limit=1))
        return Conformed(table), bad
    fields = column_fields(table.names or (), schema) if table.names and not _has_lists(table) else None
    for stage in (fields, schema):
        if stage is None:
            continue
        found = conform(table, stage, rows.casting, limit=None if every else 1, side_by_side=True)
        _refuse_unfit(found)
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


def with_text(payload: Payload, schema: Schema | None) -> Payload:
    """Columns of text and nothing else as pandas holds text, gaps as NaN: what its own readers would have made of the
    file, so what the model saw when it was fitted. A column that is all gaps is text where the model takes text."""
    if not isinstance(payload, Table) or (payload.block is not None and payload.block.dtype != object):
        return payload
    texts = {f.name for f in schema or () if isinstance(f, Field) and f.type is Scalar.STRING}
    names = payload.names if payload.names is not None else range(payload.width)
    columns = [_text(c, name in texts) for name, c in zip(names, payload.iter_columns(), strict=True)]
    return Table.of(payload.names, columns, payload.index)


def _text(column: Array, known: bool) -> Array:
    if column.dtype != object:
        return column
    cells = column.tolist()
    kinds = set(map(type, cells))
    if not kinds <= {str, type(None), float} or not (known or str in kinds):
        return column
    if float in kinds and any(type(cell) is float and cell == cell for cell in cells):
        return column
    return np.array([cell if type(cell) is str else np.nan for cell in cells], dtype=TEXT)


def _others(count: int, taken: Iterable[int]) -> Array:
    """The numbers below `count` that are not taken, in order."""
    left = np.ones(count, dtype=bool)
    left[list(taken)] = False
    return np.flatnonzero(left)


def good_rows(rows: Rows, schema: Schema | None, most: int) -> Payload:
    """Up to `most` of the rows that fit, as the model takes them. Raises SchemaMismatch."""
    payload = _conformed(rows, schema, every=True)[0].payload
    return _taken(payload, 0, most)


def _refuse_unfit(conformed: Conformed) -> None:
    """Raises SchemaMismatch for what is wrong with all rows."""
    for violation in conformed.violations:
        if violation.row is None:
            raise SchemaMismatch(f"The input does not fit the model: {violation}.")


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
        except AnswerHasNoColumns as error:
            raise ScoringError(error.message) from None
        except PredictError as error:
            if stop - start == 1:
                failed.append((start, error.message.rstrip(".")))
                if first_only:
                    break
                continue
            middle = (start + stop) // 2
            waiting += [(middle, stop), (start, middle)]
    return pieces, failed


def _taken(payload: Payload, start: int, stop: int) -> Payload:
    assert isinstance(payload, (Table, Tensors))
    return payload.take(slice(start, stop))


def _output(pieces: list[dict[str, Array]], rows: Rows, answered: Array, task: Task, count: int) -> ArrowTable:
    """The kept columns, the answers and the lineage as one table, every row in its place."""
    import pyarrow as pa

    answers = _answers(pieces, task)
    # For each row of the chunk its row among the kept ones and among the answers, -1 where it has none.
    kept_at, answer_at = np.full(count, -1), np.full(count, -1)
    kept_at[rows.places] = np.arange(len(rows.places))
    answer_at[rows.places[answered]] = np.arange(len(answered))
    if task.on_error == "skip":
        kept_at, answer_at = kept_at[answer_at >= 0], answer_at[answer_at >= 0]
    columns = dict(zip(rows.kept.schema.names, _placed(rows.kept, kept_at).columns, strict=True))
    given = _placed(answers, answer_at)
    if task.shape is None:
        _refuse_clash(columns, [*given.schema.names, *task.lineage])
    columns |= dict(zip(given.schema.names, given.columns, strict=True))
    columns |= {name: pa.repeat(pa.scalar(value), len(answer_at)) for name, value in task.lineage.items()}
    if task.shape is None:
        return pa.table(columns)
    if not pieces:  # no row was answered, so no answer says which columns there are
        columns |= {f.name: pa.nulls(len(answer_at), f.type) for f in task.shape if f.name not in columns}
    return fitted(columns, task.shape)


def _refuse_clash(kept: Mapping[str, Any], added: list[str]) -> None:
    """Raises ScoringError where an answer would stand in the place of a kept column."""
    if twice := [name for name in added if name in kept]:
        raise ScoringError(
            f"The input has a column {twice[0]!r}, and so does the output.",
            hint="Do not copy this column, or rename it.",
        )


def _answers(pieces: list[dict[str, Array]], task: Task) -> ArrowTable:
    import pyarrow as pa

    try:
        tables = [batch_of_table(Table.of(list(p), list(p.values()))) for p in pieces]
        if not tables:
            return pa.table({})
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowException, OverflowError) as error:
        raise ScoringError(f"The predictions cannot be written as columns: {clipped(str(error))}.") from error


def _placed(table: ArrowTable, places: Array) -> ArrowTable:
    """The table's rows at these places, empty rows for -1."""
    import pyarrow as pa

    if len(places) == table.num_rows and (not len(places) or (places == np.arange(len(places))).all()):
        return table
    return table.take(pa.array(places, mask=places < 0)) if table.num_columns else table


def fitted(found: Mapping[str, ChunkedArray], shape: ArrowSchema) -> ArrowTable:
    """The columns in the order and types of the output, as a table. Raises ScoringError where they are others."""
    import pyarrow as pa

    if missing := [name for name in shape.names if name not in found]:
        raise ScoringError(f"The answers have no column {missing[0]!r}, which the answers to the first rows have.")
    if extra := [name for name in found if name not in shape.names]:
        raise ScoringError(f"The answers have a column {extra[0]!r}, which the answers to the first rows do not have.")
    columns = []
    for wanted in shape:
        column = found[wanted.name]
        try:
            columns.append(column if column.type == wanted.type else column.cast(wanted.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            why = f"is {wanted.type} in the first rows and {column.type} later, which does not fit"
            raise ScoringError(f"Column {wanted.name!r} {why}.") from None
    return pa.table(columns, schema=shape)
