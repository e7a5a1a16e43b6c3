"""Values of Python as JSON text."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given

from model_process.payload_strategies import same, values
from penstock.errors import AnswerUnserializable
from penstock.model_process.protocol.json_values import pack, unpack


@given(values)
def test_every_value_comes_back_as_it_was(value: Any) -> None:
    assert same(unpack(pack(value)), value)


def test_numbers_of_thousands_of_digits_come_back() -> None:
    assert unpack(pack([-(10**5000)])) == [-(10**5000)]


class Colour(Enum):
    RED = "red"


class Point(NamedTuple):
    x: int
    y: int


class Celsius(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "back"),
    [
        (Colour.RED, "red"),
        (Point(1, 2), [1, 2]),
        (Celsius("warm"), "warm"),
        ({Colour.RED: 1}, {"red": 1}),
        (bytearray(b"x"), b"x"),
        ("\ud800", "\ud800"),
        (2**70, 2**70),
    ],
)
def test_other_classes_become_plain_values(value: Any, back: Any) -> None:
    assert unpack(pack(value)) == back


def test_moments_of_pandas_come_back_also_without_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = [pd.Timestamp("2024-02-03 04:05:06.123456789", tz="UTC"), pd.Timestamp("2024-02-03"), pd.NaT]
    text = pack(moments)
    assert unpack(text)[:2] == moments[:2]
    assert unpack(text)[2] is pd.NaT
    monkeypatch.delitem(sys.modules, "pandas")  # a gateway that never had a reason to import it
    assert unpack(text) == ["2024-02-03T04:05:06.123456789+00:00", datetime(2024, 2, 3), "NaT"]


@pytest.mark.parametrize(
    "tagged",
    [
        {"$": "code", "v": "1"},
        {"$": ["int"], "v": "1"},
        {"$": "int"},
        {"$": "int", "v": 5},
        {"$": "int", "v": "zz"},
        {"$": "float", "v": []},
        {"$": "bytes", "v": "%%"},
        {"$": "dict", "v": [[[], 1]]},
        {"$": "dict", "v": [1]},
        {"$": "datetime", "v": "yesterday"},
        {"$": "timedelta", "v": [1e400, 0, 0]},
        {"$": "timedelta", "v": [10**12]},
        {"$": "decimal", "v": "x"},
        {"$": "uuid", "v": "x"},
        {"$": "scalar", "v": ["|O", "00"]},
        {"$": "scalar", "v": ["<f8", "00"]},
        {"$": "scalar", "v": ["<U0", ""]},
        {"$": "array", "v": ["<f8", [1000000000000], ""]},
        {"$": "array", "v": ["<f8", ["x"], "AAAAAAAAAAA="]},
        {"$": "array", "v": ["O", [7], [1]]},
    ],
)
def test_what_pack_never_writes_is_refused(tagged: Any) -> None:
    with pytest.raises(ValueError):
        unpack(json.dumps(tagged).encode())


def test_depth_is_an_error() -> None:
    with pytest.raises(ValueError):
        unpack(b"[" * 200_000 + b"]" * 200_000)


def test_a_value_that_holds_itself_is_refused() -> None:
    ring: list[Any] = [1]
    ring.append({"again": ring})
    with pytest.raises(AnswerUnserializable, match="holds itself"):
        pack(ring)
    shared = [1, 2]
    assert unpack(pack([shared, shared])) == [[1, 2], [1, 2]]


def test_arrays_inside_values_keep_their_dtype() -> None:
    back = unpack(pack({"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([None, "x"], dtype=object)}))
    assert back["a"].dtype == np.float32
    assert back["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert back["b"].tolist() == [None, "x"]
