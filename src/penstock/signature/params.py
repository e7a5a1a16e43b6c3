"""Inference parameters: defaults filled in, unknown ones dropped, types strict, as in MLflow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np

from penstock.errors import SchemaViolation
from penstock.payload import Violation, nearest, shortened
from penstock.signature.cells import cell_reader
from penstock.signature.misfit import Misfit
from penstock.signature.moments import check_moments, read_moment, why_no_moment
from penstock.signature.schema import Param
from penstock.signature.types import Scalar

# Which Python types of a JSON value a param may have; a bool is never a number, and 1.0 is not whole.
_ALLOWED: dict[Scalar, tuple[type, ...]] = {
    Scalar.BOOLEAN: (bool,),
    Scalar.INTEGER: (int,),
    Scalar.LONG: (int,),
    Scalar.FLOAT: (int, float),
    Scalar.DOUBLE: (int, float),
    Scalar.STRING: (str,),
    Scalar.DATETIME: (str, datetime),
}


def conform_params(params: tuple[Param, ...], given: object) -> dict[str, Any] | None:
    """The params the model is called with: those given, checked, then the defaults of the rest.

    Raises SchemaViolation. A model without a params schema gets none of them, whatever was sent: an empty dict, or None
    where nothing was sent.
    """
    if not params:
        return None if given is None else {}
    if given is not None and not isinstance(given, Mapping):
        raise SchemaViolation([Violation(f"params must be an object, not {shortened(given)}")])
    known = {param.name: param for param in params}
    values = {name: value for name, value in (given or {}).items() if name in known}
    values |= {name: param.default for name, param in known.items() if name not in values}
    violations: list[Violation] = []
    result: dict[str, Any] = {}
    for name, value in values.items():
        try:
            param = known[name]
            plain = param.shape is None and isinstance(param.type, Scalar)
            if value is None and name in (given or {}) and not plain:
                raise Misfit(f"null is not {'a list' if param.shape is not None else param.type}")
            result[name] = _read(param, value)
        except Misfit as misfit:
            violations.append(Violation(f"param {name!r}: {misfit}"))
    if violations:
        raise SchemaViolation(violations)
    return result


def unknown_params(params: tuple[Param, ...], given: object) -> list[str]:
    """The names of params that were sent and that the model does not have."""
    known = {param.name for param in params}
    return [str(name) for name in given if name not in known] if isinstance(given, Mapping) else []


def unknown_param(params: tuple[Param, ...], name: str) -> str:
    """What is ignored of a param that the model does not have, with the nearest one that it has."""
    found = nearest(name, [param.name for param in params]) if params else "; it takes no params"
    return f"The model has no param {shortened(name)}, which is ignored{found}."


def _read(param: Param, value: Any) -> Any:
    if param.shape is not None:
        if value is None:
            return None
        if not isinstance(value, list):
            raise Misfit(f"{shortened(value)} is not a list")
        return [_read_one(param, item) for item in value]
    return _read_one(param, value)


def _read_one(param: Param, value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(param.type, Scalar):
        return _plain(cell_reader(param.type, "frame")(value))
    allowed = _ALLOWED.get(param.type, ())
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        raise Misfit(f"{shortened(value)} is not {param.type}")
    if isinstance(value, int) and param.type in (Scalar.FLOAT, Scalar.DOUBLE):
        try:
            return float(value)
        except OverflowError:
            raise Misfit(f"{shortened(value)} is out of range for {param.type}") from None
    if param.type is Scalar.DATETIME and isinstance(value, str):
        return _moment(value)
    return value


# numpy converts a zone to UTC, and warns of it.
_ZONED = re.compile(r"[T ][0-9:.,]+(?:[Zz]|[+-][0-9:]+)$")


def _moment(text: str) -> Any:
    """A datetime in UTC, a date where the text has no time, None where it is empty."""
    check_moments((text,))
    try:
        found = read_moment(text) if _ZONED.search(text) else np.datetime64(text)
    except ValueError:
        raise Misfit(why_no_moment(text)) from None
    short = found.astype("datetime64[us]")
    moment = (short if found == short and np.datetime_data(found.dtype)[0] == "ns" else found).item()
    if isinstance(moment, int):  # what Python's datetime cannot hold
        raise Misfit(f"{shortened(text)} is out of range, or more precise than a microsecond")
    return moment


def _plain(value: Any) -> Any:
    """Python's own numbers, as params have them."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value
