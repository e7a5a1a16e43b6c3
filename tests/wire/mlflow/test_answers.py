"""Answers as MLflow's scoring server writes them, but for NaN and infinity, which are null."""

from __future__ import annotations

import base64
import decimal
import json
from collections import OrderedDict, UserDict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from penstock.errors import AnswerUnserializable
from penstock.flavors.frames import from_python
from penstock.payload import Payload, Table, Tensors, Value, as_object_array
from penstock.wire.mlflow.answers import answer_text, answer_value, encode_answer


@dataclass
class Point:
    x: int


NAN, INF = float("nan"), float("inf")


def answer(payload: Payload) -> Any:
    body = encode_answer(payload)
    assert body.startswith(b'{"predictions":')
    document = json.loads(body, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert list(document) == ["predictions"]
    assert answer_value(payload) == document["predictions"]
    return document["predictions"]


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([1.5, NAN, INF, -INF]), [1.5, None, None, None]),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array(5), 5),
        (np.array(2.5, np.float32), 2.5),
        (np.array([0.1], np.float32), [0.10000000149011612]),  # every digit, as Python prints it once widened
        (np.array([0.1], np.float16), [float(np.float16(0.1))]),
        (np.array([True, False]), [True, False]),
        (np.array([2**63], np.uint64), [2**63]),
        (np.array([1, 2], ">i4"), [1, 2]),
        (np.array([1.5], ">f8"), [1.5]),
        (np.arange(12).reshape(3, 4)[::2, ::2], [[0, 2], [8, 10]]),
        (np.asfortranarray([[1.0, 2.0], [3.0, 4.0]]), [[1.0, 2.0], [3.0, 4.0]]),
        (np.zeros((0, 3)), []),
        (np.zeros((2, 0)), [[], []]),
        (np.array(["a", "é"]), ["a", "é"]),
        (np.array([b"ab"]), ["YWI=\n"]),
        (as_object_array(["a", None, NAN, 1, [1, 2]]), ["a", None, None, 1, [1, 2]]),
        (as_object_array([np.float32(0.1), np.int64(3)]), [0.10000000149011612, 3]),
        (np.array(["2026-01-02", "NaT"], "M8[ns]"), [1767312000000000000, None]),  # as MLflow: whole nanoseconds
        (np.array(["2026-01-02", "NaT"], "M8[us]"), ["2026-01-02T00:00:00", None]),
        (np.array(["2026-01-02"], "M8[D]"), ["2026-01-02"]),
        (as_object_array([{"a": 0.5}, {"b": 1}]), [{"a": 0.5}, {"b": 1}]),
    ],
)
def test_arrays_are_written_as_lists_with_null_for_what_is_not_finite(array: Any, expected: Any) -> None:
    assert answer(Tensors.single(array)) == expected


def test_named_arrays_are_an_object_in_order() -> None:
    payload = Tensors.named({"b": np.array([1.5]), "a": as_object_array(["x"]), "c": np.array([1], np.float32)})
    assert list(answer(payload).items()) == [("b", [1.5]), ("a", ["x"]), ("c", [1.0])]


def test_tables_are_row_objects() -> None:
    table = Table.of(
        ["n", "x", "s", "t"],
        [
            np.array([1, 2]),
            np.array([0.5, NAN], np.float32),
            as_object_array(["a", None]),
            np.array(["2026-01-02T03:04:05", "NaT"], "M8[ns]"),
        ],
    )
    assert answer(table) == [
        {"n": 1, "x": 0.5, "s": "a", "t": "2026-01-02T03:04:05"},
        {"n": 2, "x": None, "s": None, "t": "NaT"},
    ]
    assert answer(Table(None, block=np.array([[1, 2]]))) == [{"0": 1, "1": 2}]
    assert answer(Table((0, "a"), block=np.array([[1, 2]]))) == [{"0": 1, "a": 2}]
    assert answer(Table(("a", "a"), block=np.array([[1, 2]]))) == [{"a": 2}]  # as in MLflow
    assert answer(Table(("a",), block=np.empty((0, 1)))) == []


