"""Which cell of a request is meant for which field of a signature: what predicates about values need to know."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from functools import cache
from io import StringIO
from typing import Any

from contract.corpus import Subject, subject
from contract.requests import Request, body_of, headers_of

Cell = tuple[str, Any]


@cache
def about(package: str) -> Subject:
    return subject(package)


def cells_of(package: str, request: Request) -> list[Cell]:
    """(declared type or dtype, value) for every cell that can be told apart; none where the body is of another form."""
    fields = about(package).inputs or []
    kinds = {str(f.get("name", i)): _kind(f) for i, f in enumerate(fields)}
    try:
        if content_type(request) == "text/csv":
            columns = _csv_columns(body_of(request).decode("utf-8-sig"))
        else:
            columns = _json_columns(json.loads(body_of(request)), [*kinds])
        return [(kinds[name], leaf) for name, cell in columns if name in kinds for leaf in _leaves(cell, kinds[name])]
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError, csv.Error):
        return []


def columns_of(package: str, request: Request) -> dict[str, list[Any]]:
    """The cells of each column that was sent; none where the body is of another form."""
    names = [str(f.get("name", i)) for i, f in enumerate(about(package).inputs or [])]
    found: dict[str, list[Any]] = {}
    try:
        for name, cell in _json_columns(json.loads(body_of(request)), names):
            found.setdefault(name, []).append(cell)
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
        return {}
    return found


def content_type(request: Request) -> str:
    given = next((v for k, v in headers_of(request).items() if k.lower() == "content-type"), "")
    return given.partition(";")[0].strip().lower()


def _kind(field: dict[str, Any]) -> str:
    return f"tensor {field['tensor-spec']['dtype']}" if field["type"] == "tensor" else str(field["type"])


def _leaves(cell: Any, kind: str) -> Iterator[Any]:
    if kind.startswith("tensor") and isinstance(cell, list):
        for item in cell:
            yield from _leaves(item, kind)
    else:
        yield cell


def _csv_columns(text: str) -> Iterator[tuple[str, Any]]:
    header, *rows = csv.reader(StringIO(text))
    for row in rows:
        yield from ((name, _number(cell)) for name, cell in zip(header, row, strict=False))


def _number(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _json_columns(document: Any, names: list[str]) -> Iterator[tuple[str, Any]]:
    split = document.get("dataframe_split")
    if isinstance(split, dict):
        columns = [str(name) for name in split.get("columns") or names]
        if len(names) == 1 and columns != names and len(columns) > 0:
            columns = names * len(columns)  # several columns for one tensor
        for row in split.get("data") or ():
            yield from zip(columns, row, strict=False)
        return
    for key in ("dataframe_records", "instances", "inputs"):
        if key in document:
            yield from _columns_of(document[key], names)


def _columns_of(value: Any, names: list[str]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, cells in value.items():
            yield from ((name, cell) for cell in (cells if isinstance(cells, list) else [cells]))
        return
    if not isinstance(value, list):
        yield names[0], value
        return
    for item in value:
        if isinstance(item, dict):
            one_tensor = len(names) == 1 and not item.keys() & set(names)
            yield from ((names[0] if one_tensor else str(name), cell) for name, cell in item.items())
        elif isinstance(item, list) and len(names) > 1:
            yield from zip(names, item, strict=False)
        else:
            yield names[0], item
