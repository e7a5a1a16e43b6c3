"""Values for columns by their declared type: good ones, and odd ones that may or may not pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Spec = dict[str, Any]

GOOD: dict[str, list[Any]] = {
    "boolean": [True, False, True],
    "integer": [1, -2, 2147483647],
    "long": [1, -5, 2**53 + 1],
    "float": [0.5, -1.1, 3.0],
    "double": [0.1, -2.5, 4.0],
    "string": ["a", 'é ☃ " \\', "7"],
    "binary": ["YWJj", "AP8=", ""],
    "datetime": ["2024-01-02T03:04:05", "1969-12-31T23:59:59", "2024-02-29T00:00:00"],
    "any": [1, "a", [1.5]],
}

ODD: dict[str, Any] = {
    "true": True,
    "false": False,
    "zero": 0,
    "one": 1,
    "seven": 7,
    "whole float": 2.0,
    "fraction": 1.9,
    "negative zero": -0.0,
    "past integer": 2**33,
    "past double's digits": 2**53 + 1,
    "past long": 2**63,
    "past unsigned": 2**64 + 1,
    "huge float": 1e300,
    "tiny float": 1e-320,
    "numeric text": "7",
    "fraction text": "7.5",
    "padded text": " 7 ",
    "text of a big number": "9223372036854775808",
    "word": "abc",
    "true text": "true",
    "False text": "False",
    "null text": "null",
    "nan text": "NaN",
    "inf text": "inf",
    "underscored text": "1_000",
    "empty text": "",
    "date text": "2021-06-01",
    "moment text": "2021-06-01T10:00:00",
    "moment with millis": "2021-06-01T10:00:00.123",
    "moment with nanos": "2021-06-01T10:00:00.123456789",
    "spaced moment": "2021-06-01 10:00:00",
    "zoned moment": "2021-06-01T10:00:00Z",
    "offset moment": "2021-06-01T10:00:00+02:00",
    "american date": "06/01/2021",
    "compact date": "20240102",
    "worded date": "1 June 2021",
    "impossible date": "2021-02-30",
    "early date": "1000-01-01T00:00:00",
    "late date": "3000-01-01T00:00:00",
    "bad base64": "YWJ",
    "odd base64": "Y W\nJj",
    "url base64": "-_8=",
    "list": [1],
    "empty list": [],
    "list of lists": [[1.5], [2.5]],
    "object": {"a": 1},
    "empty object": {},
}

# What is worth asking of every column, where the whole table would be too much.
FEW_ODD = ("true", "whole float", "fraction", "past integer", "huge float", "numeric text", "word", "list", "object")


def good(spec: Spec, number: int = 0) -> Any:
    """A value that fits, another one for every number."""
    kind = spec["type"]
    if kind == "array":
        return [good(spec["items"], number + i) for i in range(2)]
    if kind == "object":
        return {name: good(inner, number) for name, inner in spec["properties"].items()}
    if kind == "map":
        return {f"k{i}": good(spec["values"], number + i) for i in range(2)}
    return GOOD[kind][number % len(GOOD[kind])]


def variants(spec: Spec, depth: int = 2) -> Iterator[tuple[str, Any]]:
    """Values that differ from a good one in one place."""
    kind = spec["type"]
    if kind == "array":
        yield from _array_variants(spec, depth)
    elif kind == "object":
        yield from _object_variants(spec, depth)
    elif kind == "map":
        yield from _map_variants(spec, depth)
    else:
        names = ODD if depth == 2 else FEW_ODD
        yield from ((name, ODD[name]) for name in names)


def _array_variants(spec: Spec, depth: int) -> Iterator[tuple[str, Any]]:
    first = good(spec["items"])
    yield "empty list", []
    yield "one item", [first]
    yield "null among the items", [first, None]
    yield "only null items", [None]
    yield "nested one deeper", [[first]]
    yield "object for the list", {"a": first}
    yield "text for the list", "abc"
    yield "number for the list", 1.5
    yield "whole numbers", [1, 2]
    yield "zeros and ones", [0, 1]
    yield "whole numbers and fractions", [1, 2.5]
    yield "numbers as text", ["1", "2"]
    yield "mixed", [1, "a", True]
    if depth:
        yield from ((f"items: {name}", [first, value]) for name, value in variants(spec["items"], depth - 1))


def _object_variants(spec: Spec, depth: int) -> Iterator[tuple[str, Any]]:
    whole = good(spec)
    yield "empty object", {}
    yield "unknown property", {**whole, "unknown": 1}
    yield "list for the object", [whole]
    yield "text for the object", "abc"
    yield "number for the object", 1.5
    yield "properties reordered", dict(reversed(whole.items()))
    for name, inner in spec["properties"].items():
        yield f"without {name}", {k: v for k, v in whole.items() if k != name}
        yield f"{name} null", {**whole, name: None}
        if depth:
            yield from ((f"{name}: {case}", {**whole, name: value}) for case, value in variants(inner, depth - 1))


def _map_variants(spec: Spec, depth: int) -> Iterator[tuple[str, Any]]:
    first = good(spec["values"])
    yield "empty object", {}
    yield "null value", {"k": None}
    yield "list for the map", [first]
    yield "text for the map", "abc"
    yield "number for the map", 1.5
    yield "whole number", {"k": 2}
    yield "empty key", {"": first}
    if depth:
        yield from ((f"value: {name}", {"k": value}) for name, value in variants(spec["values"], depth - 1))
