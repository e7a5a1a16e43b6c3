"""What a chunk becomes in the output: kept columns, answers and lineage as one table of the job's columns and types."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.errors import ScoringError, remedy
from penstock.payload import Array, Table
from penstock.scoring.read.decoding import Rows, takes_names
from penstock.wire.answers.arrow import arrow_table, is_json

if TYPE_CHECKING:
    from pyarrow import ChunkedArray
    from pyarrow import Schema as ArrowSchema
    from pyarrow import Table as ArrowTable

    from penstock.scoring.score.scorer import Task


def output_table(pieces: list[dict[str, Array]], rows: Rows, answered: Array, task: Task, count: int) -> ArrowTable:
    """The kept columns, the answers and the lineage as one table, every row in its place."""
    import pyarrow as pa

    answers = _answers(pieces, task.shape)
    # For each row of the chunk its row among the kept ones and among the answers, -1 where it has none.
    kept_at, answer_at = np.full(count, -1), np.full(count, -1)
    kept_at[rows.places] = np.arange(len(rows.places))
    answer_at[rows.places[answered]] = np.arange(len(answered))
    if task.on_error == "skip":
        kept_at, answer_at = kept_at[answer_at >= 0], answer_at[answer_at >= 0]
    columns = dict(zip(rows.kept.schema.names, _placed(rows.kept, kept_at).columns, strict=True))
    given = _placed(answers, answer_at)
    _refuse_clash(columns, [*given.schema.names, *task.lineage], names_inputs=takes_names(task.schema))
    columns |= dict(zip(given.schema.names, given.columns, strict=True))
    columns |= {name: pa.repeat(pa.scalar(value), len(answer_at)) for name, value in task.lineage.items()}
    if task.shape is None:
        marked = {field.name: field for field in answers.schema if is_json(field)}
        fields = [marked.get(name, pa.field(name, column.type)) for name, column in columns.items()]
        return pa.table(columns, schema=pa.schema(fields))
    if not pieces:  # no row was answered, so no answer says which columns there are
        columns |= {f.name: pa.nulls(len(answer_at), f.type) for f in task.shape if f.name not in columns}
    return fitted(columns, task.shape)


def _refuse_clash(kept: Mapping[str, Any], added: list[str], *, names_inputs: bool) -> None:
    """Raises ScoringError where an answer would stand in the place of a kept column."""
    if twice := [name for name in added if name in kept]:
        others = [name for name in kept if name not in added]
        # What a model that takes every column is given would change with what is copied.
        can_be_typed = names_inputs and others and not any("," in name for name in others)
        raise ScoringError(
            f"The input has a column {twice[0]!r}, and so does the output.",
            hint="Do not copy this column, or rename it.",
            remedy=remedy("copy_others", name=twice[0], copied=",".join(others)) if can_be_typed else None,
        )


def _answers(pieces: list[dict[str, Array]], shape: ArrowSchema) -> ArrowTable:
    """All pieces as one table. Raises ScoringError where they do not go together, or not with the output's shape."""
    import pyarrow as pa

    if not pieces:
        return pa.table({})
    for piece in pieces[1:]:
        _refuse_other_columns(list(piece), list(pieces[0]))
    joined = Table.join([Table.of(list(piece), list(piece.values())) for piece in pieces])
    columns = dict(zip(pieces[0], joined.iter_columns(), strict=True))
    if shape is None:
        return arrow_table(columns)
    answers = arrow_table(columns, frozenset(field.name for field in shape if is_json(field)))
    for found in answers.schema:
        if is_json(found) and found.name in shape.names and not is_json(wanted := shape.field(found.name)):
            raise ScoringError(
                f"Column {found.name!r} is {wanted.type} in the first rows and has values of other kinds later, "
                "which does not fit."
            )
    return answers


def _refuse_other_columns(found: Collection[str], wanted: Collection[str]) -> None:
    """Raises ScoringError."""
    if missing := [name for name in wanted if name not in found]:
        raise ScoringError(f"The answers have no column {missing[0]!r}, which the answers to the first rows have.")
    if extra := [name for name in found if name not in wanted]:
        raise ScoringError(f"The answers have a column {extra[0]!r}, which the answers to the first rows do not have.")


def _placed(table: ArrowTable, places: Array) -> ArrowTable:
    """The table's rows at these places, empty rows for -1."""
    import pyarrow as pa

    if len(places) == table.num_rows and (not len(places) or (places == np.arange(len(places))).all()):
        return table
    return table.take(pa.array(places, mask=places < 0)) if table.num_columns else table


def fitted(found: Mapping[str, ChunkedArray], shape: ArrowSchema) -> ArrowTable:
    """The columns in the order and types of the output, as a table. Raises ScoringError where they are others."""
    import pyarrow as pa

    _refuse_other_columns(found, shape.names)
    columns = []
    for wanted in shape:
        column = found[wanted.name]
        try:
            columns.append(column if column.type == wanted.type else column.cast(wanted.type))
        except (pa.ArrowException, OverflowError):
            why = f"is {wanted.type} in the first rows and {column.type} later, which does not fit"
            raise ScoringError(f"Column {wanted.name!r} {why}.") from None
    return pa.table(columns, schema=shape)