@pytest.mark.parametrize("unit", ["ns", "us", "ms", "s", "m", "h", "D"])
def test_moments_in_tables_are_written_as_pandas_writes_them(unit: str) -> None:
    for text in ("2026-01-02T03:00", "2026-01-02", "1999-12-31T23:00"):
        moment = np.array([text], f"M8[{unit}]")
        assert answer(Table.of(["t"], [moment])) == [{"t": pd.Timestamp(moment[0]).isoformat()}]


@pytest.mark.parametrize(
    "text", ["2026-01-02T03:04:05.1", "2026-01-02T03:04:05.000001", "2026-01-02T03:04:05.123456789"]
)
def test_fractions_of_seconds_are_written_as_pandas_writes_them(text: str) -> None:
    assert answer(Table.of(["t"], [np.array([text], "M8[ns]")])) == [{"t": pd.Timestamp(text).isoformat()}]


def test_moments_that_nanoseconds_do_not_reach_are_written() -> None:
    assert answer(Table.of(["t"], [np.array(["9999-12-31"], "M8[s]")])) == [{"t": "9999-12-31T00:00:00"}]


class Reply:
    def model_dump(self) -> dict[str, Any]:
        return {"text": "hi", "score": np.float32(0.5)}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("text", "text"),
        (None, None),
        (True, True),
        (3, 3),
        (NAN, None),
        (np.float64(2.5), 2.5),
        (np.float32(0.1), 0.10000000149011612),
        (np.int8(3), 3),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        ([1, (2, 3)], [1, [2, 3]]),
        ({"a": {"b": [NAN]}}, {"a": {"b": [None]}}),
        ({2: "a", None: "b", True: "c"}, {"2": "a", "null": "b", "true": "c"}),
        (OrderedDict(z=1, a=2), {"z": 1, "a": 2}),
        (UserDict(a=1), {"a": 1}),
        ({"x": np.array([0.1], np.float32), "y": np.array(3)}, {"x": [0.10000000149011612], "y": 3}),
        ({"x": np.array([[NAN, 1.0]])}, {"x": [[None, 1.0]]}),
        (b"ab", "YWI=\n"),
        (b"x" * 60, "eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4\neHh4\n"),
        (datetime(2026, 1, 2, 3, 4, 5, 6), "2026-01-02T03:04:05.000006"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
        (date(2026, 1, 2), "2026-01-02"),
        (pd.Timestamp("2026-01-02T03:04:05.5"), "2026-01-02T03:04:05.500000"),
        (pd.NaT, "NaT"),
        (Reply(), {"text": "hi", "score": 0.5}),
        ([Reply()], [{"text": "hi", "score": 0.5}]),
        (
            {"messages": [{"role": "assistant", "content": "é\n"}]},
            {"messages": [{"role": "assistant", "content": "é\n"}]},
        ),
    ],
)
def test_plain_values_are_written_as_json_values(value: Any, expected: Any) -> None:
    assert answer(Value(value)) == expected


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({1, 2}, "builtins.set"),
        (1j, "builtins.complex"),
        (decimal.Decimal(1), "decimal.Decimal"),
        (timedelta(1), "datetime.timedelta"),
        ((i for i in "ab"), "builtins.generator"),
        (object(), "builtins.object"),
        (pd.NA, "NAType"),
        (pd.DataFrame({"a": [1]}), "DataFrame inside"),
        (pd.Series([1]), "DataFrame inside"),
        (np.array([1j]), "complex"),
        ({(1, 2): 3}, "key"),
        (Point(1), "Point"),
    ],
)
@pytest.mark.parametrize("inside", [lambda v: v, lambda v: [v], lambda v: {"k": v}])
def test_what_json_has_no_form_for_names_its_type(value: Any, named: str, inside: Any) -> None:
    with pytest.raises(AnswerUnserializable, match=named):
        encode_answer(Value(inside(value)))


@pytest.mark.parametrize("value", [2**70, "\ud800", [2**70, {"k": ("\ud800", b"x", 0.5)}], {"a": 2**70, "b": True}])
def test_what_orjson_alone_refuses_is_written_all_the_same(value: Any) -> None:
    assert json.loads(encode_answer(Value(value)))["predictions"] == json.loads(json.dumps(value, default=_base64))


