"""Made-up requests fit the signatures that they are made from."""

from __future__ import annotations

import datetime
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from penstock.flavors.python.type_hints import validate_hinted
from penstock.signature import AnyValue, ArrayOf, Field, MapOf, ObjectOf, Property, Scalar, Signature, TensorField, Type
from penstock.signature.sample import sample_request
from penstock.wire.mlflow.codec import BodyReader
from penstock.wire.mlflow.formats import JSON

DTYPES = ["float32", "float64", "int64", "uint8", "bool", "U"]
SCALARS = st.sampled_from(list(Scalar))
TYPES: st.SearchStrategy[Type] = st.recursive(
    SCALARS | st.just(AnyValue()),
    lambda inner: (
        inner.map(ArrayOf)
        | inner.map(MapOf)
        | st.lists(inner, min_size=1, max_size=2).map(
            lambda types: ObjectOf(tuple(Property(f"p{i}", t, bool(i)) for i, t in enumerate(types)))
        )
    ),
    max_leaves=3,
)
# Inside lists and objects MLflow's enforcement knows neither base64 nor ISO 8601 text, and narrows no number: no JSON
# fits those.
_ODD = (Scalar.BINARY, Scalar.DATETIME, Scalar.INTEGER, Scalar.FLOAT)


@st.composite
def signatures(draw: st.DrawFn) -> Signature:
    if draw(st.booleans()):
        types = draw(st.lists(TYPES, min_size=1, max_size=4))
        named = draw(st.booleans())
        fields = [Field(f"c{i}" if named else None, t, i == 0 or not named) for i, t in enumerate(types)]
        return Signature(inputs=tuple(fields))
    dtypes = draw(st.lists(st.sampled_from(DTYPES), min_size=1, max_size=3))
    shapes = st.tuples(st.just(-1), st.integers(1, 3)) | st.just((-1,))
    named = len(dtypes) > 1 or draw(st.booleans())
    return Signature(
        inputs=tuple(TensorField(f"t{i}" if named else None, np.dtype(d), draw(shapes)) for i, d in enumerate(dtypes))
    )


def _holds_odd(type_: Type, inside: bool = False) -> bool:
    match type_:
        case ArrayOf(inner) | MapOf(inner):
            return _holds_odd(inner, True)
        case ObjectOf(properties):
            return any(_holds_odd(p.type, True) for p in properties)
    return inside and type_ in _ODD


@settings(max_examples=200)
@given(signatures())
def test_samples_fit_their_signature(signature: Signature) -> None:
    request = sample_request(signature)
    if request is None:
        assert any(isinstance(f, Field) and _holds_odd(f.type) for f in signature.inputs or ())
        return
    body = json.dumps(request).encode()
    assert BodyReader(signature, frames=True).read(JSON, body).payload.rows in (1, None)


@pytest.mark.parametrize("odd", _ODD)
def test_what_is_optional_and_cannot_be_sent_is_left_out(odd: Scalar) -> None:
    inside = ObjectOf((Property("k", Scalar.LONG), Property("o", odd, required=False)))
    signature = Signature(inputs=(Field("a", inside), Field("l", ArrayOf(odd), required=False)))
    assert sample_request(signature) == {"dataframe_split": {"columns": ["a"], "data": [[{"k": 1}]]}}
    assert sample_request(Signature(inputs=(Field("l", ArrayOf(odd)),))) is None


class Inner(BaseModel):
    id: int


class Item(BaseModel):
    name: str
    when: datetime.datetime | None = None
    inner: Inner
    tags: list[str] = []


def test_the_sample_of_a_pydantic_hint_is_an_object_that_it_takes() -> None:
    fields = (
        Field("name", Scalar.STRING),
        Field("when", Scalar.DATETIME, required=False),
        Field("inner", ObjectOf((Property("id", Scalar.LONG),))),
        Field("tags", ArrayOf(Scalar.STRING), required=False),
    )
    request = sample_request(Signature(inputs=fields, hinted=True))
    assert request == {"inputs": [{"name": "text", "inner": {"id": 1}, "tags": ["text"]}]}
    assert validate_hinted(request["inputs"], list[Item])[0].inner.id == 1
    assert sample_request(Signature(inputs=(Field("when", Scalar.DATETIME),), hinted=True)) is None
    assert sample_request(Signature(inputs=(Field("id", Scalar.LONG),), hinted=True)) == {"inputs": [{"id": 1}]}


def test_a_signature_that_says_nothing_has_none() -> None:
    assert sample_request(Signature()) is None


def test_a_hinted_model_gets_a_list() -> None:
    assert sample_request(Signature(inputs=(Field(None, Scalar.LONG),), hinted=True)) == {"inputs": [1]}


@pytest.mark.parametrize("name", ["x", None])
def test_a_sample_of_arrays_has_their_shape(name: str | None) -> None:
    request = sample_request(Signature(inputs=(TensorField(name, np.dtype("float32"), (-1, 2, 1)),)))
    assert request == {"inputs": [[[0.5], [0.5]]] if name is None else {"x": [[[0.5], [0.5]]]}}
