"""Joining, taking apart and reordering rows loses nothing and mixes nothing up."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from penstock.payload import Table, Tensors, Value, Violation, as_object_array, join, kind_and_text, shortened

FAST = settings(max_examples=60, deadline=None)

cells = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=5,
)


@st.composite
def columns(draw: st.DrawFn, rows: int) -> np.ndarray:
    kind = draw(st.sampled_from(["float64", "int64", "bool", "datetime64[ns]", "object"]))
    if kind == "object":
        return as_object_array(draw(st.lists(cells, min_size=rows, max_size=rows)))
    return draw(hnp.arrays(np.dtype(kind), rows))


@st.composite
def tables(draw: st.DrawFn) -> Table:
    rows = draw(st.integers(1, 12))
    width = draw(st.integers(1, 4))
    names = draw(st.none() | st.just([f"c{i}" for i in range(width)]) | st.just(list(range(width))))
    index = as_object_array([f"row {i}" for i in range(rows)]) if draw(st.booleans()) else None
    if draw(st.booleans()):
        one = draw(columns(rows=rows))
        return Table.of(names, [one] * width, index)
    return Table.of(names, [draw(columns(rows=rows)) for _ in range(width)], index)


@st.composite
def tensors(draw: st.DrawFn) -> Tensors:
    rows = draw(st.integers(1, 10))
    trailing = draw(st.lists(st.integers(0, 3), max_size=2))
    arrays = [
        draw(hnp.arrays(np.dtype(draw(st.sampled_from(["float32", "int64", "<U3"]))), (rows, *trailing)))
        for _ in range(draw(st.integers(1, 3)))
    ]
    if len(arrays) == 1 and draw(st.booleans()):
        return Tensors.single(arrays[0])
    return Tensors.named({f"t{i}": a for i, a in enumerate(arrays)})


def contents(payload: Table | Tensors) -> Any:
    """All that a payload holds, comparable: NaN and NaT equal themselves, dtypes count."""
    if isinstance(payload, Table):
        arrays = list(payload.iter_columns())
        index = None if payload.index is None else payload.index.tolist()
        return payload.names, index, [(a.dtype, [repr(c) for c in a]) for a in arrays]
    return payload.names, [(a.dtype, a.shape, [repr(c) for c in a.ravel()]) for a in payload.arrays]


def parts_of(payload: Table | Tensors, cuts: list[int]) -> list[Table | Tensors]:
    count = payload.rows
    assert count is not None
    edges = [0, *sorted({c % count for c in cuts} - {0}), count]
    return [payload.take(slice(a, b)) for a, b in pairwise(edges)]


@FAST
@given(st.one_of(tables(), tensors()), st.lists(st.integers(0, 100), max_size=4))
def test_the_parts_joined_are_the_whole(payload: Table | Tensors, cuts: list[int]) -> None:
    parts = parts_of(payload, cuts)
    assert {p.layout for p in parts} == {payload.layout}
    whole = join(parts)
    assert isinstance(whole, Table | Tensors)
    assert contents(whole) == contents(payload)
    assert whole.layout == payload.layout


@FAST
@given(st.one_of(tables(), tensors()), st.randoms(use_true_random=False))
def test_a_permutation_is_undone_by_its_inverse(payload: Table | Tensors, random: Any) -> None:
    order = list(range(payload.rows or 0))
    random.shuffle(order)
    turned = payload.take(np.array(order))
    assert turned.rows == payload.rows
    for place, row in enumerate(order):
        assert contents(turned.take(slice(place, place + 1))) == contents(payload.take(slice(row, row + 1)))
    assert contents(turned.take(np.argsort(order))) == contents(payload)


def test_nested_lists_stay_single_cells() -> None:
    array = as_object_array([[1, 2], [3, 4]])
    assert array.shape == (2,)
    assert array[0] == [1, 2]
    table = Table.of(["a"], [array])
    joined = join([table, table])
    assert isinstance(joined, Table)
    assert joined.rows == 4
    assert joined.column(0)[3] == [3, 4]


def test_columns_of_one_dtype_become_one_contiguous_block() -> None:
    table = Table.of(["a", "b"], [np.array([1.0, 2.0]), np.array([3.0, 4.0])])
    assert table.block is not None
    assert table.block.flags.c_contiguous
    assert table.block.tolist() == [[1.0, 3.0], [2.0, 4.0]]
    many = [np.arange(10_000.0), np.arange(10_000.0) * 2, np.arange(10_000.0) * 3]
    block = Table.of(None, many).block
    assert block is not None
    assert np.array_equal(block, np.column_stack(many))
    with pytest.raises(ValueError, match="different lengths"):
        Table.of(None, [many[0], many[1][:5000]])
    mixed = Table.of(["a", "b"], [np.array([1.0]), np.array([1])])
    assert mixed.block is None
    assert (mixed.rows, mixed.width) == (1, 2)


def test_empty_tables_have_the_rows_of_their_index_or_columns() -> None:
    assert (Table((), columns=()).rows, Table((), columns=()).width) == (0, 0)
    assert Table((), columns=(), index=np.arange(3)).rows == 3
    assert Table.of(["a"], [np.empty(0)]).rows == 0


@pytest.mark.parametrize(
    "other",
    [
        Table.of(["b", "a"], [np.array([1.0]), np.array([2.0])]),
        Table.of(None, [np.array([1.0]), np.array([2.0])]),
        Table.of(["a", "b"], [np.array([1]), np.array([2])]),
        Table.of(["a", "b"], [np.array([1.0]), np.array([2])]),
        Table.of(["a", "b"], [np.array([1.0]), np.array([2.0])], index=np.array([7])),
    ],
)
def test_layouts_differ_by_names_dtypes_and_labels(other: Table) -> None:
    table = Table.of(["a", "b"], [np.array([1.0]), np.array([2.0])])
    assert table.layout != other.layout
    assert hash(table.layout) == hash(Table.of(["a", "b"], [np.array([9.0]), np.array([9.0])]).layout)


def test_layouts_differ_by_the_kind_of_labels() -> None:
    numbered = Table.of(["a"], [np.array([1.0])], index=np.array([1]))
    named = Table.of(["a"], [np.array([1.0])], index=np.array(["x"], dtype=object))
    assert numbered.layout != named.layout


def test_tensor_layouts_differ_by_trailing_shape_and_container() -> None:
    array = np.zeros((2, 3))
    layouts = {
        Tensors.single(array).layout,
        Tensors.single(np.zeros((2, 4))).layout,
        Tensors.single(array.astype(np.float32)).layout,
        Tensors.named({"x": array}).layout,
        Table(None, block=array).layout,
        Value(1).layout,
    }
    assert len(layouts) == 6
    assert Tensors.single(array).layout == Tensors.single(np.zeros((5, 3))).layout


def test_tensors_that_share_no_first_axis_have_no_rows() -> None:
    assert Tensors.named({"a": np.zeros(2), "b": np.zeros((2, 5))}).rows == 2
    assert Tensors.named({"a": np.zeros(2), "b": np.zeros(3)}).rows is None
    assert Tensors.single(np.array(1.0)).rows is None
    assert Tensors((), ()).rows is None
    assert Value([1, 2]).rows is None


def test_answers_of_several_kinds_are_joined_without_changing_a_value() -> None:
    """A model may answer whole numbers for one part and floats, or text, for the next."""
    large = 2**53 + 1
    numbers = join([Tensors.single(np.array([large])), Tensors.single(np.array([0.5]))])
    assert isinstance(numbers, Tensors)
    assert numbers.arrays[0].tolist() == [large, 0.5]
    words = join([Tensors.single(np.array([1])), Tensors.single(np.array(["one"]))])
    assert isinstance(words, Tensors)
    assert words.arrays[0].tolist() == [1, "one"]
    frames = join([Table.of(["a"], [np.array([True])]), Table.of(["a"], [np.array([7])])])
    assert isinstance(frames, Table)
    assert frames.column(0).tolist() == [True, 7]
    assert frames.column(0)[0] is True


@pytest.mark.parametrize(
    "parts",
    [
        [Value(1), Value(2)],
        [Table.of(["a"], [np.zeros(1)]), Table.of(["b"], [np.zeros(1)])],
        [Table.of(["a"], [np.zeros(1)]), Tensors.single(np.zeros(1))],
        [Tensors.single(np.zeros((1, 2))), Tensors.single(np.zeros((1, 3)))],
        [Tensors.named({"a": np.zeros(1)}), Tensors.named({"b": np.zeros(1)})],
        [Tensors.named({"a": np.zeros(1)}), Tensors.single(np.zeros(1))],
        [Table.of(["a"], [np.zeros(1)], index=np.zeros(1)), Table.of(["a"], [np.zeros(1)])],
        [Table.of(["a"], [np.zeros(1)]), Table.of(["a"], [np.zeros(1)], index=np.zeros(1))],
    ],
)
def test_what_does_not_belong_together_is_not_joined(parts: list[Any]) -> None:
    with pytest.raises(ValueError):
        join(parts)


def test_a_single_part_is_returned_as_it_is() -> None:
    value = Value({"messages": []})
    assert join([value]) is value


def test_payloads_and_violations_describe_themselves() -> None:
    names = [f"c{i}" for i in range(9)]
    assert repr(Table.of(names, [np.zeros(2)] * 9)) == "<Table 2 rows × 9 columns: c0, c1, c2, c3, …>"
    assert repr(Table.of(None, [np.zeros(2)])) == "<Table 2 rows × 1 columns: unnamed>"
    assert repr(Tensors.named({"x": np.zeros((2, 3))})) == "<Tensors x:float64[2, 3]>"
    assert str(Violation("is bad", row=3, column="age")) == "row 3, column 'age': is bad"
    assert str(Violation("is bad", column=0)) == "column 0: is bad"
    assert str(Violation("is bad")) == "is bad"


def test_shortened_never_shows_all_and_never_fails() -> None:
    class Rude:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    deep: Any = []
    for _ in range(2000):
        deep = [deep]
    assert shortened("it's") == '"it\'s"'
    assert len(shortened("x" * 10_000)) == 60
    assert len(shortened(list(range(10_000)), 40)) == 40
    assert shortened(deep).startswith("[[[")
    assert shortened(10**5000) == "<int>"
    assert shortened(Rude()) == "<Rude>"


def test_an_error_without_words_is_told_by_its_class() -> None:
    assert kind_and_text(EOFError()) == "EOFError"
    assert kind_and_text(ValueError("a\n  b."), 10) == "ValueError: a b"
