"""The types that MLflow's column signatures know, and how they are written in JSON.

Source: MLflow's signature JSON (`type`, `items`, `properties`, `values`), as its 1.x to 3.x clients write it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias

import numpy as np

from penstock.errors import PackageInvalid


class Scalar(Enum):
    """One cell of a plain column. The value is MLflow's name for it."""

    BOOLEAN = "boolean", bool
    INTEGER = "integer", np.int32
    LONG = "long", np.int64
    FLOAT = "float", np.float32
    DOUBLE = "double", np.float64
    STRING = "string", object
    BINARY = "binary", object
    DATETIME = "datetime", "datetime64[ns]"

    dtype: np.dtype[Any]
    """The numpy dtype of a column without missing values."""

    def __new__(cls, name: Any, dtype: Any = object) -> Scalar:
        scalar = object.__new__(cls)
        scalar._value_ = name
        scalar.dtype = np.dtype(dtype)
        return scalar

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True, slots=True)
class ArrayOf:
    """A list in one cell, every item of one type."""

    items: Type

    def __str__(self) -> str:
        return f"array<{self.items}>"


@dataclass(frozen=True, slots=True)
class Property:
    """One key of an object."""

    name: str
    type: Type
    required: bool = True


@dataclass(frozen=True, slots=True)
class ObjectOf:
    """A JSON object in one cell, with known keys."""

    properties: tuple[Property, ...]

    def __str__(self) -> str:
        inside = ", ".join(f"{p.name}{'' if p.required else '?'}: {p.type}" for p in self.properties)
        return f"object{{{inside}}}"


@dataclass(frozen=True, slots=True)
class MapOf:
    """A JSON object in one cell, with any keys and values of one type."""

    values: Type

    def __str__(self) -> str:
        return f"map<{self.values}>"


@dataclass(frozen=True, slots=True)
class AnyValue:
    """Anything JSON can say."""

    def __str__(self) -> str:
        return "any"


Type: TypeAlias = Scalar | ArrayOf | ObjectOf | MapOf | AnyValue


# Far beyond what data has, and far from where reading and describing a type would run out of stack.
_DEEPEST = 50


def read_type(spec: Mapping[str, Any], where: str, depth: int = 0) -> Type:
    """The type that a JSON description means. `where` names it in errors. Raises PackageInvalid."""
    if depth > _DEEPEST:
        raise PackageInvalid("The signature's types are nested too deeply.")
    depth += 1
    kind = spec.get("type")
    match kind:
        case "array":
            return ArrayOf(read_type(_inner(spec, "items", where), f"{where} items", depth))
        case "object":
            properties = _inner(spec, "properties", where)
            if not all(isinstance(p, Mapping) for p in properties.values()):
                raise PackageInvalid(f"The signature's {where} has properties that are not JSON objects.")
            return ObjectOf(
                tuple(
                    Property(str(k), read_type(p, f"{where}.{k}", depth), is_required(p, default=True))
                    for k, p in properties.items()
                )
            )
        case "map":
            return MapOf(read_type(_inner(spec, "values", where), f"{where} values", depth))
        case "any":
            return AnyValue()
        case "sparkml_vector":
            return ArrayOf(Scalar.DOUBLE)
    try:
        return Scalar(kind)
    except (ValueError, TypeError):
        raise PackageInvalid(f"The signature gives {where} the unknown type {kind!r}.") from None


def write_type(type_: Type) -> dict[str, Any]:
    """The inverse of read_type."""
    match type_:
        case ArrayOf(items):
            return {"type": "array", "items": write_type(items)}
        case ObjectOf(properties):
            return {
                "type": "object",
                "properties": {p.name: {**write_type(p.type), "required": p.required} for p in properties},
            }
        case MapOf(values):
            return {"type": "map", "values": write_type(values)}
        case AnyValue():
            return {"type": "any"}
        case Scalar():
            return {"type": type_.value}


def is_required(spec: Mapping[str, Any], *, default: bool) -> bool:
    """`required` as 2.11 and later write it, or the `optional` of 2.6 to 2.9."""
    if "required" in spec:
        return bool(spec["required"])
    if "optional" in spec:
        return not spec["optional"]
    return default


def _inner(spec: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    inner = spec.get(key)
    if not isinstance(inner, Mapping):
        raise PackageInvalid(f"The signature's {where} has type {spec.get('type')!r} but no {key!r}.")
    return inner
