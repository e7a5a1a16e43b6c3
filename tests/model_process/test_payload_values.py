"""Payloads between processes: they come back as they were, and what lies about itself is refused."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_process.payload_strategies import payloads, same_payload
from penstock.errors import AnswerUnserializable
from penstock.model_process.protocol.payload_values import decode, encode
from penstock.model_process.protocol.payload_weight import reads_long, takes_long
from penstock.payload import TEXT, PackedValue, Table, Tensors, Value, as_object_array


def _body(pieces: list[Any]) -> bytearray:
    return bytearray(b"".join(pieces))


@given(payloads)
def test_every_payload_comes_back_as_it_was(payload: Any) -> None:
    plan, pieces = encode(payload)
    assert same_payload(decode(plan, _body(pieces)), payload)


@given(payloads)
def test_pieces_with_rests_say_the_same(payload: Any) -> None:
    plan, pieces = encode(payload, rest=lambda: None)
    assert same_payload(decode(plan, _body(pieces)), payload)


@pytest.mark.parametrize("kind", [object, TEXT])
def test_a_piece_is_no_longer_than_a_moments_work(kind: Any) -> None:
    cells = ["x" * 100_000, "y"] * 30 + ["z"] * 9000
    rests: list[int] = []
    plan, pieces = encode(Tensors.single(np.array(cells, dtype=kind)), rest=lambda: rests.append(1))
    assert max(map(len, pieces)) < 450_000
    assert len(rests) == len(pieces) - (len(pieces[-1]) < 16)
    back = decode(plan, _body(pieces))
    assert isinstance(back, Tensors)
    assert back.arrays[0].tolist() == cells


def test_a_large_value_is_handed_on_unread() -> None:
    for value in ({"a": ["x" * 100_000, {"$": 1}]}, ["y"] * 50_000):
        plan, pieces = encode(Value(value))
        handed = decode(plan, _body(pieces), packed=True)
        assert isinstance(handed, PackedValue)
        assert encode(handed)[0] == plan
        assert _body(encode(handed)[1]) == _body(pieces)
        assert handed.value == value
    small = decode(*_small(Value([1])), packed=True)
    assert not isinstance(small, PackedValue)
    plan, pieces = encode(Value(pd.DataFrame({"a": [1, "x"] * 50_000}, index=[7] * 100_000)), question=True)
    frame = decode(plan, _body(pieces), question=True, packed=True)
    assert isinstance(frame, PackedValue)
    assert len(frame.value) == 100_000
    with pytest.raises(ValueError, match="a frame for an answer"):
        decode(plan, _body(pieces), packed=True)


def _small(payload: Any) -> tuple[bytes, bytearray]:
    plan, pieces = encode(payload)
    return plan, _body(pieces)


@pytest.mark.parametrize(
    ("payload", "long"),
    [
        (Table(None, block=np.zeros((100_000, 4))), False),
        (Tensors.single(as_object_array(["x"] * 10)), False),
        (Tensors.single(as_object_array(["x"] * 5000)), True),
        (Tensors.single(np.array(["x" * 70_000], TEXT)), True),
        (Tensors.single(as_object_array([[{"a": "x" * 70_000}]])), True),
        (Table(("a", "b"), columns=(np.zeros(2), as_object_array(["y", "x" * 70_000]))), True),
    ],
)
def test_what_an_event_loop_has_no_time_to_encode(payload: Any, long: bool) -> None:
    assert takes_long(payload) is long
    plan, body = _small(payload)
    assert reads_long(plan, body) is (long and len(body) > 64 * 1024)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": [1.5, 2.5], "b": ["x", None]}, index=[3, 3]),
        pd.DataFrame([[1, "a"]], columns=["x", "x"]),
        pd.DataFrame({"a": [[1, {"k": None}], "s"]}, index=["r", "s"]),
        pd.DataFrame({0: [1], "a": [True]}),
        pd.DataFrame(),
        pd.DataFrame(index=[1, 2]),
        pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": pd.Categorical(["u", "v"], ordered=True)}),
        pd.DataFrame(
            {"t": pd.date_range("2024-01-01", periods=2, tz="UTC"), "u": pd.to_datetime(["2024-01-01", None])}
        ),
        pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2024-01-01", periods=2)),
        pd.DataFrame({"a": [np.nan, 2]}, index=pd.RangeIndex(4, 8, 2)),
    ],
)
def test_frames_that_no_table_holds_exactly_come_back_as_they_were(frame: pd.DataFrame) -> None:
    plan, pieces = encode(Value(frame), question=True)
    back = decode(plan, _body(pieces), question=True)
    assert isinstance(back, Value)
    pd.testing.assert_frame_equal(back.value, frame, check_freq=False)
    with pytest.raises(ValueError, match="a frame for an answer"):
        decode(plan, _body(pieces))


def test_arrays_are_the_bytes_that_came_and_may_be_written_to() -> None:
    plan, pieces = encode(Table(("a", "b"), block=np.arange(6.0).reshape(3, 2), index=np.arange(3)))
    body = _body(pieces)
    table = decode(plan, body)
    assert isinstance(table, Table)
    assert table.block is not None
    table.block[0, 0] = 7.0
    assert np.frombuffer(body, dtype=np.float64, count=1)[0] == 7.0


def test_what_holds_pointers_goes_as_values() -> None:
    records = np.array([(1, "x")], dtype=[("a", "i4"), ("b", "O")])
    plan, pieces = encode(Tensors.single(records))
    assert json.loads(plan)["arrays"][0][0] == "objects"
    answer = decode(plan, _body(pieces))
    assert isinstance(answer, Tensors)
    assert answer.arrays[0].tolist() == [(1, "x")]


def test_a_value_without_a_form_is_refused() -> None:
    with pytest.raises(AnswerUnserializable, match=r"builtins\.object"):
        encode(Value([object()]))
    ring: list[Any] = []
    ring.append(ring)
    with pytest.raises(AnswerUnserializable, match="nested too deeply"):
        encode(Value(ring))


GOOD: dict[str, Any] = {"kind": "block", "names": ["a", "b"], "indexed": False, "arrays": [["raw", "<f8", [3, 2], 48]]}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"kind": "pickle"}, "kind"),
        ({"kind": ["block"]}, "kind"),
        ({"names": ["a"]}, "names"),
        ({"names": [["a"], "b"]}, "names"),
        ({"names": "ab"}, "names"),
        ({"indexed": True}, "block"),
        ({"indexed": 1}, "kind"),
        ({"arrays": []}, "block"),
        ({"arrays": [["raw", "|O", [3, 2], 48]]}, "dtype"),
        ({"arrays": [["raw", ["<f8"], [3, 2], 48]]}, "invalid payload plan"),
        ({"arrays": [["raw", "<f8,<f8", [3, 1], 48]]}, "dtype"),
        ({"arrays": [["raw", "<V8", [3, 2], 48]]}, "dtype"),
        ({"arrays": [["raw", "<f8", [3, 3], 48]]}, "does not match its shape"),
        ({"arrays": [["raw", "<f8", [-3, -2], 48]]}, "shape"),
        ({"arrays": [["raw", "<f8", [True, 6], 48]]}, "shape"),
        ({"arrays": [["raw", "<f8", [1 << 62, 0], 48]]}, "shape"),
        ({"arrays": [["raw", "<f8", [1] * 65, 8]]}, "shape"),
        ({"arrays": [["raw", "<f8", [6], 48]]}, "block"),
        ({"arrays": [["raw", "<f8", [3, 2], 48], ["raw", "<f8", [3, 2], 48]]}, "block"),
        ({"arrays": [["code", "<f8", [3, 2], 48]]}, "form"),
        ({"arrays": [["raw", "<f8", [300, 2], 4800]]}, "a body of"),
        ({"kind": "columns"}, "axes"),
        ({"kind": "value", "names": None}, "value"),
        ({"kind": "tensors", "names": ["a", "b"]}, "names"),
        ({"kind": "tensors", "names": None, "arrays": []}, "without names"),
        (
            {"kind": "columns", "arrays": [["raw", "<f8", [3], 24], ["raw", "<f8", [2], 16]]},
            "different lengths",
        ),
    ],
)
def test_plans_that_lie_are_refused(change: dict[str, Any], why: str) -> None:
    plan = json.dumps({**GOOD, **change}).encode()
    with pytest.raises(ValueError, match=why):
        decode(plan, bytearray(48))


@pytest.mark.parametrize("plan", [b"", b"[]", b"{}", b"null", b"\xff", b"[" * 100_000, b'{"kind": "block"}'])
def test_bytes_that_are_no_plan_are_refused(plan: bytes) -> None:
    with pytest.raises(ValueError):
        decode(plan, bytearray())


def test_cells_are_counted_and_text_is_text() -> None:
    plan, pieces = encode(Table(("a",), columns=(as_object_array(["x", "y"]),)))
    text = bytes(_body(pieces))
    short = plan.replace(b"[2]", b"[3]")
    with pytest.raises(ValueError, match="number of cells"):
        decode(short, bytearray(text))
    as_text = plan.replace(b"objects", b"text")
    with pytest.raises(ValueError, match="other values"):
        decode(as_text, bytearray(text.replace(b'"x"', b"123")))


@given(payloads, st.data())
def test_damage_is_an_error_or_another_payload_and_nothing_else(payload: Any, data: st.DataObject) -> None:
    plan, pieces = encode(payload)
    whole = bytearray(plan) + _body(pieces)
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ValueError):
        decode(bytes(whole[: len(plan)]), whole[len(plan) :])
