"""What in the rows probably made a model fail."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.package.likely_cause import date_texts, likely_cause
from penstock.payload import TEXT, Payload, Table, Tensors, as_object_array
from penstock.signature import Field, Scalar, Schema

DATES = Table.of(["n", "d"], [np.array([1, 2]), np.array(["2021-03-04", np.nan], dtype=TEXT)])
LISTS = Table.of(["t"], [as_object_array([["a"], ["b"]])])
TEXTS = (Field("t", Scalar.STRING),)


@pytest.mark.parametrize(
    ("payload", "schema", "said"),
    [
        (LISTS, TEXTS, "send one text a row"),
        (LISTS, None, ""),
        (DATES, None, "The package has no signature, so that the dates in 'd' reach the model as text"),
        (DATES, (Field("d", Scalar.STRING),), ""),
        (Table.of(["d"], [as_object_array(["2021-03-04", "soon"])]), None, ""),
        (Tensors.single(np.zeros(2)), None, ""),
    ],
)
def test_lists_and_dates_stand_out(payload: Payload, schema: Schema | None, said: str) -> None:
    found = likely_cause(payload, schema)
    assert (said in found) if said else not found


def test_dates_are_told_from_other_texts() -> None:
    cells = ["2021-03-04T05:06:07Z", "2021-03-04 05:06", None]
    assert date_texts(Table.of(["a", "b"], [as_object_array(cells), as_object_array(["x", "y", "z"])])) == ["a"]
