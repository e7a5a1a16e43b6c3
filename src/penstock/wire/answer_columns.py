"""What a model answered, as columns with clear names beside the input's."""

from __future__ import annotations

from penstock.errors import AnswerHasNoColumns
from penstock.payload import Array, Payload, Table, Tensors, Value, as_object_array
from penstock.signature import Schema, is_tensor_schema

PREDICTION = "prediction"


def prediction_columns(answer: Payload, rows: int) -> dict[str, Array]:
    """Columns of `rows` cells each: a frame's own, `prediction` for one value a row, `prediction_0` … for several,
    the outputs' names where they have any. Raises AnswerHasNoColumns."""
    if isinstance(answer, Value):
        if not isinstance(answer.value, (list, tuple)) or len(answer.value) != rows:
            raise AnswerHasNoColumns(
                "The model's answer does not have one item for each input row, so it cannot become a column."
            )
        return {PREDICTION: as_object_array(list(answer.value))}
    if answer.rows != rows:
        raise AnswerHasNoColumns(
            f"The model was given {rows} rows and answered {answer!r}; it must answer one row for each."
        )
    if isinstance(answer, Table):
        names = answer.names if answer.names is not None else range(answer.width)
        return {str(n): column for n, column in zip(names, answer.iter_columns(), strict=True)}
    columns: dict[str, Array] = {}
    for name, array in _named(answer):
        columns |= _spread(name, array)
    return columns


def _named(tensors: Tensors) -> list[tuple[str, Array]]:
    return list(zip(tensors.names or (PREDICTION,), tensors.arrays, strict=True))


def _spread(name: str, array: Array) -> dict[str, Array]:
    if array.ndim == 1:
        return {name: array}
    if array.ndim == 2:
        return {f"{name}_{i}": array[:, i] for i in range(array.shape[1])}
    return {name: as_object_array(array.tolist())}


def empty_columns(outputs: Schema | None) -> dict[str, Array]:
    """The columns of a scored file without rows, as far as the signature tells."""
    names: list[str] = []
    for field in outputs or ():
        name = PREDICTION if field.name is None else str(field.name)
        width = field.shape[1] if is_tensor_schema((field,)) and len(field.shape) == 2 else None  # type: ignore[union-attr, arg-type]
        names += [name] if width is None else [f"{name}_{i}" for i in range(max(width, 0))]
    return {name: as_object_array([]) for name in names or [PREDICTION]}