def test_what_is_not_finite_is_null_beside_such_values_too() -> None:
    given = {"big": 2**70, "none": float("inf"), "array": np.array([np.nan, 1.0])}
    assert json.loads(encode_answer(Value(given)))["predictions"] == {"big": 2**70, "none": None, "array": [None, 1.0]}


def _base64(value: bytes) -> str:
    return base64.encodebytes(value).decode()


def test_endless_answers_are_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(AnswerUnserializable):
        encode_answer(Value(loop))


def test_what_is_not_finite_may_be_written_as_mlflow_does() -> None:
    frame = pd.DataFrame({"x": [1.5, NAN], "s": ["a", None]})
    for value in (
        np.array([1.0, NAN, -INF], dtype=np.float32),
        {"a": np.array([INF])},
        frame,
        [NAN, {"k": (INF, 2**70)}],
    ):
        payload = from_python(value)
        words = encode_answer(payload, nan_words=True).decode()
        assert ("NaN" in words) or ("Infinity" in words)
        plain = words.replace("-Infinity", "null").replace("Infinity", "null").replace("NaN", "null")
        assert json.loads(plain) == json.loads(encode_answer(payload))
    assert encode_answer(Value(NAN), wrapped=False, nan_words=True) == b"NaN"


def test_unwrapped_answers_are_bare() -> None:
    assert encode_answer(Value({"a": 1}), wrapped=False) == b'{"a":1}'
    assert encode_answer(Tensors.single(np.array([1])), wrapped=False) == b"[1]"


def test_series_and_frames_are_written_as_row_objects() -> None:
    assert answer(from_python(pd.Series([1, 2]))) == [{"0": 1}, {"0": 2}]
    assert answer(from_python(pd.Series(["x", None], name="label"))) == [{"label": "x"}, {"label": None}]
    frame = pd.DataFrame({"a": [1, None], "b": ["x", "y"]})
    assert answer(from_python(frame)) == [{"a": 1.0, "b": "x"}, {"a": None, "b": "y"}]


@settings(max_examples=150, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from(["float64", "float32", "int64", "uint8", "bool", "<U3"]).map(np.dtype),
        hnp.array_shapes(max_dims=3, min_side=0, max_side=4),
    )
)
def test_any_array_reads_back_as_its_python_values(array: Any) -> None:
    if array.dtype.kind == "U" and any(not t.isprintable() for t in array.ravel()):
        array = np.full(array.shape, "x")
    expected = json.loads(json.dumps(array.tolist(), allow_nan=True), parse_constant=lambda _: None)
    assert answer(Tensors.single(array)) == expected


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(plain)
def test_any_plain_value_reads_back(value: Any) -> None:
    assert answer(Value(value)) == json.loads(json.dumps(value), parse_constant=lambda _: None)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint64", "float16", "float32", "float64", "<U3", "object"])
@pytest.mark.parametrize("shape", [(0,), (4,), (2, 2)])
def test_finite_arrays_read_the_same_with_words_and_in_a_file(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.array([0, 1, 1, 0][: int(np.prod(shape))]).astype(dtype).reshape(shape)
    for payload in (Tensors.single(array), Tensors.named({"a": array})):
        written = encode_answer(payload)
        assert encode_answer(payload, nan_words=True) == written
        assert answer_text(payload) == json.dumps(json.loads(written))
    assert answer_text(Tensors.single(np.array([NAN, 1.0])), wrapped=False) == "[NaN, 1.0]"


@pytest.mark.parametrize("rows", [16 * 1024, 16 * 1024 + 1, 40_000])
def test_many_rows_are_written_as_few_are(rows: int) -> None:
    table = Table.of(["n", "t"], [np.arange(rows), as_object_array([None, "é"] * (rows // 2) + [1.5] * (rows % 2))])
    expected = [{"n": n, "t": t} for n, t in zip(range(rows), table.column(1).tolist(), strict=True)]
    assert answer(table) == expected
    assert json.loads(encode_answer(table, wrapped=False)) == expected
