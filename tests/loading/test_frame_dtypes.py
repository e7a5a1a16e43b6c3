"""A frame's dtypes make no difference: whatever holds the rows, the model gets what the same rows bring as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import penstock

TEXTS = ["a", "b", None]
DAYS = pd.to_datetime(["2021-03-01", "2021-03-02", None])
ROWS = pd.DataFrame(
    {"text": TEXTS, "day": DAYS, "flag": pd.Series([True, False, np.nan], dtype=object), "number": [1.0, 2.0, np.nan]}
)
TOLD = """
def predict(inputs):
    return [" ".join(f"{type(cell).__name__}:{cell}" for cell in row) for row in inputs.itertuples(index=False)] + [
        str(dtype) for dtype in inputs.dtypes
    ]
"""


def arrow(cells: list[Any], type_: Any = None) -> pd.Series:
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.array(cells, type_)))


COLUMNS = [
    *[("day", pd.Series(DAYS.as_unit(unit))) for unit in ("s", "ms", "us", "ns")],
    *[("day", pd.Series(DAYS.as_unit(unit).tz_localize("UTC").tz_convert("Asia/Tokyo"))) for unit in ("s", "us", "ns")],
    ("day", arrow([*DAYS[:2].as_unit("us"), None], pa.timestamp("us"))),
    ("day", arrow([*DAYS[:2].as_unit("us"), None], pa.timestamp("us", tz="UTC"))),
    ("day", arrow([date(2021, 3, 1), date(2021, 3, 2), None])),
    ("day", pd.Series(DAYS).astype("category")),
    *[("text", pd.Series(TEXTS, dtype=name)) for name in ("str", "string", "string[pyarrow]", "category", object)],
    ("text", arrow(TEXTS)),
    ("text", arrow(TEXTS, pa.large_string())),
    ("text", pd.Series(pd.arrays.ArrowExtensionArray(pa.array(TEXTS).dictionary_encode()))),
    ("text", pd.Series(["a", "b", pd.NA], dtype=object)),
    ("text", pd.Series(TEXTS, dtype="string").astype("category")),
    *[
        ("flag", pd.Series([True, False, None], dtype=name))
        for name in ("boolean", "bool[pyarrow]", "category", object)
    ],
    *[
        ("number", pd.Series([1, 2, None], dtype=name))
        for name in ("Int8", "Int64", "Float32", "Float64", "int64[pyarrow]", "double[pyarrow]", "category", object)
    ],
]


@pytest.fixture(scope="module")
def teller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[penstock.LocalModel]:
    """Answers with the type and text of every cell it is handed, and with the dtypes."""
    place = tmp_path_factory.mktemp("teller")
    (place / "told.py").write_text(TOLD)
    penstock.save_model(place / "told.py", place / "m", example=ROWS)
    with penstock.load_model(place / "m", trust_code=True) as model:
        yield model


@pytest.fixture(scope="module")
def as_records(teller: penstock.LocalModel) -> list[str]:
    records = [
        {"text": "a", "day": "2021-03-01", "flag": True, "number": 1.0},
        {"text": "b", "day": "2021-03-02", "flag": False, "number": 2.0},
        {"text": None, "day": None, "flag": None, "number": None},
    ]
    told: list[str] = teller.predict(records)
    return told


def test_gaps_are_those_of_pandas_own_readers(as_records: list[str]) -> None:
    assert as_records == [
        "str:a Timestamp:2021-03-01 00:00:00 bool:True float:1.0",
        "str:b Timestamp:2021-03-02 00:00:00 bool:False float:2.0",
        "float:nan NaTType:NaT float:nan float:nan",
        "str", "datetime64[ns]", "object", "float64",
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "column"), COLUMNS, ids=lambda given: getattr(given, "dtype", given))
def test_every_dtype_is_what_records_are(
    teller: penstock.LocalModel, as_records: list[str], name: str, column: pd.Series
) -> None:
    assert teller.predict(ROWS.assign(**{name: column})) == as_records


def test_whole_numbers_and_categories_without_gaps_stay_whole(tmp_path: Path) -> None:
    (tmp_path / "told.py").write_text(TOLD)
    frame = pd.DataFrame({"n": [1, 2]})
    penstock.save_model(tmp_path / "told.py", tmp_path / "m", example=frame)
    with penstock.load_model(tmp_path / "m", trust_code=True) as model:
        for dtype in ("Int64", "int32", "category", "int64[pyarrow]", "UInt16", "Int8"):
            assert model.predict(frame.astype(dtype)) == ["int:1", "int:2", "int64"]


def test_names_of_columns_are_found_as_numbers_and_as_text(tmp_path: Path) -> None:
    (tmp_path / "told.py").write_text("def predict(inputs):\n    return inputs.iloc[:, 0]\n")
    column = pd.Series([1.5, 2.5])
    penstock.save_model(tmp_path / "told.py", tmp_path / "unnamed", example=column)
    penstock.save_model(tmp_path / "told.py", tmp_path / "named", example=column.rename("x"))
    for name in ("unnamed", "named"):
        with penstock.load_model(tmp_path / name, trust_code=True) as model:
            assert np.ravel(model.predict(column)).tolist() == [1.5, 2.5]
    with penstock.load_model(tmp_path / "unnamed", trust_code=True) as model:
        assert np.ravel(model.predict(column.to_frame())).tolist() == [1.5, 2.5]
