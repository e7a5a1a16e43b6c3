"""A model in a process of its own gets what one in the gateway gets, whatever was sent; and so do callers."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
import pytest

from penstock.errors import AnswerUnserializable
from penstock.flavors.frames import from_python, to_python
from penstock.model_process.protocol.payload_values import decode, encode
from penstock.payload import Payload, Table
from penstock.signature import Field, Scalar, Signature
from penstock.wire.mlflow.codec import BodyReader, MlflowCodec, PredictRequest
from penstock.wire.mlflow.formats import ARROW, CSV, JSON, PARQUET
from scoring.test_answers_as_tables import SAID

PARIS = "Europe/Paris"
DAYS = pd.to_datetime(["2024-01-31", "2024-07-31"])
LABELS: dict[str, Any] = {
    "text": pd.Index(["r", "s"], name="k"),
    "text and numbers": pd.Index(["r", "s"]),
    "repeated": pd.Index([1, 1]),
    "levels": pd.MultiIndex.from_tuples([(1, "a"), (2, "b")], names=["m", None]),
    "moments": DAYS,
    "moments with a zone": DAYS.tz_localize(PARIS),
    "periods": pd.period_range("2024-01", periods=2, freq="M"),
    "intervals": pd.interval_range(0, 2),
    "categories": pd.CategoricalIndex(["u", "v"]),
    "durations": pd.to_timedelta([1, 2], unit="s"),
    "missing": pd.Index([1, None], dtype="Int64"),
    "booleans": pd.Index([True, False]),
    "dates": pd.Index([dt.date(2024, 1, 31)] * 2),
    "a range of its own": pd.RangeIndex(5, 9, 2),
}
COLUMNS: dict[str, Any] = {
    "nullable whole numbers": pd.array([1, None], dtype="Int64"),
    "nullable booleans": pd.array([True, None], dtype="boolean"),
    "nullable floats": pd.array([1.5, None], dtype="Float32"),
    "nullable text": pd.array(["a", None], dtype="string"),
    "categories": pd.Categorical(["a", None]),
    "ordered categories": pd.Categorical([3, 1], ordered=True),
    "moments": pd.to_datetime(["2024-01-31", None]),
    "moments with a zone": DAYS.tz_localize(PARIS),
    "durations": pd.to_timedelta([1, None], unit="ns"),
    "periods": pd.period_range("2024-01", periods=2, freq="M"),
    "intervals": pd.interval_range(0, 2),
    "dates": [dt.date(2024, 1, 31), None],
    "times": [dt.time(1, 2), None],
    "decimals": [Decimal("1.5"), None],
    "lists": [[1, 2], [3]],
    "objects": [{"a": 1}, {"a": 2}],
    "bytes": [b"\xff", None],
    "small numbers": np.array([1, 2], dtype=np.uint8),
}
SPLIT = {"columns": ["a", "s"], "data": [[1.0, "x"], [2.0, None]]}
DOCUMENTS: dict[str, Any] = {
    "split": {"dataframe_split": SPLIT},
    "row labels": {"dataframe_split": {**SPLIT, "index": ["r", 1]}},
    "row labels of several levels": {"dataframe_split": {**SPLIT, "index": [[1, 2], [3, 4]]}},
    "names twice": {"dataframe_split": {"columns": ["a", "a"], "data": [[1, 2]]}},
    "names of several levels": {"dataframe_split": {"columns": [["a", "b"], ["x", "y"]], "data": [[1, 2]]}},
    "no names": {"dataframe_split": {"data": [[1, 2]]}},
    "no rows": {"dataframe_split": {"columns": ["a", "s"], "data": []}},
    "records": {"dataframe_records": [{"a": {"x": 1}, "s": [1, 2]}, {"a": None, "s": []}]},
    "arrays": {"inputs": [[1.0, None]]},
    "mixed values": {"inputs": [1, "a", None, 2**70]},
    "a single value": {"inputs": 5},
    "named arrays": {"inputs": {"a": [1.0, 2.0], "s": ["x", "y"]}},
    "instances": {"instances": [{"a": 1, "s": "x"}, {"a": 2, "s": "y"}]},
}
NAMED = Signature(inputs=(Field("a", Scalar.DOUBLE), Field("s", Scalar.STRING, required=False)))


def parquet(frame: pd.DataFrame) -> bytes:
    file = BytesIO()
    frame.to_parquet(file)
    return file.getvalue()


def rows(**more: Any) -> pd.DataFrame:
    return pd.DataFrame({"a": [1.0, 2.0], "s": ["x", None]}, **more)


BODIES: dict[str, tuple[str, bytes]] = {
    **{f"labels: {name}": (PARQUET, parquet(rows(index=labels))) for name, labels in LABELS.items()},
    **{f"column: {name}": (PARQUET, parquet(pd.DataFrame({"a": cells}))) for name, cells in COLUMNS.items()},
    **{name: (JSON, json.dumps(document).encode()) for name, document in DOCUMENTS.items()},
    "CSV": (CSV, b"a,s\n1,x\n,\n"),
}


def crossed(payload: Payload, *, question: bool) -> Payload:
    plan, pieces = encode(payload, question=question)
    return decode(plan, bytearray(b"".join(map(bytes, pieces))), question=question)


def alike(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    if isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other, check_index_type="exact", check_column_type="exact")
        for i in range(one.shape[1]):
            assert list(map(type, one.iloc[:, i])) == list(map(type, other.iloc[:, i]))
    elif isinstance(one, np.ndarray):
        assert (one.dtype, one.tolist()) == (other.dtype, other.tolist()) or repr(one) == repr(other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            alike(one[name], other[name])
    else:
        assert repr(one) == repr(other)


@pytest.mark.parametrize("signature", [None, NAMED], ids=["any", "named"])
@pytest.mark.parametrize("frames", [True, False], ids=["frames", "arrays"])
@pytest.mark.parametrize("name", BODIES)
def test_what_a_model_gets(name: str, frames: bool, signature: Signature | None) -> None:
    try:
        payload = BodyReader(signature, frames=frames).read(*BODIES[name]).payload
    except Exception as refused:  # by the gateway, before any process is asked
        assert type(refused).__module__ == "penstock.errors"  # noqa: PT017
        return
    alike(to_python(payload), to_python(crossed(payload, question=True)))


@pytest.mark.parametrize("frames", [True, False], ids=["frames", "arrays"])
@pytest.mark.parametrize("name", LABELS)
def test_a_model_with_a_signature_gets_no_row_labels_of_parquet(name: str, frames: bool) -> None:
    body = parquet(rows(index=LABELS[name]))
    payload = BodyReader(NAMED, frames=frames).read(PARQUET, body).payload
    assert isinstance(payload, Table)
    assert (payload.names, payload.index, payload.rows) == (("a", "s"), None, 2)


def test_a_column_that_pandas_wrote_as_labels_is_a_column_still() -> None:
    payload = BodyReader(NAMED, frames=True).read(PARQUET, parquet(rows().set_index("s"))).payload
    assert to_python(payload)["s"].tolist()[0] == "x"


REQUEST = PredictRequest(Table.of(["row"], [np.zeros(2)]))
MORE = {
    "pandas' durations in a list": [pd.Timedelta(1, "s"), None],
    "moments of summer and winter": [DAYS.tz_localize(PARIS)[0], DAYS.tz_localize(PARIS)[1]],
    "Python's moments of a zone": [moment.to_pydatetime() for moment in DAYS.tz_localize(PARIS)],
    "fields that are objects": np.array([(1, "x"), (2, None)], dtype=[("a", "i4"), ("b", "O")]),
    "fields with gaps between them": np.zeros(2, dtype=np.dtype({"names": ["a"], "formats": ["i2"], "offsets": [4]})),
}
ANSWERS = {**{name: said.answer for name, said in SAID.items()}, **MORE}


@pytest.mark.parametrize("name", ANSWERS)
def test_what_a_caller_gets(name: str) -> None:
    answer = from_python(ANSWERS[name])
    there = crossed(answer, question=False)
    for media in (JSON, CSV, ARROW):
        assert written(there, media) == written(answer, media)


def written(answer: Payload, media: str) -> Any:
    try:
        return MlflowCodec(None, frames=True, on_loop=False).write(answer, REQUEST, media)
    except AnswerUnserializable as refused:
        return str(refused)
