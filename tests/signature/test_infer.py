"""Signatures guessed from examples, by MLflow's rules."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from penstock.errors import PackagingFailed
from penstock.payload import Payload, Table, Tensors, Value, as_object_array
from penstock.signature import (
    AnyValue,
    ArrayOf,
    Casting,
    Field,
    ObjectOf,
    Param,
    Property,
    Scalar,
    Signature,
    TensorField,
    conform,
    infer_signature,
)


def column(*cells: Any) -> Field:
    (field,) = infer_signature(Table.of(["a"], [as_object_array(cells)])).inputs or ()
    assert isinstance(field, Field)
    return field


@pytest.mark.parametrize(
    ("dtype", "scalar"),
    [
        ("bool", Scalar.BOOLEAN),
        ("int8", Scalar.INTEGER),
        ("int16", Scalar.INTEGER),
        ("int32", Scalar.INTEGER),
        ("uint8", Scalar.INTEGER),
        ("uint16", Scalar.INTEGER),
        ("uint32", Scalar.LONG),
        ("int64", Scalar.LONG),
        ("float16", Scalar.FLOAT),
        ("float32", Scalar.FLOAT),
        ("float64", Scalar.DOUBLE),
        ("U3", Scalar.STRING),
        ("S3", Scalar.BINARY),
        ("datetime64[s]", Scalar.DATETIME),
    ],
)
def test_types_of_arrays_follow_the_dtype(dtype: str, scalar: Scalar) -> None:
    array = np.zeros(2, dtype=dtype)
    assert infer_signature(Table.of(["a"], [array])).inputs == (Field("a", scalar),)


@pytest.mark.parametrize("dtype", ["complex128", "uint64", "timedelta64[s]"])
def test_dtypes_that_no_type_covers_are_refused(dtype: str) -> None:
    with pytest.raises(PackagingFailed, match=r"Column 'a' .* dtype"):
        infer_signature(Table.of(["a"], [np.zeros(2, dtype=dtype)]))


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([True, False], Field("a", Scalar.BOOLEAN)),
        ([1, 2], Field("a", Scalar.LONG)),
        ([1, 2.5], Field("a", Scalar.DOUBLE)),
        (["x", "y"], Field("a", Scalar.STRING)),
        (["x", None], Field("a", Scalar.STRING, required=False)),
        (["x", float("nan")], Field("a", Scalar.STRING, required=False)),
        ([b"x"], Field("a", Scalar.BINARY)),
        ([datetime(2026, 1, 2)], Field("a", Scalar.DATETIME)),
        ([date(2026, 1, 2)], Field("a", Scalar.DATETIME)),
        ([np.int32(1), np.int64(2)], Field("a", Scalar.LONG)),
        ([np.bool_(True)], Field("a", Scalar.BOOLEAN)),
        ([[1, 2], [3]], Field("a", ArrayOf(Scalar.LONG))),
        ([np.array([1.5])], Field("a", ArrayOf(Scalar.DOUBLE))),
        ([[]], Field("a", ArrayOf(AnyValue()))),
        ([[["x"]]], Field("a", ArrayOf(ArrayOf(Scalar.STRING)))),
        ([1, "x"], Field("a", AnyValue())),
        ([{"k": 1}], Field("a", ObjectOf((Property("k", Scalar.LONG),)))),
        (
            [{"k": 1, "o": "x"}, {"k": 2.5}],
            Field("a", ObjectOf((Property("k", Scalar.DOUBLE), Property("o", Scalar.STRING, required=False)))),
        ),
    ],
)
def test_types_of_object_columns_follow_the_cells(cells: list[Any], expected: Field) -> None:
    assert column(*cells) == expected


@pytest.mark.parametrize("cells", [[None], [None, float("nan")], []])
def test_a_column_without_values_has_no_type(cells: list[Any]) -> None:
    with pytest.raises(PackagingFailed, match="only missing values"):
        column(*cells)


def test_cells_of_foreign_classes_are_refused() -> None:
    with pytest.raises(PackagingFailed, match="no signature type covers"):
        column(object())


def test_unnamed_and_numbered_columns_stay_so() -> None:
    block = np.zeros((1, 2))
    assert [f.name for f in infer_signature(Table(None, block=block)).inputs or ()] == [None, None]
    assert [f.name for f in infer_signature(Table((0, 1), block=block)).inputs or ()] == [0, 1]


def test_tensors_keep_dtype_and_trailing_shape() -> None:
    assert infer_signature(Tensors.single(np.zeros((5, 2, 3), np.float32))).inputs == (
        TensorField(None, np.dtype("float32"), (-1, 2, 3)),
    )
    assert infer_signature(Tensors.named({"a": np.zeros(3), "b": np.array(1)})).inputs == (
        TensorField("a", np.dtype("float64"), (-1,)),
        TensorField("b", np.dtype("int64"), ()),
    )


def test_the_width_of_text_is_not_part_of_the_type() -> None:
    signature = infer_signature(Tensors.single(np.array(["abc"])))
    assert signature.inputs == (TensorField(None, np.dtype("U"), (-1,)),)
    assert Signature.from_mlflow(signature.to_mlflow()) == signature


def test_values_that_are_lists_have_one_unnamed_column() -> None:
    assert infer_signature(Value([1, 2])).inputs == (Field(None, Scalar.LONG),)
    assert infer_signature(Value([[1.5], [2.5]])).inputs == (Field(None, ArrayOf(Scalar.DOUBLE)),)
    assert infer_signature(Value({"messages": []})).inputs is None
    assert infer_signature(Value([])).inputs is None


def test_outputs_that_no_type_covers_are_left_out() -> None:
    rows = Tensors.single(np.zeros(1))
    assert infer_signature(rows, Value("text")).outputs is None
    assert infer_signature(rows, Table.of(["gone"], [as_object_array([None])])).outputs is None
    assert infer_signature(rows, Tensors.single(np.zeros(1))).outputs is not None


def test_params_have_type_default_and_shape() -> None:
    params = infer_signature(Value(1), None, {"t": 0.5, "k": 3, "on": True, "s": "x", "l": [1, 2], "e": []}).params
    assert params == (
        Param("t", Scalar.DOUBLE, 0.5),
        Param("k", Scalar.LONG, 3),
        Param("on", Scalar.BOOLEAN, True),
        Param("s", Scalar.STRING, "x"),
        Param("l", Scalar.LONG, [1, 2], (-1,)),
        Param("e", Scalar.STRING, [], (-1,)),
    )


cells = st.sampled_from(
    [
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False),
        st.booleans(),
        st.text(max_size=3),
        st.lists(st.integers(-9, 9), max_size=3),
        st.fixed_dictionaries({"k": st.text(max_size=2)}, optional={"o": st.booleans()}),
    ]
)
payloads = (
    cells.flatmap(lambda c: st.lists(c, min_size=1, max_size=5)).map(lambda c: Table.of(["a"], [as_object_array(c)]))
    | hnp.arrays(st.sampled_from(["float32", "int64", "bool", "datetime64[ns]"]).map(np.dtype), (3, 2)).map(
        Tensors.single
    )
    | hnp.arrays(st.sampled_from(["float64", "int32", "bool"]).map(np.dtype), (3, 2)).map(
        lambda b: Table(("a", "b"), b)
    )
)


@settings(max_examples=150, deadline=None)
@given(payloads)
def test_an_example_fits_its_own_signature_unchanged(payload: Payload) -> None:
    conformed = conform(payload, infer_signature(payload).inputs, Casting.FRAME)
    assert conformed.violations == ()
    before = [payload] if isinstance(payload, Tensors) else payload
    after = conformed.payload
    if isinstance(before, Table):
        assert isinstance(after, Table)
        assert repr(after.column(0).tolist()) == repr(before.column(0).tolist()) or after.column(0).tolist() == list(
            before.column(0)
        )
    else:
        assert isinstance(after, Tensors)
        assert after.arrays[0] is payload.arrays[0]  # type: ignore[union-attr]


def test_whole_numbers_beside_gaps_are_floats() -> None:
    assert column(1, None, 3) == Field("a", Scalar.DOUBLE, required=False)
    assert column(True, None) == Field("a", Scalar.BOOLEAN, required=False)
    assert column(1, 3) == Field("a", Scalar.LONG)
