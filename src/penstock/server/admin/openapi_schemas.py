"""What models take and give, as the schemas of OpenAPI 3.1, which are JSON Schema 2020-12."""

from __future__ import annotations

from typing import Any

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

_SCALARS: dict[Scalar, dict[str, Any]] = {
    Scalar.BOOLEAN: {"type": "boolean"},
    Scalar.INTEGER: {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1},
    Scalar.LONG: {"type": "integer", "format": "int64"},
    Scalar.FLOAT: {"type": ["number", "null"], "format": "float"},
    Scalar.DOUBLE: {"type": ["number", "null"], "format": "double"},
    Scalar.STRING: {"type": ["string", "null"]},
    Scalar.BINARY: {"type": "string", "contentEncoding": "base64"},
    Scalar.DATETIME: {
        "type": ["string", "null"],
        "format": "date-time",
        "description": "ISO 8601: a date, with a time or without, with a zone (converted to UTC) or without one.",
        "examples": ["2024-01-31T12:00:00Z", "2024-01-31T13:00:00+01:00", "2024-01-31T12:00:00", "2024-01-31"],
    },
}
_SINCE_1970 = {"s": "Seconds", "ms": "Milliseconds", "us": "Microseconds", "ns": "Nanoseconds"}
_KINDS = {"b": "boolean", "i": "integer", "u": "integer", "f": "number", "U": "string", "S": "string"}


def request_schema(signature: Signature) -> dict[str, Any]:
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
    row = {"type": "array", "items": {"anyOf": _distinct([_field_schema(f) for f in fields])}}
    return {"type": "object", "required": ["data"], "properties": {**columns, "data": {"type": "array", "items": row}}}


def _distinct(schemas: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [s for i, s in enumerate(schemas) if s not in schemas[:i]]


def _records_schema(fields: list[Field]) -> dict[str, Any]:
    properties = {str(f.name): _field_schema(f) for f in fields if f.name is not None}
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
    return {"type": "object", "properties": {p.name: _param_schema(p) for p in params}}


def _param_schema(param: Param) -> dict[str, Any]:
    one = _type_schema(param.type)
    shown = param.json_default
    default = {"default": shown} if shown == param.default else {"description": f"The default is {shown}."}
    return {"type": "array", "items": one, **default} if param.shape is not None else {**one, **default}


def answer_schema(outputs: Schema | None) -> dict[str, Any]:
    if not outputs:
        return {}
    if is_tensor_schema(outputs):
        return _tensors_schema(outputs)
    fields = [f for f in outputs if isinstance(f, Field)]
    if len(fields) == 1 and fields[0].name is None:
        return {"type": "array", "items": _type_schema(fields[0].type)}
    return _records_schema(fields)


def _field_schema(field: Field) -> dict[str, Any]:
    """A column of datetimes may have a unit for numbers."""
    if not field.epoch:
        return _type_schema(field.type)
    counted = {"type": "number", "description": f"{_SINCE_1970[field.epoch]} since 1970-01-01T00:00:00Z."}
    return {"anyOf": [_type_schema(field.type), counted]}


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
