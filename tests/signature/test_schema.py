"""Every form in which MLflow's releases have written a signature, read and written again."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import PackageInvalid
from penstock.signature import (
    AnyValue,
    ArrayOf,
    Field,
    MapOf,
    ObjectOf,
    Param,
    Property,
    Scalar,
    Signature,
    TensorField,
)


def read(inputs: Any = None, outputs: Any = None, params: Any = None) -> Signature:
    sides = {"inputs": inputs, "outputs": outputs, "params": params}
    return Signature.from_mlflow({k: None if v is None else json.dumps(v) for k, v in sides.items()})


def field(**spec: Any) -> Field:
    (one,) = read([spec]).inputs or ()
    assert isinstance(one, Field)
    return one


@pytest.mark.parametrize("scalar", list(Scalar))
def test_every_scalar_type_is_read(scalar: Scalar) -> None:
    assert field(type=scalar.value, name="x", required=True) == Field("x", scalar, True)


@pytest.mark.parametrize(
    ("spec", "required"),
    [
        ({"type": "double"}, True),  # 2.3 and before wrote nothing
        ({"type": "double", "required": True}, True),
        ({"type": "double", "required": False}, False),
        ({"type": "double", "optional": True}, False),  # 2.6 to 2.9
        ({"type": "double", "optional": False}, True),
        ({"type": "array", "items": {"type": "long"}}, False),  # the trap: compound without the key is optional
        ({"type": "array", "items": {"type": "long"}, "required": True}, True),
        ({"type": "object", "properties": {"k": {"type": "long"}}}, False),
        ({"type": "map", "values": {"type": "long"}}, False),
        ({"type": "any"}, False),
        ({"type": "any", "required": True}, True),
    ],
)
def test_a_column_is_required_by_the_rule_of_its_release(spec: dict[str, Any], required: bool) -> None:
    assert field(name="x", **spec).required is required


def test_names_are_text_integers_or_none() -> None:
    assert field(type="double", name="a").name == "a"
    assert field(type="double", name=0).name == 0
    assert field(type="double").name is None


def test_compound_types_are_read() -> None:
    spec = {
        "type": "object",
        "properties": {
            "tags": {"type": "array", "items": {"type": "string"}},
            "counts": {"type": "map", "values": {"type": "long"}, "required": False},
            "grid": {"type": "array", "items": {"type": "array", "items": {"type": "double"}}},
            "free": {"type": "any"},
        },
        "required": True,
    }
    expected = ObjectOf(
        (
            Property("tags", ArrayOf(Scalar.STRING), True),  # nested `required` defaults to true
            Property("counts", MapOf(Scalar.LONG), False),
            Property("grid", ArrayOf(ArrayOf(Scalar.DOUBLE)), True),
            Property("free", AnyValue(), True),
        )
    )
    assert field(name="x", **spec).type == expected
    assert str(expected) == "object{tags: array<string>, counts?: map<long>, grid: array<array<double>>, free: any}"
    assert field(type="sparkml_vector", name="v").type == ArrayOf(Scalar.DOUBLE)


@pytest.mark.parametrize(
    ("written", "dtype"),
    [
        ("float64", "float64"),
        ("float32", "float32"),
        ("int8", "int8"),
        ("uint64", "uint64"),
        ("bool", "bool"),
        ("str", "U"),
        ("bytes", "S"),
        ("object", "O"),
        ("datetime64[ns]", "datetime64[ns]"),
        ("complex128", "complex128"),
    ],
)
def test_tensor_dtypes_are_read(written: str, dtype: str) -> None:
    signature = read([{"type": "tensor", "tensor-spec": {"dtype": written, "shape": [-1, 3]}}])
    assert signature.inputs == (TensorField(None, np.dtype(dtype), (-1, 3)),)
    assert json.loads(signature.to_mlflow()["inputs"] or "")[0]["tensor-spec"] == {"dtype": written, "shape": [-1, 3]}


def test_named_tensors_and_scalars_are_read() -> None:
    spec = [
        {"name": "image", "type": "tensor", "tensor-spec": {"dtype": "uint8", "shape": [-1, 28, 28]}},
        {"name": "scale", "type": "tensor", "tensor-spec": {"dtype": "float32", "shape": []}},
    ]
    assert [str(f) for f in read(spec).inputs or ()] == ["image: uint8[-1, 28, 28]", "scale: float32[]"]


def test_inputs_may_be_columns_and_outputs_a_tensor() -> None:
    signature = read(
        [{"type": "long", "name": "a"}], [{"type": "tensor", "tensor-spec": {"dtype": "f8", "shape": [-1]}}]
    )
    assert isinstance((signature.inputs or ())[0], Field)
    assert isinstance((signature.outputs or ())[0], TensorField)


@pytest.mark.parametrize("kind", ["type", "dtype"])
def test_params_of_every_release_are_read(kind: str) -> None:
    signature = read(
        params=[
            {"name": "t", kind: "float", "default": 0.5, "shape": None},
            {"name": "stop", kind: "string", "default": ["."], "shape": [-1]},
        ]
    )
    assert signature.params == (Param("t", Scalar.FLOAT, 0.5), Param("stop", Scalar.STRING, ["."], (-1,)))


def test_object_params_are_read() -> None:
    (param,) = read(
        params=[{"name": "o", "type": "object", "properties": {"k": {"type": "long"}}, "default": None, "shape": None}]
    ).params
    assert param.type == ObjectOf((Property("k", Scalar.LONG),))


def test_absent_sides_are_no_schema() -> None:
    assert read() == Signature()
    assert Signature.from_mlflow({}) == Signature()
    assert read(inputs=[]).inputs is None
    assert Signature().to_mlflow() == {"inputs": None, "outputs": None, "params": None}


@pytest.mark.parametrize(
    ("side", "why"),
    [
        ("no json", "not JSON"),
        ("{}", "not a list"),
        ("[1]", "not a list"),
        ("3", "not a list"),
        ('[{"name": "a"}]', "unknown type None"),
        ('[{"name": "a", "type": "decimal"}]', "unknown type 'decimal'"),
        ('[{"name": "a", "type": ["long"]}]', "unknown type"),
        ('[{"name": "a", "type": {"x": 1}}]', "unknown type"),
        ('[{"name": "a", "type": "array"}]', "no 'items'"),
        ('[{"name": "a", "type": "object", "properties": [1]}]', "no 'properties'"),
        ('[{"name": "a", "type": "object", "properties": {"k": 1}}]', "not JSON objects"),
        ('[{"name": "a", "type": "map"}]', "no 'values'"),
        ('[{"name": "a", "type": "long"}, {"type": "long"}]', "only some have names"),
        ('[{"name": ["a"], "type": "long"}]', "name a column"),
        ('[{"name": true, "type": "long"}]', "name a column"),
        ('[{"name": 1.5, "type": "long"}]', "name a column"),
        ('[{"name": "a", "type": "long"}, {"name": "b", "type": "tensor"}]', "mix"),
        ('[{"type": "tensor"}]', "cannot be read"),
        ('[{"type": "tensor", "tensor-spec": {"shape": [-1]}}]', "cannot be read"),
        ('[{"type": "tensor", "tensor-spec": {"dtype": null, "shape": [-1]}}]', "cannot be read"),
        ('[{"type": "tensor", "tensor-spec": {"dtype": "f8,f4", "shape": [-1]}}]', "cannot be read"),
        ('[{"type": "tensor", "tensor-spec": {"dtype": "quaternion", "shape": [-1]}}]', "cannot be read"),
        ('[{"type": "tensor", "tensor-spec": {"dtype": ["f8"], "shape": [-1]}}]', "cannot be read"),
        ('[{"type": "tensor", "tensor-spec": {"dtype": "f8", "shape": "12"}}]', "cannot be read"),
        ('[{"type": "tensor", "tensor-spec": {"dtype": "f8", "shape": [-2]}}]', "cannot be read"),
        ('[{"type": "tensor", "tensor-spec": {"dtype": "f8", "shape": [1.5]}}]', "cannot be read"),
        ('[{"name": 7, "type": "tensor", "tensor-spec": {"dtype": "f8", "shape": [1]}}]', "cannot be read"),
        ('[{"type": "tensor", "tensor-spec": {"dtype": "f8", "shape": [1]}}' * 2, "JSON"),
        (json.dumps([{"type": "tensor", "tensor-spec": {"dtype": "f8", "shape": [1]}}] * 2), "needs a unique name"),
        ("[" * 50_000, "nested too deeply"),
        ("[" + '{"type":"array","items":' * 900 + '{"type":"long"}' + "}" * 900 + "]", "nested too deeply"),
    ],
)
def test_what_is_no_schema_is_refused(side: str, why: str) -> None:
    with pytest.raises(PackageInvalid, match=why):
        Signature.from_mlflow({"inputs": side})


@pytest.mark.parametrize(
    "param",
    [
        {"type": "long", "default": 1},
        {"name": 3, "type": "long", "default": 1},
        {"name": "a", "default": 1},
        {"name": "a", "type": "no"},
        {"name": "a", "type": "long", "default": 1, "shape": 5},
    ],
)
def test_what_is_no_param_is_refused(param: dict[str, Any]) -> None:
    with pytest.raises(PackageInvalid):
        read(params=[param])


types = st.recursive(
    st.sampled_from(list(Scalar)) | st.just(AnyValue()),
    lambda inner: (
        inner.map(ArrayOf)
        | inner.map(MapOf)
        | st.dictionaries(st.text(max_size=3), st.tuples(inner, st.booleans()), min_size=1, max_size=3).map(
            lambda d: ObjectOf(tuple(Property(k, t, r) for k, (t, r) in d.items()))
        )
    ),
    max_leaves=5,
)
named = st.lists(st.text(max_size=4) | st.integers(), min_size=1, max_size=4, unique=True).flatmap(
    lambda names: st.tuples(*[st.builds(Field, st.just(n), types, st.booleans()) for n in names])
)
unnamed = st.lists(st.builds(Field, st.none(), types, st.booleans()), min_size=1, max_size=3).map(tuple)
dtypes = st.sampled_from(["float32", "int64", "uint8", "bool", "U", "S", "O", "datetime64[ns]"]).map(np.dtype)
tensors = st.builds(
    TensorField, st.none() | st.text(max_size=3), dtypes, st.lists(st.integers(-1, 9), max_size=3).map(tuple)
).map(lambda f: (f,))
schemas = st.none() | named | unnamed | tensors


@settings(max_examples=150, deadline=None)
@given(schemas, schemas)
def test_what_is_written_is_read_back(inputs: Any, outputs: Any) -> None:
    signature = Signature(inputs, outputs, (Param("p", Scalar.DOUBLE, 0.5), Param("l", Scalar.LONG, [1], (-1,))))
    assert Signature.from_mlflow(signature.to_mlflow()) == signature
