"""MLflow's protocol as a server asks it, and Vertex AI's words for it."""

from __future__ import annotations

import pickle

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.errors import SchemaViolation
from penstock.payload import Table
from penstock.signature import ArrayOf, Field, MapOf, Scalar, Signature
from penstock.wire.mlflow.codec import BodyReader, MlflowProtocol
from penstock.wire.mlflow.formats import CSV, JSON, PARQUET
from penstock.wire.mlflow.vertex import VertexProtocol, with_params

SIGNATURE = Signature((Field("a", Scalar.DOUBLE),))
CALL = b'{"dataframe_split": {"columns": ["a"], "data": [[NaN]]}, "params": {"k": 1}}'


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (None, JSON),
        (b"*/*", JSON),
        (b"application/json", JSON),
        (b"text/csv", CSV),
        (b"image/png", JSON),
    ],
)
def test_the_accept_header_chooses_the_format_of_the_answer(accept: bytes | None, media: str) -> None:
    assert MlflowProtocol().answer_media(accept) == media


@pytest.mark.parametrize(("words", "cell"), [(False, "null"), (True, "NaN")])
def test_what_is_not_finite_is_null_or_a_word(words: bool, cell: str) -> None:
    codec = MlflowProtocol(nan_words=words).codec(SIGNATURE, frames=False)
    request = codec.read(JSON, CALL)
    assert codec.write(request.payload, request, JSON) == (b'{"predictions":[{"a":%b}]}' % cell.encode(), JSON)


def test_both_protocols_are_counted_under_one_name() -> None:
    assert MlflowProtocol().name == VertexProtocol().name == "invocations"


@pytest.mark.parametrize(("given", "params"), [({"k": 1}, {"k": 1}), (None, None)])
def test_vertex_says_parameters(given: object, params: object) -> None:
    body = orjson.dumps({"instances": [{"a": 1}], "parameters": given})
    request = VertexProtocol().codec(SIGNATURE, frames=False).read(JSON, body)
    assert (request.payload.rows, request.params) == (1, params)


def test_other_formats_of_vertex_are_read_as_they_are() -> None:
    codec = VertexProtocol().codec(Signature((Field("parameters", Scalar.STRING),)), frames=False)
    assert codec.read(CSV, b'"parameters"\nx\n').payload.rows == 1


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'"parameters"', b'["parameters"]', b'{"parameters": 1, "params": 2}', b'{"a": "parameters"}']
)
def test_what_is_not_vertexs_stays_as_it_is(body: bytes) -> None:
    assert with_params(body) is body


LONGS = Signature((Field("n", Scalar.INTEGER), Field("b", Scalar.BOOLEAN)))


@pytest.mark.parametrize("exact", [False, True])
def test_one_model_may_be_answered_exactly_as_mlflow_does(exact: bool) -> None:
    protocol = MlflowProtocol(on_loop=False, exact=lambda name: name == "migrated")
    of_model = protocol.of_model("migrated" if exact else "other")
    codec = pickle.loads(pickle.dumps(of_model)).codec(LONGS, frames=False)
    body = orjson.dumps({"dataframe_split": {"columns": ["n", "b"], "data": [[2**32 + 7, "false"], [2, ""]]}})
    if not exact:
        with pytest.raises(SchemaViolation, match="out of range"):
            codec.read(JSON, body)
        return
    table = codec.read(JSON, body).payload
    assert [table.column(0).tolist(), table.column(1).tolist()] == [[7, 2], [True, False]]


def test_a_protocol_that_is_the_same_for_all_models_is_not_made_anew() -> None:
    for protocol in (MlflowProtocol(exact=True), MlflowProtocol(), VertexProtocol()):
        assert protocol.of_model("any") is protocol
    assert type(VertexProtocol(exact=lambda _: True).of_model("any")) is VertexProtocol


@pytest.mark.parametrize("frames", [False, True])
def test_what_a_chat_leaves_out_is_not_there_and_what_rows_leave_out_is_a_gap(frames: bool) -> None:
    stream, inputs = (
        Field("stream", Scalar.BOOLEAN, required=False),
        Field("inputs", MapOf(Scalar.STRING), required=False),
    )

    def names(required: Field, cell: object) -> object:
        codec = MlflowProtocol().codec(Signature((required, inputs, stream)), frames=frames)
        read = codec.read(JSON, orjson.dumps({"dataframe_records": [{required.name: cell, "inputs": {"k": "v"}}]}))
        assert isinstance(read.payload, Table)
        return read.payload.names

    assert names(Field("messages", ArrayOf(Scalar.STRING)), ["hi"]) == ("messages", "inputs")
    assert names(Field("amount", Scalar.DOUBLE), 1.5) == ("amount", "inputs", "stream")


def _parquet_of_flags() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"n": [1, 2], "b": [True, None]}), sink)
    return bytes(sink.getvalue())


@pytest.mark.parametrize(
    ("media", "body"),
    [
        (JSON, b'{"dataframe_split":{"columns":["n","b"],"data":[[1,true],[2,null]]}}'),
        (JSON, b'{"dataframe_records":[{"n":1,"b":true},{"n":2}]}'),
        (JSON, b'{"inputs":{"n":[1,2],"b":[true,null]}}'),
        (CSV, b"n,b\n1,True\n2,\n"),
        (PARQUET, _parquet_of_flags()),
    ],
)
@pytest.mark.parametrize("required", [False, True])
def test_a_gap_among_booleans_is_the_nan_of_the_files_that_models_are_fitted_on(
    media: str, body: bytes, required: bool
) -> None:
    signature = Signature((Field("n", Scalar.LONG), Field("b", Scalar.BOOLEAN, required=required)))
    payload = BodyReader(signature, frames=True).read(media, body).payload
    assert isinstance(payload, Table)
    present, gap = payload.column(1).tolist()
    assert bool(present)
    assert gap != gap


def test_a_gap_among_booleans_stays_none_where_every_answer_is_to_be_mlflows() -> None:
    signature = Signature((Field("n", Scalar.LONG), Field("b", Scalar.BOOLEAN, required=False)))
    body = b'{"dataframe_split":{"columns":["n","b"],"data":[[1,true],[2,null]]}}'
    payload = BodyReader(signature, frames=True, exact=True).read(JSON, body).payload
    assert isinstance(payload, Table)
    assert payload.column(1).tolist() == [True, None]
