"""Answers as columns."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.errors import AnswerHasNoColumns
from penstock.payload import Table, Tensors, Value
from penstock.signature import Field, Scalar, TensorField
from penstock.wire.answers.columns import empty_columns, prediction_columns


@pytest.mark.parametrize(
    ("answer", "names"),
    [
        (Tensors.single(np.zeros(2)), ["prediction"]),
        (Tensors.single(np.zeros((2, 3))), ["prediction_0", "prediction_1", "prediction_2"]),
        (Tensors.single(np.zeros((2, 3, 4))), ["prediction"]),
        (Tensors.named({"a": np.zeros(2), "b": np.zeros((2, 2))}), ["a", "b_0", "b_1"]),
        (Table.of(["x", 7], [np.zeros(2), np.ones(2)]), ["x", "7"]),
        (Table.of(None, [np.zeros(2), np.ones(2)]), ["0", "1"]),
        (Value([{"a": 1}, None]), ["prediction"]),
    ],
)
def test_columns_are_named_after_the_outputs(answer: Tensors | Table | Value, names: list[str]) -> None:
    columns = prediction_columns(answer, 2)
    assert list(columns) == names
    assert all(len(column) == 2 for column in columns.values())


@pytest.mark.parametrize(
    "answer", [Value(3), Value([1]), Value("ab"), Tensors.single(np.zeros(3)), Tensors.single(np.array(1))]
)
def test_an_answer_that_is_not_one_item_a_row_is_refused(answer: Tensors | Value) -> None:
    with pytest.raises(AnswerHasNoColumns):
        prediction_columns(answer, 2)


def test_columns_of_nothing_follow_the_signature() -> None:
    assert list(empty_columns(None)) == ["prediction"]
    assert list(empty_columns((Field("a", Scalar.LONG), Field("b", Scalar.STRING)))) == ["a", "b"]
    float64 = np.dtype(np.float64)
    assert list(empty_columns((TensorField("p", float64, (-1, 2)), TensorField("l", float64, (-1,))))) == [
        "p_0",
        "p_1",
        "l",
    ]
