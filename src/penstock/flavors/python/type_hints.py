"""Type hints of MLflow's PythonModels: which of them its server validates inputs by, and the input as a hint wants it.

Source: the scoring protocol of `mlflow models serve`, 2.20 to 3.x. A hint is always a list, one item for each row; the
items are validated strictly and pydantic models are constructed. Only text for bytes (base64) and datetime (ISO 8601)
is converted, since JSON has no other form for them.
"""

from __future__ import annotations

import base64
import inspect
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from penstock.errors import SchemaViolation
from penstock.payload import MAX_VIOLATIONS, Violation, clipped, shortened

# The hint that asks for the kind of value that the package's example has.
TypeFromExample = TypeVar("TypeFromExample")

_SCALARS = (int, str, bool, float, bytes, datetime)

# Hints that could not be evaluated, but are understood as text. Spaces, case and `typing.` are taken away first.
_KNOWN_TEXTS: Mapping[str, Any] = {"list[str]": list[str], "list[dict[str,str]]": list[dict[str, str]]}


class _Mismatch(Exception):
    """Why one item does not fit its hint."""


def validate_hinted(value: Any, hint: Any) -> Any:
    """The input as the hint wants it, pydantic models constructed. Raises SchemaViolation, which names the rows."""
    if get_origin(hint) is not list or not isinstance(value, list):
        try:
            return _validated(value, hint)
        except _Mismatch as error:
            raise SchemaViolation([Violation(str(error))]) from None
    rows: list[Any] = []
    violations: list[Violation] = []
    (item_hint,) = get_args(hint)
    for row, item in enumerate(value):
        try:
            rows.append(_validated(item, item_hint))
        except _Mismatch as error:
            violations.append(Violation(str(error), row))
            if len(violations) == MAX_VIOLATIONS:
                break
    if violations:
        raise SchemaViolation(violations)
    return rows


def _validated(value: Any, hint: Any) -> Any:
    """Raises _Mismatch."""
    if hint is Any:
        return value
    if hint in _SCALARS:
        return _scalar(value, hint)
    if _is_model(hint):
        return _constructed(value, hint)
    origin, args = get_origin(hint), get_args(hint)
    if origin is list:
        if not isinstance(value, list):
            raise _Mismatch(f"a list is wanted, not {shortened(value)}")
        return [_inner(item, args[0], f"item {i}") for i, item in enumerate(value)]
    if origin is dict:
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise _Mismatch(f"an object is wanted, not {shortened(value)}")
        return {key: _inner(item, args[1], f"key {shortened(key)}") for key, item in value.items()}
    if origin in (Union, UnionType):
        wanted = [arg for arg in args if arg is not NoneType]
        if value is None and len(wanted) < len(args):
            return None
        # MLflow takes anything for a union of several types, and so do we.
        return _validated(value, wanted[0]) if len(wanted) == 1 and len(args) == 2 else value
    raise _Mismatch(f"the model's type hint {name_of(hint)} is none that inputs can be checked by")


def _inner(value: Any, hint: Any, where: str) -> Any:
    try:
        return _validated(value, hint)
    except _Mismatch as error:
        raise _Mismatch(f"{where}: {error}") from None


def _scalar(value: Any, hint: type) -> Any:
    try:
        if hint is bytes and isinstance(value, str):
            return base64.decodebytes(value.encode())
        if hint is datetime and isinstance(value, str):
            return datetime.fromisoformat(value)
    except ValueError:
        form = "base64" if hint is bytes else "a moment in ISO 8601"
        raise _Mismatch(f"{shortened(value)} is not {form}") from None
    if not isinstance(value, hint):
        raise _Mismatch(f"{hint.__name__} is wanted, not {shortened(value)}")
    return value


def _constructed(value: Any, model: Any) -> Any:
    """Validated strictly, then constructed as pydantic does by default, since that is what MLflow does."""
    from pydantic import BaseModel, ValidationError

    if not isinstance(value, (dict, BaseModel)):
        raise _Mismatch(f"an object is wanted, not {shortened(value)}")
    fields = value.model_dump() if isinstance(value, BaseModel) else value
    try:
        model.model_validate(fields, strict=True)
        return value if isinstance(value, BaseModel) else model(**fields)
    except ValidationError as error:
        raise _Mismatch(_explained(error)) from None


