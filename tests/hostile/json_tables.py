"""JSON bodies whose tables have hostile shapes: ragged, as wide as long, with a column for each row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from hostile.body import JSON, HostileBody
from hostile.shapes import JSON_SHAPES, compact, names, own_keys, split

CELLS = 8000


def json_tables() -> Iterator[HostileBody]:
    for kind, bodies in (("json-ragged", _RAGGED), ("json-keys", _KEYS), ("json-wide", _WIDE), ("json-odd", _ODD)):
        for name, (make, model) in bodies.items():
            yield HostileBody(kind, name, JSON, make, model)


_Bodies = dict[str, tuple[Callable[[], bytes], str]]

_RAGGED: _Bodies = {
    "a long row first": (partial(JSON_SHAPES["a long row first"], CELLS), "iris"),
    "a long row last": (partial(JSON_SHAPES["a long row last"], CELLS), "iris"),
    "a long row first, no signature": (partial(JSON_SHAPES["a long row first"], CELLS), "bare"),
    "a long row first, python": (partial(JSON_SHAPES["a long row first"], CELLS), "echo"),
    "rows of 1 to 1500": (lambda: split([[1] * i for i in range(1, 1501)]), "iris"),
    "one longer row behind 100k": (lambda: split([*[[1, 2, 3, 4]] * 100_000, [1] * 5]), "iris"),
    "one short row in 100k": (lambda: split([*[[1, 2, 3, 4]] * 99_999, [1]], columns=["a"] * 4), "iris"),
    "empty rows and a long one": (lambda: split([*[[]] * 300_000, [1] * CELLS]), "iris"),
    "inputs with a long row": (partial(JSON_SHAPES["inputs with a long row"], CELLS), "tensor"),
    "instances with a long row": (partial(JSON_SHAPES["instances with a long row"], CELLS), "tensor"),
    "named columns of unequal length": (partial(JSON_SHAPES["named lists of unequal length"], 300_000), "iris"),
    "cells that are lists of unequal length": (lambda: split([[[1] * (i % 7)] * 4 for i in range(40_000)]), "iris"),
}

_KEYS: _Bodies = {
    "records of own keys": (partial(JSON_SHAPES["records of own keys"], CELLS), "iris"),
    "records of own keys, no signature": (partial(JSON_SHAPES["records of own keys"], CELLS), "bare"),
    "records of own keys, python": (partial(JSON_SHAPES["records of own keys"], CELLS), "echo"),
    "instances of own keys": (partial(JSON_SHAPES["instances of own keys"], CELLS), "iris"),
    "inputs of own keys": (lambda: compact({"inputs": own_keys(CELLS)}), "tensor"),
    "own keys by the 100k": (lambda: compact({"dataframe_records": own_keys(100_000)}), "iris"),
    "a wide record and empty ones": (
        partial(JSON_SHAPES["a wide record and empty ones"], 20_000),
        "iris",
    ),
    "duplicate keys in a record": (
        lambda: b'{"dataframe_records":[{' + b",".join([b'"a":1'] * 500_000) + b"}]}",
        "iris",
    ),
    "duplicate envelopes": (lambda: b"{" + b",".join([b'"dataframe_split":{"data":[[1]]}'] * 50_000) + b"}", "iris"),
    "records of very long keys": (
        lambda: compact({"dataframe_records": [{"k" * 1_000_000 + str(i): 1} for i in range(4)]}),
        "iris",
    ),
    "a key of 4 MB at the top": (lambda: compact({"k" * 4_000_000: 1}), "iris"),
    "records that are no records": (lambda: compact({"dataframe_records": [1, "a", None, []] * 100_000}), "iris"),
}

_WIDE: _Bodies = {
    "500k columns, one row": (partial(JSON_SHAPES["names and a row"], 500_000), "iris"),
    "500k columns, no signature": (partial(JSON_SHAPES["names and a row"], 500_000), "bare"),
    "500k columns, python": (partial(JSON_SHAPES["names and a row"], 500_000), "echo"),
    "500k columns of one name": (partial(JSON_SHAPES["equal names and a row"], 500_000), "iris"),
    "500k columns of one name, python": (partial(JSON_SHAPES["equal names and a row"], 500_000), "echo"),
    "500k columns without data": (lambda: compact({"dataframe_split": {"columns": names(500_000)}}), "iris"),
    "500k columns, no rows": (lambda: split([], columns=names(500_000)), "iris"),
    "500k columns, empty rows": (lambda: split([[]] * 100_000, columns=names(200_000)), "iris"),
    "a record of 300k keys": (lambda: compact({"dataframe_records": [dict.fromkeys(names(300_000), 1)]}), "iris"),
    "inputs of 300k names": (lambda: compact({"inputs": dict.fromkeys(names(300_000), 1)}), "iris"),
    "inputs of 200k named lists": (partial(JSON_SHAPES["a named list each"], 200_000), "tensor"),
    "a row of two million": (lambda: split([[1] * 2_000_000]), "iris"),
    "a tensor row of two million": (lambda: compact({"inputs": [[1] * 2_000_000]}), "tensor"),
    "columns that are numbers": (lambda: split([[1] * 200_000], columns=[*range(200_000)]), "echo"),
    "columns that are lists": (lambda: split([[1] * 100_000], columns=[["a", "b"]] * 100_000), "iris"),
    "columns that are lists, python": (lambda: split([[1] * 100_000], columns=[["a", "b"]] * 100_000), "echo"),
}

_IRIS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]

_ODD: _Bodies = {
    "nothing at all": (lambda: b"", "iris"),
    "an empty object": (lambda: b"{}", "iris"),
    "an empty list": (lambda: b"[]", "iris"),
    "null": (lambda: b"null", "iris"),
    "an empty split": (lambda: compact({"dataframe_split": {}}), "iris"),
    "every envelope, empty": (
        lambda: compact({"dataframe_split": {}, "dataframe_records": [], "inputs": [], "instances": []}),
        "iris",
    ),
    "envelopes of null": (lambda: compact({"dataframe_split": None, "dataframe_records": None}), "iris"),
    "nulls everywhere": (lambda: split([[None] * 4] * 150_000, columns=_IRIS), "iris"),
    "nulls everywhere, no signature": (lambda: split([[None] * 4] * 150_000), "bare"),
    "booleans among numbers": (lambda: split([[1, True, 2.5, False]] * 150_000, columns=_IRIS), "iris"),
    "mixed types per column": (
        lambda: split([[1, "a", None, [1]], [{"a": 1}, 2.5, True, "b"]] * 60_000, columns=_IRIS),
        "iris",
    ),
    "mixed types, python": (lambda: split([[1, "a", None, [1]], [{"a": 1}, 2.5, True, "b"]] * 60_000), "echo"),
    "an index too short": (lambda: split([[1, 2, 3, 4]] * 100_000, columns=_IRIS, index=[1]), "iris"),
    "an index too long": (lambda: split([[1, 2, 3, 4]], columns=_IRIS, index=[*range(500_000)]), "iris"),
    "an index of lists": (lambda: split([[1, 2, 3, 4]] * 50_000, columns=_IRIS, index=[[1, "a"]] * 50_000), "echo"),
    "an index of one text": (lambda: split([[1, 2, 3, 4]], columns=_IRIS, index="x" * 1_000_000), "iris"),
    "data that is text": (lambda: split("x" * 2_000_000), "iris"),
    "data that is an object": (lambda: split({name: [1] for name in names(100_000)}), "iris"),
    "a million empty rows": (lambda: split([[]] * 1_000_000), "iris"),
    "a million empty records": (lambda: compact({"dataframe_records": [{}] * 1_000_000}), "iris"),
    "a million empty records, python": (lambda: compact({"dataframe_records": [{}] * 1_000_000}), "echo"),
    "compound cells": (
        lambda: compact({"dataframe_records": [{"array": [1.5], "object": {"x": 1, "y": "a"}}] * 40_000}),
        "typed",
    ),
    "cells of long lists": (lambda: compact({"dataframe_records": [{"array": [1.5] * 400_000}] * 2}), "typed"),
    "cells of objects with 100k keys": (
        lambda: compact({"dataframe_records": [{"object": dict.fromkeys(names(200_000), 1)}]}),
        "typed",
    ),
    "cells of nested lists": (
        lambda: b'{"dataframe_records":[{"array":' + b"[" * 400 + b"1," * 300_000 + b"1" + b"]" * 400 + b"}]}",
        "typed",
    ),
}
