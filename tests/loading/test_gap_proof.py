"""Rows with gaps joined with others: a model that fills them with what stands beside them is found out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from penstock.loading.gap_proof import gaps_differ
from penstock.payload import TEXT, Table, Tensors
from penstock.signature import Field, Scalar, Signature, TensorField
from penstock.testing.fakes import FakePredictor

ROWS = Table.of(
    ["a", "n", "s"],
    [np.array([1.0, 5.0, 30.0]), np.array([2, 3, 50]), np.array(["x", "y", "z"], dtype=TEXT)],
)
FIELDS = Signature(
    inputs=(
        Field("a", Scalar.DOUBLE),
        Field("n", Scalar.LONG, required=False),
        Field("s", Scalar.STRING, required=False),
    )
)
Answer = Callable[[Any], Any]


def proven(answer: Answer, signature: Signature | None = FIELDS, rows: Table | Tensors = ROWS) -> str:
    predictor = FakePredictor(lambda data, params: answer(data), joinable=True)
    return gaps_differ(predictor, rows, None, signature)


def numbers(frame: Any, name: str) -> Any:
    return pd.to_numeric(frame[name])


HONEST: dict[str, Answer] = {
    "fills with a constant": lambda f: numbers(f, "a").fillna(0).to_numpy(),
    "answers a gap with a gap": lambda f: f["a"].to_numpy(),
    "looks at the gaps": lambda f: f[["a", "n", "s"]].isna().sum(axis=1).to_numpy(),
    "fails on gaps": lambda f: f["a"].astype(int).to_numpy(),
    "fails on missing text": lambda f: [len(text) for text in f["s"]],
}
DEPENDENT: dict[str, tuple[Answer, str]] = {
    "fills with the mean": (lambda f: numbers(f, "a").fillna(numbers(f, "a").mean()).to_numpy(), "column 'a'"),
    "fills with the row before": (lambda f: f["a"].ffill().bfill().to_numpy(), "column 'a'"),
    "leaves rows with gaps out": (lambda f: f["a"].dropna().to_numpy(), "column 'a'"),
    "counts missing texts": (lambda f: np.full(len(f), f["s"].isna().sum()), "column 's'"),
    "counts rows that miss all": (
        lambda f: np.full(len(f), f[["a", "s"]].isna().all(axis=1).sum()),
        "several columns",
    ),
}


@pytest.mark.parametrize("name", HONEST)
def test_models_that_look_at_each_row_alone_may_be_joined(name: str) -> None:
    assert proven(HONEST[name]) == ""


@pytest.mark.parametrize("name", DEPENDENT)
def test_models_that_look_at_the_rows_beside_a_gap_are_named(name: str) -> None:
    answer, where = DEPENDENT[name]
    assert proven(answer).startswith(f"a missing value in {where} changes what the rows beside it are answered (")


def test_columns_that_may_not_be_missing_are_not_tried() -> None:
    whole = Table.of(["n"], [np.array([2, 3, 50])])
    signature = Signature(inputs=(Field("n", Scalar.LONG),))
    assert proven(lambda f: f["n"].fillna(f["n"].mean()).to_numpy(), signature, whole) == ""


def test_without_a_signature_floats_and_objects_are_tried() -> None:
    rows = Table.of(["a"], [np.array([1.0, 5.0, 30.0])])
    assert "column 'a'" in proven(lambda f: f["a"].fillna(f["a"].mean()).to_numpy(), None, rows)


def test_arrays_get_a_gap_too() -> None:
    rows = Tensors.single(np.array([[1.0, 2.0], [3.0, 5.0], [8.0, 13.0]]))
    signature = Signature(inputs=(TensorField(None, np.dtype(np.float64), (-1, 2)),))
    filled = lambda x: np.where(np.isnan(x), np.nanmean(x), x)  # noqa: E731
    assert "its arrays" in proven(filled, signature, rows)
    assert proven(lambda x: np.nan_to_num(x), signature, rows) == ""
