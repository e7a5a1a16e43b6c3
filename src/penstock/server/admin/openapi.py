"""GET /openapi.json: the API with the real types of every loaded model, each with an example that works.

Source: OpenAPI 3.1, whose schemas are JSON Schema 2020-12.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from penstock.errors import PenstockError
from penstock.http.routes import Endpoint
from penstock.loading.proof import EXAMPLE_FAILS
from penstock.package.example import Example
from penstock.server.admin.json_response import json_response
from penstock.server.targets import DEFAULT_INVOCATIONS, MODEL_INVOCATIONS
from penstock.serving.gateway import Gateway
from penstock.serving.servable import Servable
from penstock.signature import (
    AnyValue,
    ArrayOf,
    Field,
    MapOf,
    ObjectOf,
    Param,
    Scalar,
    Schema,
    Signature,
    TensorField,
    Type,
    is_tensor_schema,
)
from penstock.signature.sample import sample_request
from penstock.version import __version__
from penstock.wire.mlflow.formats import ARROW, CSV, JSON, PARQUET

_SCALARS: dict[Scalar, dict[str, Any]] = {
    Scalar.BOOLEAN: {"type": "boolean"},
    Scalar.INTEGER: {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1},
    Scalar.LONG: {"type": "integer", "format": "int64"},
    Scalar.FLOAT: {"type": ["number", "null"], "format": "float"},
    Scalar.DOUBLE: {"type": ["number", "null"], "format": "double"},
    Scalar.STRING: {"type": ["string", "null"]},
    Scalar.BINARY: {"type": "string", "contentEncoding": "base64"},
    Scalar.DATETIME: {"type": "string", "format": "date-time"},
}
_KINDS = {"b": "boolean", "i": "integer", "u": "integer", "f": "number", "U": "string", "S": "string"}


def openapi_endpoint(gateway: Gateway, others: Iterable[Endpoint]) -> Endpoint:
    """The document of the predictions of each model, and of `others`."""
    described = [endpoint for endpoint in others if endpoint.summary]

    async def openapi(_: Request) -> Response:
        return json_response(describe(gateway, described))

    return Endpoint("/openapi.json", ("GET",), "models:read", openapi, admin_only=True)


def describe(gateway: Gateway, endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The OpenAPI document for what is loaded now, and for these endpoints."""
    paths: dict[str, Any] = {}
    for model in gateway.models:
        if model.current is not None:
            path = MODEL_INVOCATIONS.replace("{name}", model.name)
            paths[path] = {"post": _operation(model.current)}
            if model.name == gateway.default:
                paths[DEFAULT_INVOCATIONS] = {"post": {**_operation(model.current), "operationId": "invoke"}}
    for endpoint in endpoints:
        answer = {"summary": endpoint.summary, "responses": {"200": {"description": endpoint.summary}}}
        paths[endpoint.path] = {method.lower(): answer for method in endpoint.methods}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Penstock",
            "version": __version__,
            "description": "Predictions from packaged models.",
        },
        "paths": paths,
        "components": {
            "schemas": {"Error": _ERROR},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


_ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error_code", "message"],
    "properties": {"error_code": {"type": "string"}, "message": {"type": "string"}},
}


def _operation(servable: Servable) -> dict[str, Any]:
    signature = servable.signature or Signature()
    content: dict[str, Any] = {"schema": _request_schema(signature)}
    if (body := _body(servable, signature)) is not None:
        content["example"] = body
    error = {"description": "What went wrong.", "content": {JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}}
    columnar = {media: {"schema": {"type": "string", "format": "binary"}} for media in (PARQUET, ARROW)}
    return {
        "operationId": f"invoke_{servable.model}",
        "summary": f"Predictions of {servable.model}, version {servable.version}.",
        "requestBody": {"required": True, "content": {JSON: content, CSV: {"schema": {"type": "string"}}, **columnar}},
        "responses": {
            "200": {"description": "The predictions.", "content": {JSON: _answer_content(servable, signature)}},
            **dict.fromkeys(("400", "413", "415", "429", "503"), error),
        },
    }


# A made-up array of more values than this would be no help to anybody.
_LARGEST_SAMPLE = 4096


