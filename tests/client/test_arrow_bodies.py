"""When a client writes Arrow, and that it says the same as JSON there."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest

from client.in_process import columns, tensor
from penstock.client.arrow_bodies import ArrowFrom
from penstock.client.request_bodies import RequestBody, request_body
from penstock.signature import Signature
from penstock.wire.mlflow.formats import ARROW, ARROW_WHOLE, JSON

PAYS = ArrowFrom(numbers=100, mixed=20)
FRAME = pd.DataFrame({"a": np.arange(10.0), "b": np.arange(10)})
TABLE = Signature.from_mlflow({"inputs": columns("double", "long"), "outputs": columns("double", "long")})
TEXT = Signature.from_mlflow({"inputs": columns("double", "string"), "outputs": [tensor("int64", -1)]})
ONE = Signature.from_mlflow({"inputs": [tensor("float32", -1, 4)], "outputs": [tensor("float32", -1, 8)]})


def body(data: Any, signature: Signature | None, arrow: ArrowFrom | None = PAYS, **params: Any) -> RequestBody:
    return request_body(data, params or None, signature, arrow)


def many(frame: pd.DataFrame, rows: int) -> pd.DataFrame:
    return frame.iloc[np.resize(np.arange(len(frame)), rows)].reset_index(drop=True)


@pytest.mark.parametrize(
    ("data", "signature", "media"),
    [
        (many(FRAME, 49), TABLE, JSON),
        (many(FRAME, 50), TABLE, ARROW),
        (many(FRAME, 9).assign(b="x"), TEXT, JSON),
        (many(FRAME, 10).assign(b="x"), TEXT, ARROW),
        (many(FRAME, 10).assign(b=None), TEXT, JSON),
        (many(FRAME, 50), None, JSON),
        (many(FRAME, 50).assign(b=0.5), TABLE, JSON),
        (many(FRAME, 50).to_dict("records"), TABLE, JSON),
        (np.ones((24, 4)), ONE, JSON),
        (np.ones((25, 4)), ONE, ARROW),
        (np.ones((25, 5)), ONE, JSON),
        (np.full((25, 4), "1"), ONE, ARROW),
    ],
 ids=["few numbers", "numbers", "few texts", "texts", "gaps alone", "no signature", "misfits", "records",
         "few elements", "elements", "another shape", "texts of numbers"],
)  # fmt: skip
def test_many_cells_of_types_that_the_signature_names_are_arrow(
    data: Any, signature: Signature | None, media: str
) -> None:
    assert body(data, signature).media == media
    assert body(data, signature, None).media == JSON


def test_params_have_no_place_in_arrow() -> None:
    assert body(many(FRAME, 50), TABLE, limit=1).media == JSON


@pytest.mark.parametrize(
    ("data", "signature", "whole"),
    [
        (many(FRAME, 9), TABLE, False),
        (many(FRAME, 10), TABLE, True),
        (many(FRAME, 50), TEXT, False),
        (many(FRAME, 100), TEXT, True),
        (np.ones((12, 4)), ONE, False),
        (np.ones((13, 4)), ONE, True),
        (many(FRAME, 500), None, False),
    ],
)
def test_an_answer_that_will_be_long_is_asked_for_as_arrow(data: Any, signature: Signature | None, whole: bool) -> None:
    assert (ARROW_WHOLE in body(data, signature).accept) is whole
    assert "application/json;non-finite=words" in body(data, signature).accept


def test_a_series_without_a_name_is_the_only_column_that_the_model_takes() -> None:
    one = Signature.from_mlflow({"inputs": [{"type": "string", "name": "text"}], "outputs": None})
    sent = orjson.loads(body(pd.Series(["free money", "lunch"]), one).content)
    assert sent["dataframe_split"] == {"columns": ["text"], "data": [["free money"], ["lunch"]]}
