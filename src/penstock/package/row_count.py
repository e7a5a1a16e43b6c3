"""That a model answers once for each row, tried on the example before a package is made of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from penstock.errors import PackagingFailed, PredictError, remedy
from penstock.flavors import Predictor
from penstock.payload import TEXT, Name, Params, Payload, Table, Tensors, Value, several_rows, some
from penstock.wire.answers.columns import rows_answered

log = logging.getLogger("penstock.package")


@dataclass(frozen=True, slots=True)
class RowCount:
    """How many rows a model was given, and how many it answered: None for an answer that is no list of rows. `names`
    are those of the columns, where the model may have read them instead; `listed` is whether the answer is a list."""

    given: int
    answered: int | None
    names: tuple[Name, ...] = ()
    listed: bool = True

    @property
    def fits(self) -> bool:
        return self.given == self.answered

    def __str__(self) -> str:
        if self.answered is None:
            found = "arrays of several lengths" if self.listed else "one value that is no list"
        else:
            found = f"{self.answered} {'row' if self.answered == 1 else 'rows'}"
        if self.names:
            found += f", as if the names of the columns were the rows ({some(self.names)})"
        return f"The model does not answer once for each row: it answers {self.given} rows with {found}."


def count_rows(predictor: Predictor, payload: Payload, params: Params) -> RowCount | None:
    """What the model makes of the number of rows of the example; None where it cannot be asked."""
    if isinstance(payload, Value) or not payload.rows:
        return None
    rows = several_rows(payload)
    try:
        answer = predictor.predict(rows, params)
    except PredictError:  # of a model that takes one row at a time
        return None
    answered = rows_answered(answer, rows.rows)
    return RowCount(rows.rows or 0, answered, _iterated(rows, answered), listed=not isinstance(answer, Value))


def _iterated(rows: Table | Tensors, answered: int | None) -> tuple[Name, ...]:
    """The names of the columns, where there are as many of them as answers, and texts in one of them."""
    if not isinstance(rows, Table) or rows.names is None or answered != rows.width:
        return ()
    return rows.names if any(column.dtype.kind in "OT" for column in rows.iter_columns()) else ()


# Rows for a model that may take a list of texts and no table; what they say does not matter.
_TEXTS = ("a text", "another one", "and the third")


def texts_as_table(name: Name = "text") -> Table:
    """Made-up rows of one column."""
    return Table.of([name], [np.array(_TEXTS, dtype=TEXT)])


def takes_list_alone(predictor: Predictor, name: Name = "text") -> bool:
    """Whether the model answers a list of texts one by one, and of the same texts as a table the name of the column,
    however many rows there are: so do text vectorizers."""
    counted = count_rows(predictor, texts_as_table(name), None)
    if counted is None or counted.answered != 1:
        return False
    try:
        answer = predictor.predict(Value(list(_TEXTS)), None)
    except PredictError:
        return False
    return rows_answered(answer, len(_TEXTS)) == len(_TEXTS)


_ITERATED = (
    "A table that is iterated gives the names of its columns: predict from a column's values, such as inputs['text']."
)


def report(counted: RowCount, *, promised: bool) -> None:
    """Says that the answers are not one for each row. Raises PackagingFailed where they were promised to be, by the
    flavor or by whoever packages the model."""
    if not promised:
        log.warning("%s%s", counted, f" {_ITERATED}" if counted.names else "")
    elif counted.names:
        raise PackagingFailed(str(counted), hint=_ITERATED)
    else:
        raise PackagingFailed(
            str(counted),
            hint="If that is meant, package a Python file whose predict(inputs) calls the model, without batchable.",
            remedy=remedy("answer_for_all"),
        )
