"""A failed request is told where its first gap is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from penstock.payload import TEXT, Array, Table, as_object_array
from penstock.server.predict.first_gap import first_gap


@pytest.mark.parametrize(
    "column",
    [
        np.array([1.0, np.nan]),
        np.array(["2024-01-31", "NaT"], "datetime64[ns]"),
        np.array(["a", np.nan], TEXT),
        as_object_array(["a", None]),
        as_object_array(["a", np.float32("nan")]),
    ],
    ids=lambda column: column.dtype.kind,
)
def test_a_gap_of_every_kind_is_found(column: Array) -> None:
    assert first_gap(Table.of(("a",), [column])) == "Row 1, column 'a', is missing."
    assert first_gap(Table.of(("a",), [column[:1]])) == ""


def test_the_first_row_is_told_whatever_its_column() -> None:
    table = Table.of(("a", "b"), [np.array([1.0, np.nan]), as_object_array([None, "b"])])
    assert first_gap(table) == "Row 0, column 'b', is missing."


@pytest.mark.parametrize(("width", "found"), [(2, True), (200, False)])
def test_of_a_wide_table_only_the_first_rows_are_looked_at(width: int, found: bool) -> None:
    """A thousand columns of ten thousand texts would take the event loop a second."""
    column: list[Any] = ["a"] * 1000 + [None]
    table = Table.of(tuple(map(str, range(width))), [as_object_array(column)] * width)
    assert bool(first_gap(table)) == found