def _body(servable: Servable, signature: Signature) -> Any:
    """The package's own example, or one made up from its signature; none where the model failed on its own."""
    if any(warning.startswith(EXAMPLE_FAILS) for warning in servable.loaded.proof.warnings):
        return None
    if (example := _example(servable)) is not None:
        return orjson.loads(example.body)
    arrays = [field.shape for field in signature.inputs or () if isinstance(field, TensorField)]
    return sample_request(signature) if sum(map(_size, arrays)) <= _LARGEST_SAMPLE else None


def _size(shape: tuple[int, ...]) -> int:
    return prod(1 if n == -1 else n for n in shape)


def _example(servable: Servable) -> Example | None:
    try:
        return servable.loaded.package.example()
    except PenstockError:
        return None


def _answer_content(servable: Servable, signature: Signature) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"predictions": _answer_schema(signature.outputs)}}
    content: dict[str, Any] = {"schema": schema}
    if (example := _example(servable)) is not None and example.has_expected:
        content["example"] = example.expected
    return content


def _request_schema(signature: Signature) -> dict[str, Any]:
    """One of MLflow's envelopes, with the model's own columns or arrays inside, and its params."""
    inputs = signature.inputs
    forms: dict[str, Any] = {"inputs": {}, "instances": {}}
    if inputs is not None and is_tensor_schema(inputs):
        forms = dict.fromkeys(("inputs", "instances"), _tensors_schema(inputs))
    elif inputs is not None:
        fields = [f for f in inputs if isinstance(f, Field)]
        forms = {"dataframe_split": _split_schema(fields), "dataframe_records": _records_schema(fields), **forms}
    params = {"params": _params_schema(signature.params)} if signature.params else {}
    return {
        "oneOf": [
            {"type": "object", "required": [name], "properties": {name: form, **params}} for name, form in forms.items()
        ]
    }


def _split_schema(fields: list[Field]) -> dict[str, Any]:
    names = [f.name for f in fields]
    columns = {"columns": {"type": "array", "items": {"enum": names}}} if None not in names else {}
    row = {"type": "array", "items": {"anyOf": _distinct([_type_schema(f.type) for f in fields])}}
    return {"type": "object", "required": ["data"], "properties": {**columns, "data": {"type": "array", "items": row}}}


def _distinct(schemas: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [s for i, s in enumerate(schemas) if s not in schemas[:i]]


def _records_schema(fields: list[Field]) -> dict[str, Any]:
    properties = {str(f.name): _type_schema(f.type) for f in fields if f.name is not None}
    required = [str(f.name) for f in fields if f.required and f.name is not None]
    return {"type": "array", "items": {"type": "object", "properties": properties, "required": required}}


def _tensors_schema(fields: tuple[TensorField, ...]) -> dict[str, Any]:
    if len(fields) == 1 and fields[0].name is None:
        return _tensor_schema(fields[0])
    properties = {str(f.name): _tensor_schema(f) for f in fields}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _tensor_schema(field: TensorField) -> dict[str, Any]:
    kind = _KINDS.get(field.dtype.kind)
    schema: dict[str, Any] = {"type": kind} if kind else {}
    for length in reversed(field.shape):
        fixed = {} if length < 0 else {"minItems": length, "maxItems": length}
        schema = {"type": "array", "items": schema, **fixed}
    return schema


def _params_schema(params: tuple[Param, ...]) -> dict[str, Any]:
    return {"type": "object", "properties": {p.name: {**_param_schema(p), "default": p.default} for p in params}}


def _param_schema(param: Param) -> dict[str, Any]:
    one = _type_schema(param.type)
    return {"type": "array", "items": one} if param.shape is not None else one


def _answer_schema(outputs: Schema | None) -> dict[str, Any]:
    if not outputs:
        return {}
    if is_tensor_schema(outputs):
        return _tensors_schema(outputs)
    fields = [f for f in outputs if isinstance(f, Field)]
    if len(fields) == 1 and fields[0].name is None:
        return {"type": "array", "items": _type_schema(fields[0].type)}
    return _records_schema(fields)


def _type_schema(type_: Type) -> dict[str, Any]:
    match type_:
        case Scalar():
            return _SCALARS[type_]
        case ArrayOf(items):
            return {"type": "array", "items": _type_schema(items)}
        case MapOf(values):
            return {"type": "object", "additionalProperties": _type_schema(values)}
        case ObjectOf(properties):
            return {
                "type": "object",
                "properties": {p.name: _type_schema(p.type) for p in properties},
                "required": [p.name for p in properties if p.required],
                "additionalProperties": False,
            }
        case AnyValue():
            return {}
