"""Payloads against signatures of arrays: names, shapes, dtypes, and cells in their places."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from penstock.payload import Table, Tensors, Value, as_object_array
from penstock.signature import conform
from signature.conforming import TENSOR, TEXT, TYPED, fits, tensor, wrong


def test_frames_fit_a_model_of_arrays() -> None:
    floats = tensor("float32", -1, 2)
    got = fits(Table(("a", "b"), block=np.array([[1.5, 2.5]])), floats)
    assert (got.names, got.arrays[0].dtype, got.arrays[0].tolist()) == (None, np.float32, [[1.5, 2.5]])
    mixed = Table.of(["a", "b"], [np.array([1, 2]), np.array([0.5, 1.5])])
    assert fits(mixed, floats).arrays[0].tolist() == [[1.0, 0.5], [2.0, 1.5]]
    lists = Table.of(["x"], [as_object_array([[1, 2], [3, 4]])])
    assert fits(lists, tensor("int64", -1, 2)).arrays[0].tolist() == [[1, 2], [3, 4]]
    text = Table.of(["a", "b"], [as_object_array(["1.5"]), as_object_array(["2"])])
    assert fits(text, floats, TEXT, side_by_side=True).arrays[0].tolist() == [[1.5, 2.0]]
    assert wrong(Table(("a",), block=np.zeros((1, 1))), floats) == ["single values cannot fill the shape [-1, 2]"]
    ragged = Table.of(["x"], [as_object_array([[1, 2], [3]])])
    assert wrong(ragged, floats)
    assert wrong(Table(("a", "b"), block=np.zeros((0, 2))), floats)
    three = Table(("a", "b", "c"), block=np.zeros((1, 3)))
    assert wrong(three, floats) == ["the model takes shape [-1, 2], but the input has 3 columns"]
    assert wrong(three, tensor("float32", -1, 3, name="x")) == ["missing arrays: 'x'"]


def test_frames_for_a_tensor_lose_no_digits_between_their_columns() -> None:
    large = 2**53 + 1
    whole = Table.of(["a", "b"], [np.array([large]), np.array([2.0])])
    assert fits(whole, tensor("int64", -1, 2)).arrays[0].tolist() == [[large, 2]]
    assert wrong(Table.of(["a", "b"], [np.array([1]), np.array([2.5])]), tensor("int64", -1, 2)) == [
        "row 0, column 'b': 2.5 is not a whole number (int64)"
    ]
    words = Table.of(["a", "b"], [np.array([1]), as_object_array(["x"])])
    assert fits(words, tensor("O", -1, 2)).arrays[0].tolist() == [[1, "x"]]


def test_named_tensors_are_found_by_name() -> None:
    schema = (*tensor("float64", -1, name="x"), *tensor("int64", -1, 2, name="y"))
    given = Tensors.named({"y": np.zeros((3, 2), int), "extra": np.zeros(9), "x": np.zeros(3)})
    got = fits(given, schema, TENSOR)
    assert got.names == ("x", "y")
    assert wrong(Tensors.named({"x": np.zeros(3)}), schema, TENSOR) == ["missing arrays: 'y'"]
    assert "2 named arrays ('x', 'y')" in wrong(Tensors.single(np.zeros(3)), schema, TENSOR)[0]
    frame = Table.of(["y", "x"], [np.array([1.0]), np.array([2.0])])
    assert "shape" in wrong(frame, schema)[0]


def test_an_array_without_a_name_fits_a_named_tensor_and_not_the_other_way_round() -> None:
    named, unnamed = tensor("float64", -1, name="x"), tensor("float64", -1)
    assert fits(Tensors.single(np.zeros(2)), named, TENSOR).names == ("x",)
    assert fits(Tensors.named({"x": np.zeros(2)}), named, TENSOR).names == ("x",)
    assert wrong(Tensors.named({"x": np.zeros(2)}), unnamed, TENSOR) == [
        "the model takes one array without a name, but the arrays of the input have names"
    ]
    assert wrong(Value(3), unnamed, TENSOR) == ["the model takes arrays, not 3"]


@pytest.mark.parametrize(
    ("shape", "fixed"),
    [((3, 4), (-1, 4)), ((3, 4), (-1, -1)), ((3, 4), (3, 4)), ((0, 4), (-1, 4)), ((), ()), ((2, 2, 2), (-1, 2, 2))],
)
def test_an_array_whose_shape_fits_is_passed_through(shape: tuple[int, ...], fixed: tuple[int, ...]) -> None:
    array = np.zeros(shape)
    assert fits(Tensors.single(array), tensor("float64", *fixed), TENSOR).arrays[0] is array


@pytest.mark.parametrize(
    ("shape", "fixed"), [((3, 5), (-1, 4)), ((4,), (-1, 4)), ((2, 4), (3, 4)), ((0,), (-1, 4)), ((1, 3, 4), (-1, 4))]
)
def test_an_array_whose_shape_does_not_fit_is_refused_with_both_shapes(
    shape: tuple[int, ...], fixed: tuple[int, ...]
) -> None:
    (said,) = wrong(Tensors.single(np.zeros(shape)), tensor("float64", *fixed, name="x"), TENSOR)
    assert said == f"column 'x': the model takes shape {list(fixed)}, but the input has {list(shape)}"


@pytest.mark.parametrize(
    ("given", "dtype", "expected"),
    [
        ([1, 2], "float32", [1.0, 2.0]),
        ([1.0, 2.0], "int64", [1, 2]),
        ([255], "uint8", [255]),
        ([2**64 - 1], "uint64", [2**64 - 1]),
        (["1", "2.5"], "float64", [1.0, 2.5]),
        (["7"], "int32", [7]),
        ([0, 1], "bool", [False, True]),
        (["false", "TRUE"], "bool", [False, True]),
        ([1, 2.5], "U", ["1.0", "2.5"]),
        ([1, 2], "O", [1, 2]),
        ([None, 1.5], "float64", [None, 1.5]),
        (["2026-01-02"], "datetime64[ns]", [1767312000000000000]),
        ([True, False], "int8", [1, 0]),
        ([1.5], "float16", [1.5]),
    ],
)
def test_elements_that_fit_are_cast(given: list[Any], dtype: str, expected: list[Any]) -> None:
    array = fits(Tensors.single(np.array(given)), tensor(dtype, -1), TENSOR).arrays[0]
    assert array.dtype.kind == np.dtype(dtype).kind
    got = [None if v != v else v for v in array.tolist()]
    assert got == expected
    assert list(map(type, got)) == list(map(type, expected))


@pytest.mark.parametrize(
    ("given", "dtype", "why"),
    [
        ([[1, 300]], "uint8", "row 0: 300 is out of range for uint8 at [0, 1]"),
        ([[1], [-1]], "uint64", "row 1: -1 is out of range for uint64 at [1, 0]"),
        ([[2.0**63]], "int64", "row 0: 9.223372036854776e+18 is out of range for int64 at [0, 0]"),
        ([[1.0], [2.5]], "int64", "row 1: 2.5 is not a whole number (int64) at [1, 0]"),
        ([[float("nan")]], "int32", "row 0: a missing value cannot be int32 at [0, 0]"),
        ([[1e39]], "float32", "row 0: 1e+39 is out of range for float32 at [0, 0]"),
        ([[1e6]], "float16", "row 0: 1000000.0 is out of range for float16 at [0, 0]"),
        ([["1e400"]], "float64", "row 0: '1e400' is out of range for float64 at [0, 0]"),
        ([["x"]], "float64", "row 0: 'x' is not a number (float64) at [0, 0]"),
        ([[5]], "bool", "row 0: 5 is not a boolean at [0, 0]"),
        ([["yes"]], "bool", "row 0: 'yes' is not a boolean at [0, 0]"),
        ([["a", None]], "U", "row 0: a missing value cannot be str at [0, 1]"),
        ([[True, None]], "bool", "row 0: a missing value cannot be bool at [0, 1]"),
        ([[1.5, "2"]], "int64", "row 0: 1.5 is not a whole number (int64) at [0, 0]"),
        ([["1e39", 1.5]], "float32", "row 0: '1e39' is out of range for float32 at [0, 0]"),
        ([["é"]], "S", "cannot be read as bytes"),
        ([["x"]], "complex128", "cannot be read as complex128"),
        ([["9999-01-01"]], "datetime64[ns]", "row 0: '9999-01-01' is out of range"),
    ],
)
def test_elements_that_do_not_fit_are_refused_with_their_place(given: list[Any], dtype: str, why: str) -> None:
    """None of them may be wrapped, truncated or read as something else, as numpy's own casts would."""
    cells = np.array(
        given, dtype=object if any(isinstance(c, (str, type(None))) for row in given for c in row) else None
    )
    (said, *_) = wrong(Tensors.single(cells), tensor(dtype, -1, -1), TENSOR)
    assert said.startswith(why)


def test_every_element_that_does_not_fit_is_named_up_to_the_limit() -> None:
    array = Tensors.single(np.array([[1, 300], [301, 2], [3, 302]]))
    schema = tensor("uint8", -1, 2)
    assert [v.row for v in conform(array, schema, TENSOR).violations] == [0, 1, 2]
    assert [v.row for v in conform(array, schema, TENSOR, limit=2).violations] == [0, 1]


def test_typed_arrays_must_have_the_very_dtype() -> None:
    assert wrong(Tensors.single(np.zeros(2)), tensor("float32", -1), TYPED) == [
        "the model takes float32, but the input is float64"
    ]
    words = np.array(["a", "bcd"])
    assert fits(Tensors.single(words), tensor("U", -1), TYPED).arrays[0] is words


# together
