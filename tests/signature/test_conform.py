"""Whole payloads against schemas of columns: order, gaps and extras, containers; and violations that say where."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import SchemaViolation
from penstock.payload import TEXT, Payload, Table, Tensors, Value, as_object_array
from penstock.signature import ArrayOf, Casting, Field, Scalar, Schema, Type, conform
from signature.conforming import AB, FRAME, TENSOR, fits, table, tensor, wrong

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
    assert wrong(table(x=[1], y=[2], a=[1.0]), AB) == ["missing columns: 'b'; unknown columns: 'x', 'y'"]
    assert wrong(table(a=[1.0]), AB) == ["missing columns: 'b'"]
    many = tuple(Field(f"c{i}", Scalar.LONG) for i in range(30))
    (said,) = wrong(table(a=[1]), many)
    assert "'c7' and 22 more" in said


def test_an_optional_column_may_be_absent_or_null() -> None:
    schema = (Field("a", Scalar.DOUBLE), Field("o", Scalar.LONG, required=False))
    got = fits(table(a=[1.0, 2.0], o=[None, None]), schema)
    assert got.names == ("a", "o")
    assert got.column(1).tolist() == [None, None]
    assert wrong(table(a=[1.0, 2.0], o=[1, None]), schema) == ["row 1, column 'o': a missing value cannot be long"]


@pytest.mark.parametrize(
    ("type_", "dtype"),
    [
        (Scalar.DOUBLE, "float64"),
        (Scalar.FLOAT, "float32"),
        (Scalar.LONG, "float64"),
        (Scalar.DATETIME, "datetime64[ns]"),
        (Scalar.STRING, TEXT),
        (Scalar.BOOLEAN, "object"),
        (Scalar.BINARY, "object"),
        (ArrayOf(Scalar.LONG), "object"),
    ],
)
def test_an_optional_column_that_is_left_out_is_all_gaps(type_: Type, dtype: Any) -> None:
    schema = (Field("a", Scalar.DOUBLE), Field("o", type_, required=False), Field("z", Scalar.DOUBLE))
    got = fits(table(a=[1.0, 2.0], z=[3.0, 4.0]), schema)
    assert got.names == ("a", "o", "z")
    assert got.column(1).dtype == np.dtype(dtype)
    assert all(cell is None or cell != cell for cell in got.column(1))
    as_mlflow = conform(table(a=[1.0, 2.0], z=[3.0, 4.0]), schema, FRAME, fill_gaps=False).payload
    assert isinstance(as_mlflow, Table)
    assert as_mlflow.names == ("a", "z")


def test_an_optional_column_of_texts_is_gaps_of_one_kind_alone_and_beside_others() -> None:
    schema = (Field("a", Scalar.DOUBLE), Field("o", Scalar.STRING, required=False))
    assert fits(table(a=[1.0], o=[None]), schema).layout == fits(table(a=[1.0]), schema).layout
    assert fits(table(a=[1.0], o=[None]), schema).column(1).dtype == TEXT


def test_rows_without_any_column_of_the_models_are_refused() -> None:
    optional = (Field("a", Scalar.DOUBLE, required=False), Field("b", Scalar.STRING, required=False))
    assert wrong(table(x=[1.0]), optional) == ["missing columns: 'a', 'b'; unknown columns: 'x'"]


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
    assert wrong(twice, AB) == ["duplicate columns: 'a'"]
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
        "the model takes named columns ('a', 'b'), but the columns of the input have no names"
    ]
    assert wrong(Tensors.single(np.zeros((1, 2))), AB, TENSOR) == [
        "the model takes named columns ('a', 'b'), but the columns of the input have no names"
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
