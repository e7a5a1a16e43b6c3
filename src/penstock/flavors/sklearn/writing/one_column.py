"""Estimators that take a sequence, as text vectorizers do, made to take what they are served: a table of one column.

A frame that is iterated gives the names of its columns. An estimator that takes a sequence therefore answers any number
of rows with one answer for each column, to the name, and nothing fails. Such an estimator is packaged behind a first
step that hands it the column's values. The step is scikit-learn's and numpy's own, so that it is data in a skops file,
and whoever loads the package has it, MLflow too.
"""

from __future__ import annotations

import json
import logging
from typing import Any, NoReturn

import numpy as np

from penstock.errors import PackagingFailed, remedy
from penstock.flavors.frames import to_python
from penstock.flavors.sklearn.writing.same_answers import same_answers
from penstock.payload import Payload, Table, Tensors, Value, as_object_array, several_rows, shortened, some

log = logging.getLogger("penstock.flavors")

_STEP = "column"


def taking_one_column(estimator: Any, function: str, example: Payload | None) -> Any:
    """The estimator as it is to be packaged: behind the step where it answers the example's rows only so, otherwise as
    it is. Raises PackagingFailed for one that takes a sequence, but not behind a step, or of several columns."""
    rows = _rows_of(example)
    call = getattr(estimator, function, None)
    if rows is None or call is None:
        return estimator
    trial = several_rows(rows)
    count, given = trial.rows or 0, to_python(trial)
    if _answers(call, given, count) is not None:
        return estimator
    if isinstance(trial, Table) and trial.width > 1:
        _refuse_several(call, trial, given)
        return estimator
    alone = _answers(call, np.ravel(given), count)
    if alone is None:
        return estimator
    behind = _behind_step(estimator)
    found = _answers(getattr(behind, function, None), given, count)
    if found is None or not same_answers(alone, found):
        _refuse_behind(np.ravel(given))
    name = rows.names[0] if isinstance(rows, Table) and rows.names else None
    log.warning(
        "The model takes a sequence, not a table: in the package a first step, numpy.ravel, hands it %s.",
        "its only column" if name is None else f"the values of column {shortened(name)}",
    )
    return behind


def _refuse_several(call: Any, rows: Table, frame: Any) -> None:
    """Raises PackagingFailed where the values of one column are what the estimator takes."""
    names = rows.names if rows.names is not None else tuple(range(rows.width))
    found = [n for i, n in enumerate(names) if _answers(call, frame.iloc[:, i].to_numpy(), rows.rows) is not None]
    if not found:
        return
    which = shortened(found[0]) if len(found) == 1 else f"one of {some(found)}"
    raise PackagingFailed(
        f"The model takes a sequence, such as the values of {which}, and the example has {rows.width} columns.",
        hint=f"Package the model with that column alone, for example: example=frame[[{found[0]!r}]].",
        remedy=remedy("one_column", column=str(found[0])),
    )


def _refuse_behind(cells: Any) -> NoReturn:
    """Raises PackagingFailed: scikit-learn's pipeline takes a class of the user's own for unfitted, if none of its
    attributes has a name that ends in _."""
    raise PackagingFailed(
        "The model takes a sequence, not a table, and scikit-learn's Pipeline does not take it as a fitted step.",
        hint="Give the example as an array: example=frame['text'].to_numpy(), so that callers send one.",
        remedy=remedy("array_example", body=json.dumps({"inputs": cells[:2].tolist()}, default=str)),
    )


def _rows_of(example: Payload | None) -> Table | Tensors | None:
    """The example as the model will be handed it, where that is a table or one column."""
    if isinstance(example, Value):
        if not isinstance(example.value, list) or not example.value:
            return None
        return Table(None, block=as_object_array(example.value).reshape(-1, 1))
    if isinstance(example, Table):
        return example
    if isinstance(example, Tensors) and example.names is None and example.arrays[0].shape[1:] == (1,):
        return example
    return None


def _answers(call: Any, given: Any, count: int) -> Any:
    """What a method answers, where that is an answer for each of `count` rows; otherwise None."""
    try:
        found = call(given)
        outputs = found if isinstance(found, list) and all(isinstance(one, np.ndarray) for one in found) else [found]
        return found if all(len(one) == count for one in outputs) else None
    except Exception:  # whatever a foreign estimator raises: it takes no such rows
        return None


def _behind_step(estimator: Any) -> Any:
    """A pipeline's own steps with one before them; any other estimator as the second step of two."""
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer

    step = FunctionTransformer(np.ravel)
    if type(estimator) is not Pipeline:
        return Pipeline([(_STEP, step), ("model", estimator)])
    settings = estimator.get_params(deep=False)
    name = _STEP
    while name in dict(estimator.steps):
        name += "_"
    return Pipeline(**{**settings, "steps": [(name, step), *estimator.steps]})
