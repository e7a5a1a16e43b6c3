"""Hostile shapes of any size: what a body of `n` cells, rows or names is, and `n²` of once it is laid out carelessly."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from math import isqrt
from typing import Any


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def split(data: Any, **more: Any) -> bytes:
    return compact({"dataframe_split": {**more, "data": data}})


def names(count: int) -> list[str]:
    return [f"c{i}" for i in range(count)]


def own_keys(count: int) -> list[dict[str, int]]:
    return [{f"a{i}": 1} for i in range(count)]


def header(columns: Iterable[str]) -> bytes:
    return ",".join(columns).encode() + b"\n"


Shape = Callable[[int], bytes]

JSON_SHAPES: dict[str, Shape] = {
    "a long row first": lambda n: split([[1] * n, *[[1]] * n]),
    "a long row last": lambda n: split([*[[1]] * n, [1] * n]),
    "rows that grow": lambda n: split([[1] * i for i in range(1, isqrt(2 * n) + 2)]),
    "inputs with a long row": lambda n: compact({"inputs": [[1] * n, *[[1]] * n]}),
    "instances with a long row": lambda n: compact({"instances": [[1] * n, *[[1]] * n]}),
    "records of own keys": lambda n: compact({"dataframe_records": own_keys(n)}),
    "instances of own keys": lambda n: compact({"instances": own_keys(n)}),
    "a wide record and empty ones": lambda n: compact({"dataframe_records": [dict.fromkeys(names(n), 1), *[{}] * n]}),
    "names and a row": lambda n: split([[1] * n], columns=names(n)),
    "equal names and a row": lambda n: split([[1] * n], columns=["c"] * n),
    "names and empty rows": lambda n: split([[]] * n, columns=names(n)),
    "named lists of unequal length": lambda n: compact({"inputs": {"a": [1] * n, "b": [1]}}),
    "a named list each": lambda n: compact({"inputs": {name: [1] for name in names(n)}}),
    "a long text and empty ones": lambda n: compact({"inputs": {"x": ["a" * n, *[""] * n]}}),
    "a long text and empty ones in rows": lambda n: split([["a" * n], *[[""]] * n], columns=["x"]),
    "lists in lists": lambda n: b'{"inputs":' + b"[" * n + b"1" + b"]" * n + b"}",
    "a number of many digits": lambda n: b'{"inputs":[' + b"9" * n + b"]}",
    "objects in cells": lambda n: split([[{"x": i}] for i in range(n)], columns=["a"]),
    "lists of unequal length in cells": lambda n: split([[[1] * (i % 7)] for i in range(n)], columns=["a"]),
}

CSV_SHAPES: dict[str, Shape] = {
    "equal names": lambda n: header(["c"] * n),
    "empty names": lambda n: b"," * n + b"\n1",
    "names and a row": lambda n: header(names(n)) + header(["1"] * n),
    "names and rows of one cell": lambda n: header(names(n)) + b"1\n" * n,
    "empty lines": lambda n: b"\n" * n,
    "empty lines after names": lambda n: b"a,b\n" + b"\n" * n,
    "commas alone": lambda n: b"a,b,c\n" + b",,\n" * n,
    "rows that grow": lambda n: b"a,b\n" + b"".join(header(["1"] * i) for i in range(1, isqrt(2 * n) + 2)),
    "a quote never closed": lambda n: b'a,b\n"' + b"1,2\n" * n,
    "quotes": lambda n: b"a,b\n" + b'"' * n,
    "a long cell and short ones": lambda n: b"a\n" + b"x" * n + b"\n" + b"y\n" * n,
    "a number of many digits": lambda n: b"a\n" + b"9" * n + b"\n",
    "a comma too many in each row": lambda n: b"a,b\n" + b"1,2,\n" * n,
}
