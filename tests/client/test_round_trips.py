"""What goes into a client comes out of a model that answers with its input as it was, whatever its type."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import penstock
from client.in_process import ToGateway, client_of, columns, echo, serving, tensor
from penstock.client import conversation
from penstock.client.arrow_bodies import ArrowFrom

SCALARS = ("boolean", "integer", "long", "float", "double", "string", "binary", "datetime")
DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32",
          "float64", "str")  # fmt: skip
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NANOSECONDS = st.integers(-(2**63) + 10**9, 2**63 - 10**9)

# What each type of a column may hold, missing values apart.
CELLS: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32, allow_nan=False),
    "double": st.floats(allow_nan=False),
    "string": TEXTS,
    "binary": st.binary(max_size=6),
    "datetime": NANOSECONDS.map(lambda number: np.datetime64(number, "ns")),
}
MISSING = {"float": math.nan, "double": math.nan, "datetime": np.datetime64("NaT", "ns")}
DTYPES_OF: dict[str, Any] = {
    "boolean": bool, "integer": "int32", "long": "int64", "float": "float32", "double": "float64",
    "string": object, "binary": object, "datetime": "datetime64[ns]",
}  # fmt: skip

MODELS = {
    "table": echo(columns(*SCALARS)),
    "free": echo(None),
    "nested": echo(
        [
            {"name": "list", "type": "array", "items": {"type": "long"}},
            {"name": "object", "type": "object", "properties": {"x": {"type": "double"}, "y": {"type": "string"}}},
            {"name": "map", "type": "map", "values": {"type": "boolean"}},
        ]
    ),
    "pair": echo([tensor("int64", -1, 2, name="ids"), tensor("float32", -1, 3, 2, name="x")]),
    **{f"array-{dtype}": echo([tensor(dtype, -1, 2, 3)]) for dtype in DTYPES},
}


@pytest.fixture(scope="module", params=["JSON", "Arrow"])
def client(request: pytest.FixtureRequest) -> Iterator[penstock.Client]:
    """One that writes small bodies as JSON, as it does by itself, and one that writes what it can as Arrow."""
    with pytest.MonkeyPatch.context() as patch, serving(MODELS) as gateway:
        if request.param == "Arrow":
            patch.setattr(conversation, "arrow_pays", lambda: ArrowFrom(1, 1))
        with client_of(ToGateway(gateway)) as made:
            yield made


def series(type_: str, cells: list[Any]) -> pd.Series:
    """A column as its type has it: of that dtype, or of objects where a cell of a type without gaps is missing."""
    gap = MISSING.get(type_)
    if type_ in MISSING or None not in cells:
        found = np.array([gap if cell is None else cell for cell in cells], dtype=DTYPES_OF[type_])
        return pd.Series(found, dtype=found.dtype)
    return pd.Series(cells, dtype=object)


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    rows = draw(st.integers(1, 4))
    may_miss = ("float", "double", "string", "datetime", "boolean")
    made = {
        name: series(
            type_,
            draw(
                st.lists(CELLS[type_] | st.none() if type_ in may_miss else CELLS[type_], min_size=rows, max_size=rows)
            ),
        )
        for name, type_ in zip("abcdefgh", SCALARS, strict=True)
    }
    frame = pd.DataFrame(made)
    frame.index = pd.Index(draw(st.lists(st.integers(), min_size=rows, max_size=rows)))
    return frame


@given(frame=frames())
@settings(max_examples=25)
def test_frames_come_back_as_they_were(client: penstock.Client, frame: pd.DataFrame) -> None:
    answer = client.predict(frame, model="table")
    if frame["a"].isna().all():  # to the model a gap among booleans is NaN: with nothing beside it, a number to Arrow
        assert answer["a"].isna().all()
        answer["a"] = frame["a"]
    pd.testing.assert_frame_equal(answer, frame)


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_come_back_as_they_were(client: penstock.Client, dtype: str) -> None:
    elements = TEXTS if dtype == "str" else None

    @given(
        array=npst.arrays(
            dtype if dtype != "str" else "U8", st.integers(1, 3).map(lambda n: (n, 2, 3)), elements=elements
        )
    )
    @settings(max_examples=8)
    def check(array: np.ndarray) -> None:
        found = client.predict(array, model=f"array-{dtype}")
        np.testing.assert_array_equal(found, array)
        assert found.dtype.kind == array.dtype.kind
        assert dtype == "str" or found.dtype == array.dtype

    check()


@pytest.mark.parametrize(
    ("name", "column", "back"),
    [
        ("b", pd.Series([1, None, 2], dtype="Int32"), None),
        ("c", pd.Series([2**53 + 1, -(2**63)], dtype="Int64"), pd.Series([2**53 + 1, -(2**63)])),
        ("c", pd.Series([1.0, 2.0]), pd.Series([1, 2])),
        ("e", pd.Series([1, 2]), pd.Series([1.0, 2.0])),
        ("e", pd.Series([1.5, None], dtype="Float64"), pd.Series([1.5, math.nan])),
        ("a", pd.Series([True, None], dtype="boolean"), pd.Series([True, None], dtype=object)),
        ("f", pd.Series(["x", None, "x"], dtype="category"), pd.Series(["x", None, "x"], dtype=object)),
        ("f", pd.Series(["x", "\U0001f600"], dtype="string"), pd.Series(["x", "\U0001f600"], dtype=object)),
        ("h", pd.Series(pd.to_datetime(["2024-02-29", None])).astype("datetime64[s]"),
         pd.Series(pd.to_datetime(["2024-02-29", None])).astype("datetime64[ns]")),
        ("h", pd.Series([pd.Timestamp("2024-02-29 12:00").to_pydatetime(), None], dtype=object),
         pd.Series(pd.to_datetime(["2024-02-29 12:00", None])).astype("datetime64[ns]")),
    ],
)  # fmt: skip
def test_columns_of_other_dtypes_arrive_in_the_signatures(
    client: penstock.Client, name: str, column: pd.Series, back: pd.Series | None
) -> None:
    frame = pd.DataFrame({name: column})
    if back is None:
        with pytest.raises(penstock.errors.RequestRefused, match=r"row 1, column 'b'"):
            client.predict(frame, model="table")
    else:
        pd.testing.assert_series_equal(client.predict(frame, model="table")[name], back, check_names=False)


def test_a_frame_without_a_signature_keeps_all_but_its_dates(client: penstock.Client) -> None:
    frame = pd.DataFrame({"n": [1, 2**60 + 1], "x": [math.inf, math.nan], "t": ["a", None], "b": [True, False]})
    pd.testing.assert_frame_equal(client.predict(frame, model="free"), frame.astype({"t": object}))
    dated = pd.DataFrame({"d": pd.to_datetime(["2024-01-31"])})
    assert client.predict(dated, model="free")["d"].tolist() == ["2024-01-31T00:00:00"]


def test_lists_and_objects_in_cells_come_back(client: penstock.Client) -> None:
    rows = [
        {"list": [2**53 + 1, 2], "object": {"x": 0.5, "y": "a"}, "map": {"k": True}},
        {"list": [], "object": {"x": -1.0, "y": ""}, "map": {}},
    ]
    assert client.predict(rows, model="nested") == rows
    found = client.predict(pd.DataFrame(rows), model="nested")
    assert found.to_dict("records") == rows


def test_several_arrays_come_back_by_name(client: penstock.Client) -> None:
    arrays = {"ids": np.array([[2**62 + 1, 1]]), "x": np.ones((1, 3, 2))}
    found = client.predict(arrays, model="pair")
    assert (found["ids"].dtype, found["x"].dtype) == (np.int64, np.float32)
    np.testing.assert_array_equal(found["ids"], arrays["ids"])
    np.testing.assert_array_equal(found["x"], arrays["x"])


@pytest.mark.parametrize("model", ["free", "array-float64"])
def test_lists_come_back_as_lists(client: penstock.Client, model: str) -> None:
    rows = [[[1.5, 2.0, math.inf], [4.0, 5.0, -0.0]]]
    assert client.predict(rows, model=model) == rows


def test_records_of_named_arrays_come_back_one_a_row(client: penstock.Client) -> None:
    rows = [{"ids": [1, 2], "x": [[0.5, 1.0]] * 3}, {"ids": [3, 4], "x": [[1.5, 2.0]] * 3}]
    assert client.predict(rows, model="pair") == rows
    assert client.predict(rows[:1], model="pair") == rows[:1]


def test_what_pays_as_arrow_is_arrow_both_ways_and_answers_alike() -> None:
    """A frame and arrays of many cells, asked of the same models with pyarrow and as if there were none."""
    frame = pd.DataFrame(
        {
            "a": np.resize([True, False], 3000), "c": np.arange(3000) + 2**53, "e": np.linspace(0, 1, 3000),
            "f": np.resize(["x", "", "é"], 3000),
            "h": pd.Timestamp("2024-01-31") + pd.to_timedelta(np.arange(3000), "ns"),
        }
    )  # fmt: skip
    arrays = {"ids": np.arange(6000).reshape(3000, 2), "x": np.ones((3000, 3, 2), np.float32)}
    found = {}
    for way in ("Arrow", "JSON"):
        with pytest.MonkeyPatch.context() as patch, serving(MODELS) as gateway:
            if way == "JSON":
                patch.setattr(conversation, "arrow_pays", lambda: None)
            transport = ToGateway(gateway)
            with client_of(transport) as client:
                found[way] = client.predict(frame, model="table"), client.predict(arrays, model="pair")
            assert transport.media == {"application/json" if way == "JSON" else "application/vnd.apache.arrow.stream"}
    for table, named in found.values():
        pd.testing.assert_frame_equal(table[[*frame]], frame.astype({"f": object}))  # the others are gaps
        assert named["ids"].dtype == np.int64
        np.testing.assert_array_equal(named["ids"], arrays["ids"])
        np.testing.assert_array_equal(named["x"], arrays["x"])
