"""JSON bodies whose values are hostile: numbers, texts, dates, nesting, params, tensors of odd shapes."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator

from hostile.body import JSON, HostileBody
from hostile.shapes import compact, names, split

_Bodies = dict[str, tuple[Callable[[], bytes], str]]
_ROW = b'"dataframe_split":{"data":[[1,2,3,4]]}'


def json_values() -> Iterator[HostileBody]:
    kinds = {
        "json-nesting": _NESTING, "json-numbers": _NUMBERS, "json-text": _TEXT, "json-dates": _DATES,
        "json-params": _PARAMS, "json-tensors": _TENSORS, "json-encodings": _ENCODINGS,
    }  # fmt: skip
    for kind, bodies in kinds.items():
        for name, (make, model) in bodies.items():
            yield HostileBody(kind, name, JSON, make, model)


def _cell(cell: bytes, times: int = 1) -> bytes:
    """A table of one column whose cells are all this."""
    return b'{"dataframe_split":{"data":[' + b",".join([b"[" + cell + b"]"] * times) + b"]}}"


def _nested(levels: int, kernel: bytes = b"1") -> bytes:
    return b"[" * levels + kernel + b"]" * levels


def _objects(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


def _mixed(levels: int) -> bytes:
    return b'[{"a":' * levels + b"1" + b"}]" * levels


_NESTING: _Bodies = {
    "inputs of 64 dimensions": (lambda: b'{"inputs":' + _nested(64) + b"}", "tensor"),
    "inputs of 65 dimensions": (lambda: b'{"inputs":' + _nested(65) + b"}", "tensor"),
    "instances of 64 dimensions, 100k cells": (
        lambda: b'{"instances":' + _nested(64, b"1," * 100_000 + b"1") + b"}",
        "tensor",
    ),
    "inputs of 450 levels, 150k cells": (lambda: b'{"inputs":{"x":' + _nested(450, b"1," * 150_000 + b"1") + b"}}", "bare"),
    "10 levels in a cell": (lambda: _cell(_nested(10), 50_000), "iris"),
    "1,000 levels in a cell": (lambda: _cell(_nested(1000), 500), "iris"),
    "1,000 levels in a cell, python": (lambda: _cell(_nested(1000), 500), "echo"),
    "1,000 levels of objects in a cell, python": (lambda: _cell(_objects(1000), 200), "echo"),
    "1,020 levels of both in a cell, python": (lambda: _cell(_mixed(510), 200), "echo"),
    "100,000 levels of lists": (lambda: b'{"inputs":' + _nested(100_000) + b"}", "tensor"),
    "100,000 levels of objects": (lambda: b'{"inputs":' + _objects(100_000) + b"}", "tensor"),
    "a million levels of lists": (lambda: _nested(1_000_000), "iris"),
    "a million levels, never closed": (lambda: b"[" * 1_000_000, "iris"),
    "500,000 levels of both, after a NaN": (lambda: b'{"inputs":[NaN,' + _mixed(400_000) + b"]}", "iris"),
    "nested lists of a chat": (lambda: b'{"messages":' + _nested(900, b"1," * 100_000 + b"1") + b"}", "echo"),
}  # fmt: skip

_NUMBERS: _Bodies = {
    "an integer of 100k digits": (lambda: _cell(b"9" * 100_000), "iris"),
    "an integer of a million digits": (lambda: _cell(b"9" * 1_000_000), "iris"),
    "an integer of a million digits, beside NaN": (lambda: b'{"inputs":[[NaN],[' + b"9" * 1_000_000 + b"]]}", "tensor"),
    "a million digits, python": (lambda: _cell(b"9" * 1_000_000), "echo"),
    "integers of 4,300 digits": (lambda: _cell(b"9" * 4300, 900), "iris"),
    "integers of 4,300 digits, beside NaN": (lambda: b'{"inputs":[[NaN]' + (b",[" + b"9" * 4300 + b"]") * 900 + b"]}", "bare"),
    "integers of 300 digits": (lambda: _cell(b"9" * 300, 10_000), "iris"),
    "integers beyond 64 bits": (lambda: _cell(b"18446744073709551616", 150_000), "iris"),
    "integers beyond 64 bits, tensor": (lambda: b'{"inputs":' + _nested(2, b"18446744073709551616," * 150_000 + b"1") + b"}", "tensor"),
    "a fraction of two million digits": (lambda: _cell(b"0." + b"3" * 2_000_000), "iris"),
    "a fraction of two million digits, beside NaN": (lambda: b'{"inputs":[[NaN],[0.' + b"3" * 2_000_000 + b"]]}", "tensor"),
    "fractions of 700 digits": (lambda: _cell(b"2.2250738585072011" + b"1" * 700, 5000), "iris"),
    "huge exponents": (lambda: _cell(b"1e999999999", 200_000), "iris"),
    "an exponent of a million digits": (lambda: _cell(b"1e" + b"9" * 1_000_000), "iris"),
    "tiny exponents": (lambda: _cell(b"1e-999999999", 200_000), "iris"),
    "NaN words": (lambda: _cell(b"NaN", 300_000), "iris"),
    "Infinity words": (lambda: _cell(b"-Infinity", 200_000), "iris"),
    "NaN words, tensor": (lambda: b'{"inputs":' + _nested(2, b"NaN," * 300_002 + b"NaN") + b"}", "tensor"),
    "numbers as texts": (lambda: _cell(b'"1.5"', 300_000), "iris"),
    "texts of a million digits": (lambda: _cell(b'"' + b"9" * 1_000_000 + b'"'), "iris"),
    "texts of huge exponents": (lambda: _cell(b'"1e999999999"', 150_000), "iris"),
    "texts of a million underscores": (lambda: _cell(b'"1' + b"_1" * 500_000 + b'"'), "iris"),
}  # fmt: skip

_TEXT: _Bodies = {
    "a long text beside 500 empty ones": (lambda: compact({"inputs": {"x": ["a" * 1_000_000, *[""] * 500]}}), "iris"),
    "a long text beside 500 empty ones, no signature": (lambda: compact({"inputs": ["a" * 1_000_000, *[""] * 500]}), "bare"),
    "a long text beside 500 empty ones, python": (lambda: compact({"inputs": {"x": ["a" * 1_000_000, *[""] * 500]}}), "echo"),
    "a long text beside 100k empty ones, instances": (lambda: compact({"instances": ["a" * 1_000_000, *[""] * 100_000]}), "words"),
    "2 MB of text to a text model": (lambda: compact({"inputs": ["some words and more " * 100_000]}), "words"),
    "100k short texts to a text model": (lambda: compact({"inputs": ["some words and more"] * 100_000}), "words"),
    "one-hot cells of 1 MB": (lambda: split([["x" * 1_000_000, 1.0]] * 4, columns=["colour", "size"]), "onehot"),
    "one-hot cells, one of 4 MB": (lambda: split([["x" * 4_000_000, 1.0], *[["red", 1.0]] * 500], columns=["colour", "size"]), "onehot"),
    "one-hot cells, 80k unknown": (lambda: split([[f"u{i}", 1.0] for i in range(80_000)], columns=["colour", "size"]), "onehot"),
    "a text of 4 MB for a number": (lambda: _cell(b'"' + b"x" * 4_000_000 + b'"'), "iris"),
    "texts for numbers": (lambda: _cell(b'"x"', 400_000), "iris"),
    "texts for a tensor": (lambda: compact({"inputs": [["x" * 1_000_000, *["y"] * 200]]}), "tensor"),
    "texts echoed": (lambda: split([["x" * 10_000]] * 400, columns=["s"]), "echo"),
    "unicode escapes by the million": (lambda: _cell(b'"' + b"\\u00e9" * 800_000 + b'"'), "echo"),
    "escaped quotes by the million": (lambda: _cell(b'"' + b'\\"' * 2_000_000 + b'"'), "iris"),
    "half characters in a cell": (lambda: _cell(b'"a\\ud83d"'), "echo"),
    "half characters in 100k cells": (lambda: _cell(b'"\\ud83d"', 100_000), "iris"),
    "half characters in a text model": (lambda: b'{"inputs":["a\\ud83d"]}', "words"),
    "half characters in one-hot cells": (lambda: b'{"dataframe_split":{"columns":["colour","size"],"data":[["\\udc00",1]]}}', "onehot"),
    "half characters in a key": (lambda: b'{"dataframe_records":[{"a\\ud83d":1}]}', "iris"),
    "half characters in a column's name": (lambda: b'{"dataframe_split":{"columns":["\\ud83d"],"data":[[1]]}}', "iris"),
    "half characters in a name, python": (lambda: b'{"dataframe_split":{"columns":["\\ud83d"],"data":[[1]]}}', "echo"),
    "half characters in an unknown key": (lambda: b'{"\\ud83d":1,' + _ROW + b"}", "iris"),
    "half characters in an index": (lambda: b'{"dataframe_split":{"index":["\\ud83d"],"data":[[1,2,3,4]]}}', "echo"),
    "zero characters": (lambda: _cell(b'"' + b"\\u0000" * 500_000 + b'"'), "echo"),
    "base64 that is none": (lambda: compact({"dataframe_records": [{"binary": "=*?" * 100_000}] * 10}), "typed"),
    "base64 of 4 MB": (lambda: compact({"dataframe_records": [{"binary": base64.b64encode(bytes(3_000_000)).decode()}]}), "typed"),
    "base64 for a tensor": (lambda: compact({"inputs": [{"b64": "A" * 4_000_000}]}), "tensor"),
}  # fmt: skip

_DATES: _Bodies = {
    "a date of 300k digits": (lambda: _dates("1" * 300_000), "typed"),
    "a date of 300k words": (lambda: _dates("may " * 75_000), "typed"),
    "a date of a million digits after the point": (lambda: _dates("2024-01-01T00:00:00." + "1" * 1_000_000), "typed"),
    "a year of 100k digits": (lambda: _dates("9" * 100_000 + "-01-01"), "typed"),
    "100k dates of odd form": (lambda: _dates(*["1st of May 2024, 5pm"] * 100_000), "typed"),
    "100k dates, each of another form": (
        lambda: _dates(*[f"{i % 28 + 1}/{i % 12 + 1}/{1900 + i % 200} {i % 24}h" for i in range(100_000)]),
        "typed",
    ),
    "50k dates with zones": (lambda: _dates(*[f"2024-01-01T00:00:00+{i % 24:02}:{i % 60:02}" for i in range(50_000)]), "typed"),
    "dates that are numbers": (lambda: _cell_named(b"1e18", 200_000), "typed"),
    "dates of 300k digits as a number": (lambda: _cell_named(b"1" * 300_000, 1), "typed"),
    "dates of brackets": (lambda: _dates("(" * 300_000), "typed"),
}  # fmt: skip


def _dates(*dates: str) -> bytes:
    return compact({"dataframe_split": {"columns": ["when"], "data": [[date] for date in dates]}})


def _cell_named(cell: bytes, times: int) -> bytes:
    return b'{"dataframe_split":{"columns":["when"],"data":[' + b",".join([b"[" + cell + b"]"] * times) + b"]}}"


_PARAMS: _Bodies = {
    "100k params": (lambda: _params(compact(dict.fromkeys(names(100_000), 1))), "iris"),
    "100k params, python": (lambda: _params(compact(dict.fromkeys(names(100_000), 1))), "echo"),
    "nested params": (lambda: _params(b'{"offset":' + _nested(900) + b"}"), "echo"),
    "params nested 100k levels": (lambda: _params(b'{"offset":' + _nested(100_000) + b"}"), "echo"),
    "an unknown param": (lambda: _params(b'{"never":1}'), "echo"),
    "params of 4 MB": (lambda: _params(compact({"offset": "x" * 4_000_000})), "echo"),
    "a param of a million digits": (lambda: _params(b'{"offset":' + b"9" * 1_000_000 + b"}"), "echo"),
    "a param of a million digits as text": (lambda: _params(b'{"offset":"' + b"9" * 1_000_000 + b'"}'), "echo"),
    "half characters in params": (lambda: _params(b'{"\\ud83d":"\\ud83d"}'), "echo"),
    "half characters in a param": (lambda: _params(b'{"offset":"\\ud83d"}'), "echo"),
    "params that are a list": (lambda: _params(b"[" + b"1," * 500_000 + b"1]"), "echo"),
}


def _params(params: bytes) -> bytes:
    return b'{"params":' + params + b"," + _ROW + b"}"


_TENSORS: _Bodies = {
    "a million empty lists": (lambda: b'{"inputs":[' + b"[]," * 999_999 + b"[]]}", "tensor"),
    "a million empty lists, no signature": (lambda: b'{"inputs":[' + b"[]," * 999_999 + b"[]]}", "bare"),
    "300k lists of three empty lists": (lambda: b'{"instances":[' + b"[[],[],[]]," * 300_000 + b"[]]}", "tensor"),
    "objects in a tensor": (lambda: b'{"inputs":[' + b'{"a":1},' * 300_000 + b"{}]}", "tensor"),
    "a tensor of nulls": (lambda: compact({"inputs": [[None] * 3] * 200_000}), "tensor"),
    "a tensor of booleans": (lambda: compact({"inputs": [[True, 1, 2.5]] * 200_000}), "tensor"),
    "a tensor of every type": (lambda: compact({"inputs": [[1, "a", None], [[], {}, 2.5]] * 80_000}), "tensor"),
    "ragged in the third axis": (lambda: b'{"inputs":[' + b"[[1],[1,2],[]]," * 150_000 + b"[[1],[1],[1]]]}", "tensor"),
    "a tensor of rows": (lambda: compact({"inputs": [[1, 2, 3]] * 400_000}), "tensor"),
    "a tensor echoed": (lambda: compact({"inputs": [[0.1234567890123, 1e300, -1e-300]] * 80_000}), "tensor"),
    "unknown names beside the tensor": (lambda: compact({"inputs": {"x": [[1, 2, 3]], **{name: [[1]] for name in names(100_000)}}}), "tensor"),
}  # fmt: skip

_PLAIN = '{"dataframe_split":{"data":' + str([[1, 2, 3, 4]] * 100_000) + "}}"

_ENCODINGS: _Bodies = {
    "UTF-8 with a mark": (lambda: _PLAIN.encode("utf-8-sig"), "iris"),
    "UTF-16": (lambda: _PLAIN.encode("utf-16"), "iris"),
    "UTF-16 without a mark": (lambda: _PLAIN.encode("utf-16-be"), "iris"),
    "UTF-32": (lambda: _PLAIN.encode("utf-32"), "iris"),
    "UTF-32 of nothing but marks": (lambda: "\ufeff".encode("utf-32") * 500_000, "iris"),
    "bytes of no encoding": (lambda: b'{"inputs":"' + b"\xff\xfe\xc0" * 1_000_000 + b'"}', "iris"),
    "zero bytes": (lambda: bytes(4_000_000), "iris"),
    "blanks": (lambda: b" " * 4_000_000 + b"{}", "iris"),
    "a quote never closed": (lambda: b'{"inputs":"' + b"x" * 4_000_000, "iris"),
    "commas": (lambda: b'{"inputs":[' + b"," * 2_000_000 + b"]}", "iris"),
}
