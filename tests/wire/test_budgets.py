"""No body costs more than its size justifies: counted cells and bytes, and the memory that hostile bodies take."""

from __future__ import annotations

import contextlib
import io
import json
import tracemalloc
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import ipc

from penstock.errors import InputError, InputTooLarge, MalformedInput, SchemaViolation
from penstock.signature import ArrayOf, Field, ObjectOf, Property, Scalar, Schema, Signature
from penstock.wire.arrow_claims import is_plain_numbers
from penstock.wire.budget import Budget
from penstock.wire.interface import ReadElsewhere
from penstock.wire.mlflow import codec
from penstock.wire.mlflow.codec import MlflowCodec, PredictRequest
from penstock.wire.mlflow.formats import ARROW, CSV, JSON, PARQUET

AB: Schema = (Field("a", Scalar.DOUBLE), Field("b", Scalar.DOUBLE))
LIMIT = 1_000_000


def read(
    body: Any, schema: Schema | None = AB, media: str = JSON, *, frames: bool = True, limit: int = LIMIT
) -> PredictRequest:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return MlflowCodec(Signature(schema) if schema else None, frames=frames, max_body_bytes=limit, on_loop=False).read(
        media, data
    )


def arrow(table: Any, compression: str | None = None) -> bytes:
    sink = io.BytesIO()
    with ipc.new_stream(sink, table.schema, options=ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    return sink.getvalue()


def arrow_file(table: Any) -> bytes:
    sink = io.BytesIO()
    with ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def parquet(table: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def repeated(text: str, times: int) -> Any:
    return pa.table({"a": pa.DictionaryArray.from_arrays(pa.array(np.zeros(times, np.int32)), pa.array([text]))})


def test_what_is_spent_is_gone() -> None:
    budget = Budget.of_json(10)
    budget.spend_cells(1000)
    budget.check_cells(29)
    with pytest.raises(InputTooLarge, match=r"stands for 30 cells, where 29 are allowed by its size \(10 bytes\)"):
        budget.spend_cells(30)
    columnar = Budget.of_columnar(LIMIT)
    columnar.spend_bytes(4 * LIMIT)
    with pytest.raises(InputTooLarge, match="max_body_bytes"):
        columnar.spend_bytes(1)


@pytest.mark.parametrize("frames", [True, False])
@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_records": [{f"k{i}": 1} for i in range(500)]},
        {"dataframe_split": {"data": [[1] * 500, *[[1]] * 500]}},
        {"instances": [{f"k{i}": 1} for i in range(500)]},
        {"inputs": [[1] * 500, *[[1]] * 500]},
    ],
)
def test_gaps_beyond_the_size_are_refused_unfilled(body: Any, frames: bool) -> None:
    with pytest.raises(InputTooLarge, match="cells"):
        read(body, frames=frames)


def test_honest_gaps_are_filled() -> None:
    ragged = read({"dataframe_split": {"columns": ["a", "b"], "data": [[1, 2], [3]]}})
    assert ragged.payload.rows == 2
    assert read({"dataframe_records": [{"a": 1, "b": 2}, {"b": 3, "a": 1}] * 100}).payload.rows == 200


@pytest.mark.parametrize("frames", [True, False])
def test_a_csv_is_measured_before_it_is_read(frames: bool) -> None:
    wide = ",".join(f"k{i}" for i in range(3000)) + "\n" + "1\n" * 3000
    with pytest.raises(InputTooLarge, match="cells"):
        read(wide.encode(), None, CSV, frames=frames)
    with pytest.raises((InputTooLarge, MalformedInput), match=r"columns|column twice"):
        read(b",".join([b"c"] * 200_000), AB, CSV, frames=frames)
    with pytest.raises((MalformedInput), match=r"names others have|columns with the same name"):
        read(b",".join([b"c"] * 1000), AB, CSV, frames=frames)
    lines = '"' + "x\n" * 400 + '"'
    assert read(f"a,b,c,d\n{lines},1,2,3\n".encode(), None, CSV, frames=frames).payload.rows == 1