def _explained(error: Any) -> str:
    """pydantic's first few complaints in one line, with the values but without its links."""
    found = error.errors(include_url=False, include_context=False)
    complaints = [
        f"{'.'.join(map(str, one['loc'])) or 'the object'}: {clipped(one['msg'], 120)}, not {shortened(one['input'])}"
        if one["type"] != "missing"
        else f"{'.'.join(map(str, one['loc']))} is missing"
        for one in found[:3]
    ]
    return "; ".join(complaints) + (f"; and {len(found) - 3} more" if len(found) > 3 else "")


def is_validated(hint: Any) -> bool:
    """Whether MLflow checks inputs by this hint: a list whose items it has a type for."""
    return get_origin(hint) is list and len(get_args(hint)) == 1 and _has_type(get_args(hint)[0], optional=False)


def _has_type(hint: Any, *, optional: bool = True) -> bool:
    if hint is Any or hint in _SCALARS:
        return True
    if _is_model(hint):
        return all(_has_type(field.annotation) for field in hint.model_fields.values())
    origin, args = get_origin(hint), get_args(hint)
    if origin is list:
        return len(args) == 1 and _has_type(args[0])
    if origin is dict:
        return len(args) == 2 and args[0] is str and _has_type(args[1])
    if origin in (Union, UnionType):
        if NoneType in args and not optional:
            return False
        return NoneType not in args or len(args) > 2 or all(_has_type(arg) for arg in args if arg is not NoneType)
    return False


def _is_model(hint: Any) -> bool:
    """Whether the hint is a pydantic model. Nothing is one unless somebody imported pydantic."""
    pydantic = sys.modules.get("pydantic")
    return (
        pydantic is not None and inspect.isclass(hint) and not get_origin(hint) and issubclass(hint, pydantic.BaseModel)
    )


def name_of(hint: Any) -> str:
    """The hint as its author wrote it, nearly."""
    return hint.__name__ if inspect.isclass(hint) and not get_origin(hint) else str(hint)


def frame_for_hint(value: Any, hint: Any) -> Any:
    """A frame as the list that the hint asks for: its one column, or its rows as objects. Anything else as it is."""
    pandas = sys.modules.get("pandas")
    if pandas is None or not isinstance(value, pandas.DataFrame) or get_origin(hint) is not list:
        return value
    if _is_model(get_args(hint)[0]) and value.columns.tolist() != [0]:
        return _plain(value.to_dict(orient="records"))
    return _plain(value.iloc[:, 0].tolist())


def frame_for_example(frame: Any, example: Any) -> Any:
    """A frame as the kind of value that the package's example is: a list of cells or of objects, or still a frame."""
    if isinstance(example, dict):
        return frame.to_dict(orient="records")[0] if len(frame) == 1 else frame
    if isinstance(example, list):
        plain = all(isinstance(item, (str, bytes, int, float, bool)) for item in example)
        return frame.iloc[:, 0].tolist() if len(frame.columns) == 1 and plain else frame.to_dict(orient="records")
    return frame.iloc[0, 0] if isinstance(example, (str, int, float, bool)) else frame


def _plain(value: Any) -> Any:
    """Lists for arrays, and None for the NaN that a frame made of it."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return None if isinstance(value, float) and value != value else value


def takes_context(parameters: Mapping[str, Any]) -> bool:
    """Whether a predict function's first argument is the context, whatever it is called there."""
    return "context" in parameters or len([name for name in parameters if name not in ("self", "params")]) == 2


def input_hint(function: Callable[..., Any], position: int) -> tuple[str, Any]:
    """Name and hint of a predict function's input, `position` places after self. The hint may be None."""
    names = [name for name in inspect.signature(function).parameters if name != "self"]
    if position >= len(names):
        return "", None
    described = function if hasattr(function, "__annotations__") else type(function).__call__
    try:
        return names[position], get_type_hints(described).get(names[position])
    except Exception:  # names that cannot be resolved here, or anything that evaluating them runs into
        written = getattr(described, "__annotations__", {}).get(names[position])
        text = written.replace(" ", "").lower().replace("typing.", "") if isinstance(written, str) else ""
        return names[position], _KNOWN_TEXTS.get(text)
