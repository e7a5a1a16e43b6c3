"""MLflow's descriptions (signature, schema, column …), which pickles and model files carry along and nobody reads."""

from __future__ import annotations

from enum import Enum
from typing import Any


class Opaque:
    """Takes whatever the real one takes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...


class DataType(Enum):
    boolean = 1
    integer = 2
    long = 3
    float = 4
    double = 5
    string = 6
    binary = 7
    datetime = 8


def infer_signature(*_: Any, **__: Any) -> Any:
    """Model files call it where they would also save the model."""
    return SIGNATURES["ModelSignature"]()


SIGNATURES = {name: type(name, (Opaque,), {}) for name in ("ModelSignature",)}
SCHEMAS = {
    "DataType": DataType,
    **{
        name: type(name, (Opaque,), {})
        for name in (
            "AnyType",
            "Array",
            "ColSpec",
            "Map",
            "Object",
            "ParamSchema",
            "ParamSpec",
            "Property",
            "Schema",
            "SparkMLVector",
            "TensorInfo",
            "TensorSpec",
        )
    },
}