@pytest.mark.parametrize("depth", [65, 450, 900])
def test_deep_values_are_refused(depth: int) -> None:
    body = b'{"inputs": ' + b"[" * depth + b'"]", 1' + b"]" * depth + b"}"
    with pytest.raises(MalformedInput, match="more than 64 deep"):
        read(body)
    with pytest.raises(MalformedInput, match="more than 64 deep"):
        read(b'{"inputs": ' + b'{"a": ' * depth + b"1" + b"}" * depth + b"}")
    with pytest.raises(SchemaViolation, match="more than 64 deep"):
        MlflowCodec(Signature(AB, hinted=True), frames=False, on_loop=False).read(JSON, body)
    assert read({"inputs": {"a": ["]["], "b": ["[" * 500]}}, (Field("a", Scalar.STRING),)).payload.rows == 1


def test_one_long_text_does_not_widen_the_others() -> None:
    texts = ["a" * 100_000] + [""] * 500
    for body in ({"inputs": {"x": texts}}, {"instances": [{"x": text} for text in texts]}, {"inputs": texts}):
        (array,) = read(body, None).payload.arrays  # type: ignore[union-attr]
        assert array.dtype == object
        assert array.tolist() == texts


@pytest.mark.parametrize("frames", [True, False])
def test_a_single_text_has_a_limit(frames: bool) -> None:
    schema: Schema = (Field("s", Scalar.STRING),)
    for length, refused in ((1_100_000, True), (1_000_000, False)):
        text = "x" * length
        for body, known, media in (
            ({"inputs": {"s": ["", text]}}, schema, JSON),
            ({"inputs": ["", text]}, None, JSON),
            ({"dataframe_split": {"columns": ["s"], "data": [[text], ["y"]]}}, schema, JSON),
            (f"s\n{text}\ny\n".encode(), schema, CSV),
        ):
            with pytest.raises(InputTooLarge, match="max_body_bytes") if refused else contextlib.nullcontext():
                read(body, known, media, frames=frames)


def test_a_body_for_pandas_is_parsed_once_on_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps({"dataframe_split": {"data": [["x", None, 2**70]] * 1500}}).encode()
    parsed: list[int] = []
    for module, name in ((codec, "read_object"), (codec, "with_long_numbers")):
        plain = getattr(module, name)

        def noted(*args: Any, plain: Any = plain, **more: Any) -> Any:
            parsed.append(1)
            return plain(*args, **more)

        monkeypatch.setattr(module, name, noted)
    reader = MlflowCodec(None, frames=True)
    for _ in range(2):  # by the fast path and by the slow one
        with pytest.raises(ReadElsewhere):
            reader.read(JSON, body)
    assert len(parsed) == 1
    with pytest.raises(ReadElsewhere):
        reader.read(JSON, body)
    assert len(parsed) == 2


@pytest.mark.parametrize("frames", [True, False])
def test_long_dates_are_refused_unparsed(frames: bool) -> None:
    schema: Schema = (Field("d", Scalar.DATETIME),)
    for body, media in (
        ({"dataframe_split": {"columns": ["d"], "data": [["1" * 65]]}}, JSON),
        ({"inputs": {"d": ["1" * 65]}}, JSON),
        (b"d\n" + b"1" * 65 + b"\n", CSV),
    ):
        with pytest.raises(InputError, match="65 characters, which no datetime has"):
            read(body, schema, media, frames=frames)


def test_cells_in_lists_and_objects_need_no_series_each(monkeypatch: pytest.MonkeyPatch) -> None:
    import pandas as pd

    thing = ObjectOf((Property("x", Scalar.DOUBLE), Property("y", Scalar.STRING, required=False)))
    schema: Schema = (Field("a", ArrayOf(Scalar.DOUBLE)), Field("o", thing))
    made: list[int] = []
    plain = pd.Series.__init__

    def counted(series: Any, *args: Any, **more: Any) -> None:
        made.append(1)
        plain(series, *args, **more)

    monkeypatch.setattr(pd.Series, "__init__", counted)
    rows = [{"a": [1], "o": {"x": 1, "y": "a"}}] * 2000
    assert read({"dataframe_records": rows}, schema).payload.rows == 2000
    assert len(made) < 500


