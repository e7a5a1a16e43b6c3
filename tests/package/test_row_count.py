"""That a package answers once for each row is proven where it is promised, and said where it is not."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator

from package.packaging import nothing_left, source
from penstock.errors import PackagingFailed
from penstock.package.save import save_model

FRAME = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]})
TEXTS = pd.DataFrame({"text": ["a", "bc"]})


class Total(BaseEstimator):  # type: ignore[misc]
    def fit(self, rows: Any, labels: Any = None) -> Total:
        return self

    def predict(self, rows: Any) -> Any:
        return np.asarray(rows).sum(axis=0)


@pytest.mark.parametrize("rows", [1, 2])
def test_an_estimator_that_adds_rows_up_is_refused_however_few_they_are(tmp_path: Path, rows: int) -> None:
    with pytest.raises(PackagingFailed, match="it answers 3 rows with 2 rows") as caught:
        save_model(Total(), tmp_path / "m", example=FRAME.head(rows))
    assert "package a Python file" in caught.value.hint
    assert nothing_left(tmp_path)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("return [len(row) for row in inputs]", r"2 rows with 1 row, as if the names .* \('text'\)"),
        ("return len(inputs)", "2 rows with one value that is no list"),
        ("return inputs.iloc[:-1]", "2 rows with 1 row"),
    ],
)
def test_a_function_that_is_said_to_be_batchable_answers_each_row(tmp_path: Path, code: str, found: str) -> None:
    file = source(tmp_path, f"def predict(inputs):\n    {code}\n")
    with pytest.raises(PackagingFailed, match=found):
        save_model(file, tmp_path / "m", example=TEXTS, batchable=True)


def test_of_any_other_function_the_number_of_answers_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = source(tmp_path, "def predict(inputs):\n    return [len(row) for row in inputs]\n")
    with caplog.at_level(logging.WARNING, logger="penstock.package"):
        save_model(file, tmp_path / "m", example=TEXTS)
    assert "it answers 2 rows with 1 row" in caplog.text
    assert "inputs['text']" in caplog.text


def test_what_answers_each_row_is_said_nothing_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = source(tmp_path, "def predict(inputs):\n    return [len(row) for row in inputs['text']]\n")
    with caplog.at_level(logging.WARNING, logger="penstock"):
        package = save_model(file, tmp_path / "m", example=TEXTS, batchable=True)
    assert not caplog.records
    assert package.manifest.batchable
