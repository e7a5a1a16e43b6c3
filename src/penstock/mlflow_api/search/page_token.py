"""Page tokens: where a page ended, for the search that it was of and for no other.

A token is base64url of JSON: the entity's name, a fingerprint of the query, and the last row's values in the order of
the search. Clients keep tokens and send them back; nothing secret is inside, and whatever comes back is checked.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

from penstock.errors import SearchInvalid
from penstock.mlflow_api.search.entities import SortType
from penstock.mlflow_api.search.tokens import check_keepable

SortValue: TypeAlias = "str | int | float | None"

# Texts that are sorted by may be long; no token of ours is longer than this.
MAX_TOKEN = 1024 * 1024

_GREATEST = 2**63
_AGAIN = "Begin again without a page token, and send every token with the query that gave it."
# Floats that JSON has no form for, as lists of one word.
_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def fingerprint(*parts: object) -> str:
    """Of what makes a query this one: filter, order, experiments. Parts are whatever JSON has a form for."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def encode(entity_name: str, query: str, values: Sequence[SortValue]) -> str:
    """`query` is its fingerprint."""
    plain = [_written(value) for value in values]
    text = json.dumps([entity_name, query, plain], separators=(",", ":"), allow_nan=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(token: str, entity_name: str, query: str, types: Sequence[SortType]) -> tuple[SortValue, ...]:
    """The values, which are of these types or None. Raises SearchInvalid for a token of another query, or none at
    all."""
    try:
        of_entity, of_query, plain = _read(token)
        if (of_entity, of_query) != (entity_name, query):
            raise SearchInvalid("The page token belongs to another query.", hint=_AGAIN, field="page_token")
        return tuple(_value(value, type_) for value, type_ in zip(plain, types, strict=True))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise SearchInvalid("The page token is none that this server gave.", hint=_AGAIN, field="page_token") from error


def _written(value: SortValue) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return [repr(value)]
    return value


def _read(token: str) -> list[Any]:
    if len(token) > MAX_TOKEN:
        raise ValueError("longer than any token")
    padded = token + "=" * (-len(token) % 4)
    parts = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    if not isinstance(parts, list):
        raise TypeError(parts)
    return parts


def _value(plain: object, type_: SortType) -> SortValue:
    if plain is None:
        return None
    if type_ == "text" and isinstance(plain, str):
        check_keepable(plain, "page_token")
        return plain
    if type_ == "number" and isinstance(plain, list):
        (word,) = plain
        return _NOT_FINITE[word]
    if type_ == "number" and isinstance(plain, float):
        return plain
    if type_ == "number" and type(plain) is int and -_GREATEST <= plain < _GREATEST:
        return plain
    raise TypeError(plain)