@pytest.mark.parametrize(
    ("body", "media"),
    [
        (arrow(pa.table({"a": np.zeros(600_000)}), "zstd"), ARROW),
        (arrow(pa.table({"a": np.zeros(600_000)}), "lz4"), ARROW),
        (arrow(pa.table({"a": pa.nulls(600_000)})), ARROW),
        (arrow(repeated("x" * 5000, 1000), "zstd"), ARROW),
        (parquet(pa.table({"a": np.zeros(600_000)})), PARQUET),
        (parquet(pa.table({"a": [np.zeros(600_000, np.int8)]})), PARQUET),
        (parquet(repeated("x" * 5000, 1000)), PARQUET),
        (parquet(pa.table({"a": ["x" * 5000] * 1000})), PARQUET),
        (arrow(pa.table({"a": [""] * 100_000})), ARROW),
    ],
)
@pytest.mark.parametrize("frames", [True, False])
def test_columnar_bodies_unfold_to_four_times_the_limit_at_most(body: bytes, media: str, frames: bool) -> None:
    with pytest.raises(InputTooLarge, match="max_body_bytes"):
        read(body, None, media, frames=frames)


def test_arrow_files_are_read_like_streams() -> None:
    table = pa.table({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    for body in (arrow(table), arrow_file(table), arrow(table, "zstd")):
        assert read(body, AB, ARROW).payload.rows == 2
    for cut in range(0, len(arrow_file(table)), 7):
        with pytest.raises(InputError):
            read(arrow_file(table)[:cut], AB, ARROW)


def test_plain_numbers_are_told_from_all_else() -> None:
    numbers = pa.table({"a": [1.0, 2.0], "b": pa.array([1, None], pa.int8()), "c": [True, False]})
    assert is_plain_numbers(arrow(numbers))
    assert is_plain_numbers(arrow_file(numbers))
    assert not is_plain_numbers(arrow(numbers, "zstd"))
    for column in (["x"], pa.nulls(1), [[1]], pa.array(["x"]).dictionary_encode(), [{"a": 1}]):
        assert not is_plain_numbers(arrow(pa.table({"a": column})))
    assert not is_plain_numbers(arrow(pa.table({f"k{i}": [1] for i in range(300)})))
    body = arrow(numbers)
    called_plain = [body[:cut] for cut in range(len(body)) if is_plain_numbers(body[:cut])]
    assert len(called_plain) == 8  # behind the schema, behind the batch, and up to three bytes of the next message
    for cut in called_plain:
        with contextlib.suppress(MalformedInput):
            assert read(cut, None, ARROW).payload.rows in (0, 2)


_CELL = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=300)
_ROWS = st.lists(st.lists(_CELL, max_size=30) | st.dictionaries(st.text(max_size=4), _CELL, max_size=10), max_size=30)


@settings(deadline=None, max_examples=60)
@given(
    _ROWS,
    st.integers(1, 300),
    st.sampled_from(["dataframe_records", "inputs", "instances"]),
    st.booleans(),
)
def test_memory_follows_the_size_of_the_body(rows: list[Any], times: int, envelope: str, frames: bool) -> None:
    body = json.dumps({envelope: rows + rows[-1:] * times}).encode()
    read({"dataframe_split": {"data": [["x", None]]}}, None)  # whatever is imported on first use, is by now
    tracemalloc.start()
    try:
        read(body, frames=frames)
    except InputError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 40 * len(body) + 500_000


@pytest.mark.parametrize("frames", [True, False])
@pytest.mark.parametrize("row", ["1", '"1"', " 1"])
def test_rows_are_counted_before_they_are_kept(frames: bool, row: str) -> None:
    """A row of one cell takes some seventy times its text as a list."""
    limit = LIMIT // 5
    body = b"a\n" + (row + "\n").encode() * (2 * limit // (len(row) + 1))
    with contextlib.suppress(InputError):
        read(b"a\n1\n", None, CSV, frames=frames)  # what is imported on first use
    tracemalloc.start()
    try:
        with pytest.raises(InputTooLarge, match="cells"):
            read(body, None, CSV, frames=frames, limit=limit)
        assert tracemalloc.get_traced_memory()[1] < 8 * len(body)
    finally:
        tracemalloc.stop()
