"""Whole payloads against schemas: order, gaps and extras, containers, shapes; and violations that say where."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import SchemaViolation
from penstock.payload import Payload, Table, Tensors, Value, as_object_array
from penstock.signature import ArrayOf, Casting, Field, Scalar, Schema, TensorField, conform

FRAME, TENSOR, TEXT, TYPED = Casting.FRAME, Casting.TENSOR, Casting.TEXT, Casting.TYPED
AB = (Field("a", Scalar.DOUBLE), Field("b", Scalar.LONG))


def table(**columns: list[Any]) -> Table:
    return Table.of(list(columns), [as_object_array(cells) for cells in columns.values()])


def fits(payload: Payload, schema: Schema | None, casting: Casting = FRAME, **more: Any) -> Any:
    result = conform(payload, schema, casting, **more)
    assert result.violations == ()
    return result.payload


def wrong(payload: Payload, schema: Schema, casting: Casting = FRAME, **more: Any) -> list[str]:
    violations = conform(payload, schema, casting, **more).violations
    assert violations
    return [str(v) for v in violations]


def tensor(dtype: str, *shape: int, name: str | None = None) -> tuple[TensorField, ...]:
    return (TensorField(name, np.dtype(dtype), shape),)


# columns


def test_columns_are_put_in_order_and_extra_ones_dropped() -> None:
    got = fits(table(x=["?"], b=[1], a=[2.0]), AB)
    assert got.names == ("a", "b")
    assert [c.tolist() for c in got.iter_columns()] == [[2.0], [1]]
    assert [c.dtype for c in got.iter_columns()] == [np.float64, np.int64]


def test_columns_of_one_type_come_out_as_one_block() -> None:
    got = fits(table(b=[1, 2], a=[3.5, 4]), (Field("a", Scalar.DOUBLE), Field("b", Scalar.DOUBLE)))
    assert got.block.tolist() == [[3.5, 1.0], [4.0, 2.0]]


@pytest.mark.parametrize("schema", [None, ()])
def test_without_a_schema_everything_fits(schema: Schema | None) -> None:
    for payload in (table(a=[1]), Tensors.single(np.zeros(2)), Value("x")):
        assert fits(payload, schema) is payload


def test_a_block_that_fits_is_passed_through_untouched() -> None:
    payload = Table(("a", "b"), block=np.zeros((3, 2)))
    doubles = (Field("a", Scalar.DOUBLE), Field("b", Scalar.DOUBLE))
    for casting in Casting:
        assert fits(payload, doubles, casting) is payload
    assert fits(payload, doubles[::-1]).names == ("b", "a")


def test_missing_required_columns_are_named() -> None:
    assert wrong(table(x=[1], y=[2], a=[1.0]), AB) == [
        "missing columns: 'b'; there are columns that the model does not know: 'x', 'y'"
    ]
    assert wrong(table(a=[1.0]), AB) == ["missing columns: 'b'"]
    many = tuple(Field(f"c{i}", Scalar.LONG) for i in range(30))
    (said,) = wrong(table(a=[1]), many)
    assert "'c7' and 22 more" in said


def test_an_optional_column_may_be_absent_or_null() -> None:
    schema = (Field("a", Scalar.DOUBLE), Field("o", Scalar.LONG, required=False))
    assert fits(table(a=[1.0]), schema).names == ("a",)
    got = fits(table(a=[1.0, 2.0], o=[None, None]), schema)
    assert got.names == ("a", "o")
    assert got.column(1).tolist() == [None, None]
    assert wrong(table(a=[1.0, 2.0], o=[1, None]), schema) == ["row 1, column 'o': a missing value cannot be long"]


def test_an_optional_column_of_lists_may_have_gaps() -> None:
    schema = (Field("l", ArrayOf(Scalar.LONG), required=False),)
    assert fits(table(l=[[1], None]), schema).column(0).tolist() == [[1], None]
    required = (Field("l", ArrayOf(Scalar.LONG)),)
    assert wrong(table(l=[[1], None]), required) == ["row 1, column 'l': None is not a list"]


def test_violations_name_row_and_column_in_the_order_of_rows() -> None:
    payload = table(a=[1.0, "x", 2.0, "y"], b=[0.5, 1, 2, 3])
    assert wrong(payload, AB) == [
        "row 0, column 'b': 0.5 is not a whole number (long)",
        "row 1, column 'a': 'x' is not a number (double)",
        "row 3, column 'a': 'y' is not a number (double)",
    ]
    assert len(wrong(payload, AB, limit=1)) == 2  # one a column
    result = conform(payload, AB, FRAME)
    assert result.payload is payload
    assert all(v.at_parse for v in result.violations)
    assert not conform(table(x=[1]), AB, FRAME).violations[0].at_parse
    message = str(SchemaViolation(conform(table(a=["x"] * 9, b=[1] * 9), AB, FRAME).violations))
    assert "row 0, column 'a'" in message
    assert "and 4 more" in message


def test_the_callers_data_is_never_echoed_whole() -> None:
    (said,) = wrong(table(a=["secret " * 1000], b=[1]), AB)
    assert len(said) < 150


def test_a_column_that_occurs_twice_is_refused_if_the_model_takes_it() -> None:
    column = np.array([1.0])
    twice = Table.of(["a", "a", "b"], [column, column, column])
    assert wrong(twice, AB) == ["columns that occur more than once: 'a'"]
    unused = Table.of(["x", "x", "a", "b"], [column] * 4)
    assert fits(unused, AB).names == ("a", "b")


def test_unnamed_columns_are_counted() -> None:
    schema = (Field(None, Scalar.DOUBLE), Field(None, Scalar.LONG))
    got = fits(Table.of(None, [np.array([1]), np.array([2]), np.array([3])]), schema)
    assert got.names is None
    assert [c.tolist() for c in got.iter_columns()] == [[1.0], [2]]
    assert fits(table(p=[1.0], q=[2]), schema).names is None
    assert wrong(Table.of(None, [np.array([1])]), schema) == ["the model takes 2 columns, but the input has 1"]
    assert wrong(Table.of(None, [np.array([1.0]), np.array([1.5])]), schema) == [
        "row 0, column 1: 1.5 is not a whole number (long)"
    ]


def test_numbered_columns_match_columns_without_names() -> None:
    schema = (Field(0, Scalar.DOUBLE), Field(1, Scalar.DOUBLE))
    for payload in (
        Table(None, block=np.array([[1, 2], [3, 4]])),
        Table((0, 1), block=np.array([[1, 2], [3, 4]])),
        Tensors.single(np.array([[1, 2], [3, 4]])),
    ):
        got = fits(payload, schema)
        assert got.names == (0, 1)
        assert got.block.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert "missing columns: 1" in wrong(Table(None, block=np.zeros((2, 1))), schema)[0]
    assert "missing columns: 0, 1" in wrong(table(**{"0": [1], "1": [2]}), schema)[0]


def test_named_columns_need_names() -> None:
    assert wrong(Table(None, block=np.zeros((1, 2))), AB) == [
        "the model takes named columns ('a', 'b'), but the input has no names"
    ]
    assert wrong(Tensors.single(np.zeros((1, 2))), AB, TENSOR) == [
        "the model takes named columns ('a', 'b'), but the input has no names"
    ]


def test_the_index_is_kept() -> None:
    payload = Table.of(["b", "a"], [np.array([1]), np.array([2])], index=np.array(["r"], dtype=object))
    assert fits(payload, AB).index.tolist() == ["r"]


# other containers for columns


def test_a_bare_list_is_the_only_column() -> None:
    got = fits(Tensors.single(np.array([1, 2])), (Field("a", Scalar.DOUBLE),), TENSOR)
    assert (got.names, got.block.tolist()) == (("a",), [[1.0], [2.0]])
    assert fits(Tensors.single(np.array([[1], [2]])), (Field("a", Scalar.DOUBLE),), TENSOR).rows == 2
    assert fits(Value([1, 2]), (Field(None, Scalar.LONG),)).block.tolist() == [[1], [2]]


def test_rows_fit_one_column_of_lists() -> None:
    schema = (Field(None, ArrayOf(Scalar.DOUBLE)),)
    expected = [[1.0, 2.0], [3.0, 4.0]]
    assert fits(Tensors.single(np.array(expected)), schema, TENSOR).column(0).tolist() == expected
    assert fits(Tensors.single(np.array([[1.0], [2.0]])), schema, TENSOR).column(0).tolist() == [[1.0], [2.0]]
    assert fits(Value(expected), schema).column(0).tolist() == expected


def test_named_arrays_are_columns() -> None:
    got = fits(Tensors.named({"b": np.array([1, 2]), "a": np.array([1.0, 2.0])}), AB, TENSOR)
    assert got.names == ("a", "b")
    ragged = Tensors.named({"b": np.array([1]), "a": np.array([1.0, 2.0])})
    assert wrong(ragged, AB, TENSOR) == ["the columns have different lengths (b: 1, a: 2)"]
    nested = (Field("a", ArrayOf(Scalar.LONG)),)
    assert fits(Tensors.named({"a": np.array([[1, 2]])}), nested, TENSOR).column(0).tolist() == [[1, 2]]


@pytest.mark.parametrize("value", ["text", 5, None, {"a": 1}, [1, 2]])
def test_other_values_are_no_columns(value: Any) -> None:
    (said,) = wrong(Value(value), AB)
    assert said.startswith("the model takes columns, not ")


def test_arrays_of_the_wrong_width_or_rank_are_refused() -> None:
    schema = (Field(None, Scalar.DOUBLE),) * 3
    assert "takes 3 columns, but the input has 2" in wrong(Tensors.single(np.zeros((1, 2))), schema, TENSOR)[0]
    assert "shape [2, 2, 2]" in wrong(Tensors.single(np.zeros((2, 2, 2))), schema, TENSOR)[0]
    assert "shape []" in wrong(Tensors.single(np.array(1.0)), schema, TENSOR)[0]


# tensors


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
        "row 0, column 'b': 2.5 is not a whole number (int64) at [0]"
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
        "the model takes one array without a name, but the input has names"
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

names = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=5, unique=True)


@settings(max_examples=100, deadline=None)
@given(names, st.randoms(use_true_random=False), st.integers(0, 4))
def test_any_order_of_any_columns_conforms_to_the_same(wanted: list[str], random: Any, rows: int) -> None:
    schema = tuple(Field(name, Scalar.DOUBLE if name < "d" else Scalar.STRING) for name in wanted)
    cells = {n: [float(i) if n < "d" else f"{n}{i}" for i in range(rows)] for n in [*wanted, "x", "y"]}
    order = list(cells)
    random.shuffle(order)
    got = fits(table(**{n: cells[n] for n in order}), schema)
    assert got.names == tuple(wanted)
    assert [c.tolist() for c in got.iter_columns()] == [cells[n] for n in wanted]
    again = fits(got, schema)
    assert [c.tolist() for c in again.iter_columns()] == [cells[n] for n in wanted]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3), lambda i: st.lists(i, max_size=3)
)
given_schemas: st.SearchStrategy[Any] = st.sampled_from(
    [
        AB,
        (Field(None, Scalar.DOUBLE),),
        (Field("l", ArrayOf(Scalar.DOUBLE), required=False),),
        tensor("float32", -1, 2),
        tensor("int64", -1),
        tensor("U", -1),
        tensor("bool", -1, 1),
        (*tensor("float32", -1, name="x"), *tensor("int64", -1, name="y")),
    ]
)


@settings(max_examples=200, deadline=None)
@given(given_schemas, st.sampled_from(list(Casting)), st.lists(anything, max_size=4), st.sampled_from("tuvn"))
def test_conform_never_raises(schema: Any, casting: Casting, cells: list[Any], form: str) -> None:
    column = as_object_array(cells)
    payloads: dict[str, Payload] = {
        "t": Table.of(["a", "b"], [column, column]),
        "u": Table.of(None, [column]),
        "v": Value(cells),
        "n": Tensors.named({"x": column, "y": column}),
    }
    payload = payloads[form]
    result = conform(payload, schema, casting)
    rows = getattr(payload, "rows", None) or len(cells)
    assert all(v.row is None or 0 <= v.row < max(rows, 1) for v in result.violations)
