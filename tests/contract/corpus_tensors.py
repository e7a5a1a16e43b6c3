"""Requests for signatures of tensors: shapes, dtypes and containers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from contract.cells import FEW_ODD, ODD
from contract.corpus import Subject
from contract.parquet_bodies import parquet_bytes
from contract.requests import CSV, PARQUET, Request, post, request

_ITEMS: dict[str, list[Any]] = {
    "f": [0.5, -1.25, 3.0, 4.1],
    "i": [1, -2, 3, 4],
    "u": [0, 7, 255, 128],
    "b": [True, False, False, True],
    "s": ["a", "bc", "é", ""],
    "o": ["a", 1, None, 2.5],
}


def cases(about: Subject) -> Iterator[Request]:
    whole = {field.get("name", i): tensor(field, 2) for i, field in enumerate(about.inputs or ())}
    bodies: dict[str, Any] = {
        "good": _given(about, whole),
        "by name": {str(name): value for name, value in whole.items()},
        "bare": next(iter(whole.values())),
        "list of all": list(whole.values()),
        "missing name": {str(name): value for name, value in list(whole.items())[1:]},
        "extra name": {**{str(name): value for name, value in whole.items()}, "extra": [1]},
        "reordered": {str(name): value for name, value in reversed(whole.items())},
        "unequal rows": _given(about, {n: v[: 1 + i] for i, (n, v) in enumerate(whole.items())}),
        "one row": _given(about, {n: v[:1] for n, v in whole.items()}),
        "without its first axis": _given(about, {n: v[0] for n, v in whole.items()}),
        "an axis more": _given(about, {n: [v] for n, v in whole.items()}),
        "empty": _given(about, {n: [] for n in whole}),
        "null": _given(about, dict.fromkeys(whole)),
        "empty list": [],
        "empty object": {},
        "list with an empty list": [[]],
        "row of other width": _given(about, {n: [_wider(row) for row in v] for n, v in whole.items()}),
        "ragged": _given(about, {n: [v[0], _wider(v[1])] for n, v in whole.items()}),
    }
    for case, body in bodies.items():
        yield post("inputs", case, {"inputs": body})
        yield post("instances", case, {"instances": body})
    rows = [{str(n): v[i] for n, v in whole.items()} for i in range(2)]
    yield post("instances", "objects", {"instances": rows})
    yield post("instances", "objects, one without a key", {"instances": [rows[0], {}]})
    yield post("instances", "objects of other shapes", {"instances": [rows[0], {k: [v] for k, v in rows[1].items()}]})
    yield from _items(about, whole)
    yield from _frames(about, whole)


def tensor(field: dict[str, Any], rows: int) -> Any:
    """Nested lists of a tensor spec's shape, with `rows` in place of its open axes."""
    spec = field["tensor-spec"]
    items = _ITEMS[_kind(spec["dtype"])]
    return _filled([rows if n == -1 else n for n in spec["shape"]], items, [0])


def _kind(dtype: str) -> str:
    for start, kind in {"float": "f", "int": "i", "uint": "u", "bool": "b", "str": "s"}.items():
        if dtype.startswith(start):
            return kind
    return "o"


def _filled(shape: list[int], items: list[Any], count: list[int]) -> Any:
    if not shape:
        count[0] += 1
        return items[count[0] % len(items)]
    return [_filled(shape[1:], items, count) for _ in range(shape[0])]


def _given(about: Subject, tensors: dict[Any, Any]) -> Any:
    """The one array where the signature has no names, else arrays by name."""
    return next(iter(tensors.values())) if about.is_unnamed else {str(n): v for n, v in tensors.items()}


def _wider(row: Any) -> Any:
    return [*row, row[0]] if isinstance(row, list) else [row, row]


def _items(about: Subject, whole: dict[Any, Any]) -> Iterator[Request]:
    """One odd item in the first tensor, and every item odd."""
    first = next(iter(whole))
    found = ODD if about.thorough else {case: ODD[case] for case in FEW_ODD}
    for case, value in {"null": None, **found}.items():
        if isinstance(value, (list, dict)):
            continue
        yield post("inputs", f"item: {case}", {"inputs": _given(about, {**whole, first: _first(whole[first], value)})})
        everywhere = {**whole, first: _every(whole[first], value)}
        yield post("inputs", f"all items: {case}", {"inputs": _given(about, everywhere)})


def _first(nested: Any, value: Any) -> Any:
    return [_first(nested[0], value), *nested[1:]] if isinstance(nested, list) else value


def _every(nested: Any, value: Any) -> Any:
    return [_every(item, value) for item in nested] if isinstance(nested, list) else value


def _frames(about: Subject, whole: dict[Any, Any]) -> Iterator[Request]:
    """Frames for a model that takes tensors."""
    value = next(iter(whole.values()))
    names = [str(n) for n in whole]
    flat = [_flat(row) for row in value]
    letters = [f"c{i}" for i in range(len(flat[0]))]
    frames: dict[str, Any] = {
        "one column of items": {"columns": ["x"], "data": [[row] for row in value]},
        "one column of flat lists": {"columns": ["x"], "data": [[row] for row in flat]},
        "a column an item": {"columns": letters, "data": flat},
        "no column names": {"data": flat},
        "a column a tensor": {"columns": names, "data": [[v[i] for v in whole.values()] for i in range(2)]},
        "a column too many": {"columns": [*letters, "z"], "data": [[*row, row[0]] for row in flat]},
        "text cells": {"columns": letters, "data": [["a" for _ in row] for row in flat]},
        "null cells": {"columns": letters, "data": [[None for _ in row] for row in flat]},
        "numbers as text": {"columns": letters, "data": [["7" for _ in row] for row in flat]},
        "whole numbers": {"columns": letters, "data": [[i for i, _ in enumerate(row)] for row in flat]},
        "fractions": {"columns": letters, "data": [[i + 0.5 for i, _ in enumerate(row)] for row in flat]},
        "big numbers": {"columns": letters, "data": [[2**40 for _ in row] for row in flat]},
        "booleans": {"columns": letters, "data": [[True for _ in row] for row in flat]},
        "uneven lists": {"columns": ["x"], "data": [[flat[0]], [flat[0] * 2]]},
        "no rows": {"columns": letters, "data": []},
        "index": {"columns": letters, "index": [5, 6], "data": flat},
    }
    for case, table in frames.items():
        yield post("dataframe_split", case, {"dataframe_split": table})
        if "columns" in table and "index" not in table:
            objects = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
            yield post("dataframe_records", case, {"dataframe_records": objects})
    lines = [",".join(letters), *(",".join(map(str, row)) for row in flat)]
    yield request("csv", "a column an item", "\n".join(lines) + "\n", CSV)
    try:
        columns = {name: pa.array([row[i] for row in flat]) for i, name in enumerate(letters)}
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return
    yield request("parquet", "a column an item", parquet_bytes(columns), PARQUET)


def _flat(nested: Any) -> list[Any]:
    return [item for part in nested for item in _flat(part)] if isinstance(nested, list) else [nested]
