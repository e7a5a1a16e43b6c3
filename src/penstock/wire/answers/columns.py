"""What a model answered, as columns with clear names beside the input's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from penstock.errors import AnswerHasNoColumns
from penstock.payload import Array, Payload, Table, Tensors, Value, as_object_array, shortened
from penstock.signature import Schema, is_tensor_schema
from penstock.wire.answers.cells import settled

PREDICTION = "prediction"


def prediction_columns(answer: Payload, rows: int) -> dict[str, Array]:
    """Columns of `rows` settled cells each: a frame's own, `prediction` for one value a row, `prediction_0` … for
    several, the outputs' names where they have any. Raises AnswerHasNoColumns, CellHasNoForm."""
    columns: dict[str, Array] = {}
    for name, column in _columns(answer, rows):
        if name in columns and not isinstance(answer, Table):  # of a frame's the last one counts, as in JSON
            raise AnswerHasNoColumns(f"The model's answer has two columns that would be called {shortened(name)}.")
        columns[name] = column
    if not columns:
        raise AnswerHasNoColumns("The model's answer has no columns.")
    return {_writable(name): settled(column, name) for name, column in columns.items()}


def rows_answered(answer: Payload, given: int | None) -> int | None:
    """How many rows an answer has, `given` being those of the request, if it has rows; None where it has none."""
    if isinstance(answer, Tensors) and answer.names is None and _is_list(answer.arrays[0]):
        value: Any = list(answer.arrays[0])
    elif isinstance(answer, Value):
        value = answer.value
    else:
        return answer.rows
    if given is not None and (_outputs(value, given) is not None or _named_lists(value, given) is not None):
        return given
    return len(value) if isinstance(value, list) else None


def _columns(answer: Payload, rows: int) -> Iterable[tuple[str, Array]]:
    if isinstance(answer, Value):
        return _columns_of_value(answer.value, rows)
    if isinstance(answer, Tensors) and answer.names is None and _is_list(answer.arrays[0]):
        outputs = _outputs(list(answer.arrays[0]), rows)
        if outputs is not None:
            return _spread_all(_numbered(outputs))
    if answer.rows != rows:
        raise AnswerHasNoColumns(
            f"The model was given {rows} rows and answered {_told(answer.rows)}; it must answer one row for each."
        )
    if isinstance(answer, Table):
        names = answer.names if answer.names is not None else range(answer.width)
        return [(str(n), column) for n, column in zip(names, answer.iter_columns(), strict=True)]
    return _spread(PREDICTION, answer.arrays[0], alone=True) if answer.names is None else _spread_all(answer.mapping())


def _told(rows: int | None) -> str:
    return "no rows" if rows is None else f"{rows} {'row' if rows == 1 else 'rows'}"


def _is_list(array: Array) -> bool:
    """Whether it is the list that a batchable function answered with."""
    return array.dtype == object and array.ndim == 1


def _columns_of_value(value: Any, rows: int) -> Iterable[tuple[str, Array]]:
    if (outputs := _outputs(value, rows)) is not None:
        return _spread_all(_numbered(outputs))
    if (named := _named_lists(value, rows)) is not None:
        return _spread_all(named)
    if not isinstance(value, (list, tuple)) or len(value) != rows or _is_outputs(value):
        raise AnswerHasNoColumns(
            "The model's answer does not have one item for each input row, so it cannot become a column."
        )
    return [(PREDICTION, as_object_array(list(value)))]


def _numbered(outputs: Sequence[Any]) -> dict[str, Any]:
    return {f"{PREDICTION}_{i}": output for i, output in enumerate(outputs)}


def _outputs(value: Any, rows: int) -> Sequence[Any] | None:
    """The outputs of a model that answers with several at once, a value for each row in every one; None for others.

    A tuple of arrays or lists is that, whatever its length. A list is rows, but for a list of arrays of two axes or
    more, as `predict_proba` gives them for several outputs: one row more or less must not change what it is.
    """
    if not isinstance(value, (list, tuple)) or not value:
        return None
    if isinstance(value, tuple):
        if not _is_outputs(value):
            return None
    elif not all(isinstance(item, np.ndarray) and item.ndim > 1 for item in value) or rows == len(value) == 1:
        return None
    return value if all(len(item) == rows for item in value) else None


def _is_outputs(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and bool(value)
        and all(isinstance(item, list) or (isinstance(item, np.ndarray) and item.ndim) for item in value)
    )


def _named_lists(value: Any, rows: int) -> Mapping[str, Any] | None:
    """An object whose every value is a list or array with an item for each row, which is columns by name."""
    if not isinstance(value, dict) or not value or not all(isinstance(name, (str, int)) for name in value):
        return None
    lists = all(isinstance(v, list) or (isinstance(v, np.ndarray) and v.ndim) for v in value.values())
    return {str(n): v for n, v in value.items()} if lists and all(len(v) == rows for v in value.values()) else None


def _spread_all(arrays: Mapping[str, Any]) -> list[tuple[str, Array]]:
    return [
        column
        for name, array in arrays.items()
        for column in _spread(name, array if isinstance(array, np.ndarray) else as_object_array(array))
    ]


def _spread(name: str, array: Array, *, alone: bool = False) -> list[tuple[str, Array]]:
    """One output's columns. The fields of a structured array have names of their own where it is `alone`."""
    if array.dtype.names is not None and array.ndim == 1:
        return [
            column
            for field in array.dtype.names
            for column in _spread(field if alone else f"{name}_{field}", array[field])
        ]
    if array.ndim == 1:
        return [(name, array)]
    if array.ndim == 2:
        return [column for i in range(array.shape[1]) for column in _spread(f"{name}_{i}", array[:, i])]
    return [(name, as_object_array(list(array)))]


def _writable(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise AnswerHasNoColumns(
            f"The model's answer has a column {name!a}, whose name has half a character in it."
        ) from None
    return name


def empty_columns(outputs: Schema | None) -> dict[str, Array]:
    """The columns of a scored file without rows, as far as the signature tells."""
    names: list[str] = []
    for field in outputs or ():
        name = PREDICTION if field.name is None else str(field.name)
        width = field.shape[1] if is_tensor_schema((field,)) and len(field.shape) == 2 else None  # type: ignore[union-attr, arg-type]
        names += [name] if width is None else [f"{name}_{i}" for i in range(max(width, 0))]
    return {name: as_object_array([]) for name in names or [PREDICTION]}
