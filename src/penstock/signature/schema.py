"""Fields, params and the whole signature, read from and written to the form that an MLmodel file holds.

There, `inputs`, `outputs` and `params` are JSON *texts*; a column is `{"type", "name"?, "required"}`, a tensor is
`{"name"?, "type": "tensor", "tensor-spec": {"dtype", "shape"}}`, and one side never mixes the two.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import NoneType
from typing import Any, TypeAlias, TypeGuard

import numpy as np

from penstock.errors import PackageInvalid
from penstock.payload import Name, shortened
from penstock.signature.moments import EPOCH_UNITS
from penstock.signature.types import Scalar, Type, is_required, read_type, write_type


@dataclass(frozen=True, slots=True)
class Field:
    """One column. `name` is None where the columns have none; an optional column may be absent or null. `epoch` is the
    unit of numbers in a column of datetimes, a key of EPOCH_UNITS; without one, numbers are refused there."""

    name: Name | None
    type: Type
    required: bool = True
    epoch: str = ""

    def __str__(self) -> str:
        named = f"{self.name}: " if self.name is not None else ""
        counted = f" or {self.epoch} since 1970" if self.epoch else ""
        return f"{named}{self.type}{counted}{'' if self.required else ' (optional)'}"


@dataclass(frozen=True, slots=True)
class TensorField:
    """One array. -1 in `shape` is any length; the first axis is the rows. dtype kinds U, S and O take any width."""

    name: str | None
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def __str__(self) -> str:
        named = f"{self.name}: " if self.name is not None else ""
        return f"{named}{dtype_name(self.dtype)}{list(self.shape)}"


Schema: TypeAlias = tuple[Field, ...] | tuple[TensorField, ...]


def shown_schema(schema: Schema | None, most: int = 4) -> str:
    """The first few columns or tensors, for a `repr`."""
    if not schema:
        return "anything"
    return ", ".join(map(str, schema[:most])) + (f" and {len(schema) - most} more" if len(schema) > most else "")


def is_tensor_schema(schema: Schema) -> TypeGuard[tuple[TensorField, ...]]:
    return bool(schema) and isinstance(schema[0], TensorField)


@dataclass(frozen=True, slots=True)
class Param:
    """One inference parameter. `shape` None is a scalar, (-1,) a list."""

    name: str
    type: Type
    default: Any
    shape: tuple[int, ...] | None = None

    @property
    def json_default(self) -> Any:
        """The default as JSON has it: NaN and Infinity, which MLflow writes as bare words, are texts."""
        return _with_words(self.default)


def _with_words(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_words(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


@dataclass(frozen=True, slots=True)
class Signature:
    """`inputs` or `outputs` is None where the package does not say. `hinted` is whether they come from a type hint.
    `max_text` is the most bytes of a text that whoever serves the model lets through, 0 where that is any; no package
    says it."""

    inputs: Schema | None = None
    outputs: Schema | None = None
    params: tuple[Param, ...] = ()
    hinted: bool = False
    max_text: int = 0

    @property
    def enforced(self) -> Schema | None:
        """What inputs are put into the form of. A model with a type hint checks them itself, by that hint."""
        return None if self.hinted else self.inputs

    @classmethod
    def from_mlflow(cls, mapping: Mapping[str, Any]) -> Signature:
        """From the `signature` of an MLmodel file. Raises PackageInvalid."""
        try:
            read = cls(
                inputs=_read_side(mapping, "inputs"),
                outputs=_read_side(mapping, "outputs"),
                params=tuple(_read_param(spec) for spec in _json_list(mapping, "params") or ()),
            )
        except RecursionError:
            raise PackageInvalid("The signature's types are nested too deeply.") from None
        return read.with_epoch_units(mapping["epoch_units"]) if mapping.get("epoch_units") else read

    def to_mlflow(self) -> dict[str, str | None]:
        """What an MLmodel file holds as `signature`; with `epoch_units` beside MLflow's keys where there are any, which
        MLflow passes over."""
        written = {
            "inputs": _write_side(self.inputs),
            "outputs": _write_side(self.outputs),
            "params": json.dumps([_write_param(p) for p in self.params]) if self.params else None,
        }
        units = {str(f.name): f.epoch for f in self.inputs or () if isinstance(f, Field) and f.epoch}
        return {**written, "epoch_units": json.dumps(units)} if units else written

    def with_epoch_units(self, units: Any) -> Signature:
        """The same, with the units of numbers in columns of datetimes: a mapping of names to units, or the JSON of one.
        Raises PackageInvalid."""
        try:
            found = json.loads(units) if isinstance(units, str) else units
        except ValueError:
            found = units
        if not isinstance(found, Mapping):
            raise PackageInvalid(f"The epoch units must map columns to units, not be {shortened(units)}.")
        moments = [f for f in self.inputs or () if isinstance(f, Field) and f.type is Scalar.DATETIME]
        names = {str(f.name) for f in moments if f.name is not None}
        for name, unit in found.items():
            if str(name) not in names:
                there = f"they are {', '.join(map(repr, sorted(names)[:8]))}" if names else "it has none"
                raise PackageInvalid(f"The epoch units name {name!r}, no datetime column of the model; {there}.")
            if unit not in EPOCH_UNITS:
                known = ", ".join(EPOCH_UNITS)
                raise PackageInvalid(f"The epoch unit of column {name!r} is {shortened(unit)}; units are {known}.")
        chosen = {str(name): unit for name, unit in found.items()}
        inputs: Any = tuple(
            replace(f, epoch=chosen.get(str(f.name), "")) if isinstance(f, Field) else f for f in self.inputs or ()
        )
        return replace(self, inputs=inputs or self.inputs)


def _json_list(mapping: Mapping[str, Any], side: str) -> list[Mapping[str, Any]] | None:
    text = mapping.get(side)
    if text is None:
        return None
    try:
        specs = json.loads(text) if isinstance(text, str) else text
    except ValueError as error:
        raise PackageInvalid(f"The signature's {side} are not JSON: {error}.") from None
    if not isinstance(specs, list) or not all(isinstance(s, Mapping) for s in specs):
        raise PackageInvalid(f"The signature's {side} are not a list of objects.")
    return specs


def _read_side(mapping: Mapping[str, Any], side: str) -> Schema | None:
    specs = _json_list(mapping, side)
    if not specs:
        return None
    tensors = [spec.get("type") == "tensor" for spec in specs]
    if all(tensors):
        arrays = tuple(_read_tensor(spec, side) for spec in specs)
        if len(arrays) > 1 and len({f.name for f in arrays} - {None}) < len(arrays):
            raise PackageInvalid(f"The signature's {side} are several tensors, and each tensor needs a unique name.")
        return arrays
    if any(tensors):
        raise PackageInvalid(f"The signature's {side} mix columns and tensors.")
    fields = tuple(_read_field(spec, i, side) for i, spec in enumerate(specs))
    if len({f.name is None for f in fields}) > 1:
        raise PackageInvalid(f"The signature must name all of its {side} or none of them; only some have names.")
    return fields


def _read_field(spec: Mapping[str, Any], position: int, side: str) -> Field:
    name = spec.get("name")
    if not isinstance(name, (str, int, NoneType)) or isinstance(name, bool):
        raise PackageInvalid(f"The signature's {side} name a column {shortened(name)}; names are text or integers.")
    type_ = read_type(spec, f"{side} column {name if name is not None else position}")
    # Without the key a scalar column is required and a compound one is not: so MLflow reads its own older files.
    return Field(name, type_, is_required(spec, default=isinstance(type_, Scalar)))


def _read_tensor(spec: Mapping[str, Any], side: str) -> TensorField:
    inner = spec.get("tensor-spec")
    try:
        dtype_text, shape, name = inner["dtype"], inner["shape"], spec.get("name")  # type: ignore[index]
        dtype = np.dtype({"str": "U", "string": "U", "bytes": "S"}.get(dtype_text, dtype_text))
        if not isinstance(dtype_text, str) or dtype.kind not in "biufcUSOMm":
            raise ValueError(f"dtype {shortened(dtype_text)}")
        if not isinstance(shape, list) or not all(type(n) is int and n >= -1 for n in shape):
            raise ValueError(f"shape {shortened(shape)}")
        if not isinstance(name, (str, NoneType)):
            raise ValueError(f"name {shortened(name)}")
        return TensorField(name, dtype, tuple(shape))
    except (TypeError, KeyError, ValueError) as error:
        detail = f"{shortened(dict(spec), 200)} ({error})"
        raise PackageInvalid(f"The signature's {side} hold a tensor that cannot be read: {detail}.") from None


def _read_param(spec: Mapping[str, Any]) -> Param:
    name = spec.get("name")
    if not isinstance(name, str):
        raise PackageInvalid(f"The signature holds a param without a name: {spec!r}.")
    kind = spec.get("type", spec.get("dtype"))  # 2.6 wrote `dtype`
    shape = spec.get("shape")
    if shape is not None and not isinstance(shape, list):
        raise PackageInvalid(f"The signature gives param {name} the shape {shortened(shape)}; a shape is a list.")
    return Param(
        name,
        read_type({**spec, "type": kind}, f"param {name}"),
        spec.get("default"),
        tuple(shape) if shape else None,
    )


def _write_side(schema: Schema | None) -> str | None:
    if schema is None:
        return None
    return json.dumps([_write_tensor(f) if isinstance(f, TensorField) else _write_field(f) for f in schema])


def _write_field(field: Field) -> dict[str, Any]:
    named = {} if field.name is None else {"name": field.name}
    return {**write_type(field.type), **named, "required": field.required}


def _write_tensor(field: TensorField) -> dict[str, Any]:
    named = {} if field.name is None else {"name": field.name}
    return {
        **named,
        "type": "tensor",
        "tensor-spec": {"dtype": dtype_name(field.dtype), "shape": list(field.shape)},
    }


def _write_param(param: Param) -> dict[str, Any]:
    return {
        "name": param.name,
        **write_type(param.type),
        "default": param.default,
        "shape": None if param.shape is None else list(param.shape),
    }


def dtype_name(dtype: np.dtype[Any]) -> str:
    """The name MLflow writes: widths of text and bytes are left out."""
    return {"U": "str", "S": "bytes", "O": "object"}.get(dtype.kind, dtype.name)


def names_of(fields: Sequence[Field]) -> tuple[Name, ...] | None:
    """The columns' names, or None for unnamed ones."""
    return None if any(f.name is None for f in fields) else tuple(f.name for f in fields if f.name is not None)
