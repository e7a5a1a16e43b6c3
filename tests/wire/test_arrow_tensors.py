"""Arrays of numbers travel whole in Arrow, both ways; what only claims to be one is refused in a sentence."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from hostile.arrow_bodies import claimed_arrays, stream_of
from penstock.errors import MalformedInput, PenstockError, SchemaViolation
from penstock.payload import Payload, Table, Tensors, Value
from penstock.signature import Signature
from penstock.wire.arrow_tensors import table_of_tensors, tensors_of
from penstock.wire.columnar import encode_arrow, encode_parquet, open_arrow
from penstock.wire.mlflow.codec import MlflowCodec
from penstock.wire.mlflow.formats import ARROW, ARROW_WHOLE, JSON, PARQUET

NUMBERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64")


def signature(**shapes: tuple[str, list[int]]) -> Signature:
    """A model that takes these arrays; one called `_` has no name."""
    fields = [
        {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": shape}, **({} if name == "_" else {"name": name})}
        for name, (dtype, shape) in shapes.items()
    ]
    return Signature.from_mlflow({"inputs": fields, "outputs": fields})


PAIR = signature(ids=("int64", [-1]), x=("float32", [-1, 2, 3]))
ONE = signature(_=("float32", [-1, 2, 3]))
ARRAY = np.arange(24, dtype=np.float32).reshape(4, 2, 3)


def written(arrays: Tensors) -> Any:
    """The pyarrow.Table of arrays that have that form."""
    table = table_of_tensors(arrays)
    assert table is not None
    return table


def read(body: bytes, model: Signature | None, media: str = ARROW, *, frames: bool = False) -> Payload:
    return MlflowCodec(model, frames=frames, on_loop=False).read(media, body).payload


def same(found: Payload, expected: Tensors) -> None:
    assert isinstance(found, Tensors)
    assert found.layout == expected.layout
    for ours, theirs in zip(found.arrays, expected.arrays, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("dtype", NUMBERS)
def test_arrays_of_every_width_come_back(dtype: str) -> None:
    arrays = Tensors.named({"x": np.arange(24).reshape(2, 3, 4).astype(dtype), "ids": np.arange(2)})
    table = open_arrow(encode_arrow(table_of_tensors(arrays)))
    found = tensors_of(table)
    assert found is not None
    same(found, arrays)
    part = tensors_of(table.slice(1))
    assert part is not None
    same(part, arrays.take(slice(1, None)))


@pytest.mark.parametrize("frames", [True, False])
@pytest.mark.parametrize("media", [ARROW, PARQUET])
def test_a_model_of_several_arrays_gets_them_by_name(media: str, frames: bool) -> None:
    arrays = Tensors.named({"ids": np.arange(4), "x": ARRAY})
    table = table_of_tensors(Tensors(("x", "ids"), tuple(reversed(arrays.arrays))))
    body = encode_arrow(table) if media == ARROW else encode_parquet(table)
    same(read(body, PAIR, media, frames=frames), arrays)


def test_a_model_of_one_array_without_a_name_gets_it_whatever_its_column_is_called() -> None:
    for names in (None, ("anything",)):
        same(read(encode_arrow(table_of_tensors(Tensors(names, (ARRAY,)))), ONE), Tensors.single(ARRAY))


def test_several_batches_are_one_array() -> None:
    table = written(Tensors.single(ARRAY))
    body = stream_of(pa.concat_tables([table.slice(0, 1), table.slice(1, 3)]))
    same(read(body, ONE), Tensors.single(ARRAY))
    same(read(stream_of(table.slice(0, 0)), ONE), Tensors.single(ARRAY[:0]))


def test_strides_and_byte_orders_cost_a_copy_or_a_refusal_and_no_value() -> None:
    turned = ARRAY.transpose(0, 2, 1)
    table = table_of_tensors(Tensors.single(turned))
    found = tensors_of(table, unnamed=True)
    assert found is not None
    np.testing.assert_array_equal(found.arrays[0], turned)
    for array in (ARRAY.astype(">f4"), ARRAY > 1, ARRAY.astype(str), ARRAY[:0], np.float64(1).reshape(())):
        assert table_of_tensors(Tensors.single(np.asarray(array))) is None
    assert table_of_tensors(Tensors.named({"a": ARRAY, "b": ARRAY[:2]})) is None


def test_a_shape_or_a_type_that_the_model_does_not_take_is_a_violation() -> None:
    wide = encode_arrow(table_of_tensors(Tensors.single(ARRAY.astype(np.float64))))
    with pytest.raises(SchemaViolation, match="takes float32, but the input is float64"):
        read(wide, ONE)
    flat = encode_arrow(table_of_tensors(Tensors.single(ARRAY.reshape(4, 6))))
    with pytest.raises(SchemaViolation, match=r"takes shape \[-1, 2, 3\], but the input has \[4, 6\]"):
        read(flat, ONE)


def of_lists(lists: Any, shape: list[int]) -> bytes:
    return stream_of(pa.table({"x": pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.float32(), shape), lists)}))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (claimed_arrays(9, 4, '{"shape": [2, 3]}'), "not a readable Arrow stream"),
        (
            claimed_arrays(9, 4, '{"shape": [2, 2], "permutation": [1, 0]}'),
            "The arrays of column 'x' have their axes in an order of their own",
        ),
        (claimed_arrays(9, 1, json.dumps({"shape": [1] * 100})), "'x' claims a shape that its arrays do not have"),
        (of_lists(pa.array([[1, 2], None], pa.list_(pa.float32(), 2)), [2]), "'x' lacks arrays in some rows"),
        (
            stream_of(pa.table({"x": written(Tensors.single(ARRAY)).column(0), "t": ["a"] * 4})),
            "'t' stands beside arrays and is none of numbers",
        ),
        (
            stream_of(pa.table({"x": written(Tensors.single(ARRAY)).column(0), "n": [1, 2, None, 4]})),
            "'n' lacks some whole numbers",
        ),
    ],
)
def test_what_only_claims_to_be_arrays_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(MalformedInput, match=words):
        read(body, PAIR)


def test_a_gap_in_floats_is_nan() -> None:
    lists = pa.FixedSizeListArray.from_arrays(pa.array([1.0, None], pa.float32()), 2)
    found = read(of_lists(lists, [2]), signature(x=("float32", [-1, 2])))
    assert isinstance(found, Tensors)
    np.testing.assert_array_equal(found.arrays[0], np.array([[1.0, np.nan]], np.float32))


class TestWholeAnswers:
    """What Accept: …;arrays=whole asks for."""

    def write(self, payload: Payload) -> tuple[bytes, str]:
        codec = MlflowCodec(ONE, frames=False, on_loop=False)
        request = codec.read(JSON, b'{"inputs": [[[1, 2, 3], [4, 5, 6]]]}')
        return codec.write(payload, request, ARROW_WHOLE)

    def test_arrays_are_whole_and_say_what_they_are(self) -> None:
        body, media = self.write(Tensors.single(ARRAY))
        assert media == ARROW
        table = open_arrow(body)
        assert table.schema.metadata == {b"penstock.answer": b"array"}
        found = tensors_of(table, unnamed=True)
        assert found is not None
        same(found, Tensors.single(ARRAY))
        named, _ = self.write(Tensors.named({"x": ARRAY, "y": np.arange(4)}))
        assert open_arrow(named).schema.metadata == {b"penstock.answer": b"arrays"}

    def test_a_table_has_its_columns(self) -> None:
        body, media = self.write(Table.of(("a", "b"), [np.arange(2), np.array(["x", None], dtype=object)]))
        table = open_arrow(body)
        assert (media, table.schema.metadata) == (ARROW, {b"penstock.answer": b"table"})
        assert table.to_pydict() == {"a": [0, 1], "b": ["x", None]}

    @pytest.mark.parametrize("payload", [Value([1.5]), Tensors.single(np.array(["a"])), Value({"a": [float("inf")]})])
    def test_anything_else_is_json_in_which_no_number_is_lost(self, payload: Payload) -> None:
        body, media = self.write(payload)
        assert media == JSON
        assert body in (b'{"predictions":[1.5]}', b'{"predictions":["a"]}', b'{"predictions":{"a":[Infinity]}}')


def test_frames_of_lists_stay_tables() -> None:
    frame = pd.DataFrame({"x": [[1.0, 2.0], [3.0]]})
    found = read(stream_of(pa.Table.from_pandas(frame)), None)
    assert isinstance(found, Table)


def test_errors_are_ours_whatever_is_claimed() -> None:
    for shape in ('{"shape": [-2, -2]}', '{"shape": "x"}', "{}", "[", '{"shape": [1099511627776, 1099511627776]}'):
        with pytest.raises(PenstockError):
            read(claimed_arrays(9, 4, shape), ONE)
