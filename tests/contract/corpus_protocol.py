"""Requests about the protocol itself: content types, bodies that cannot be read, envelopes, numbers, paths, methods."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator

from contract.corpus import Subject
from contract.requests import CSV, JSON, PARQUET, Request, request

_SUBJECTS = ("echo_one_double", "echo_no_signature", "hint_numbers", "sklearn_skops_frame", "echo_tensor")

GOOD = {
    "echo_one_double": {"dataframe_split": {"columns": ["x"], "data": [[1.5], [2.5]]}},
    "echo_no_signature": {"dataframe_split": {"columns": ["x"], "data": [[1.5], [2.5]]}},
    "hint_numbers": {"inputs": [1.5, 2.5]},
    "sklearn_skops_frame": {
        "dataframe_split": {
            "columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"],
            "data": [[5.1, 3.5, 1.4, 0.2]],
        }
    },
    "echo_tensor": {"inputs": [[1.0, 2.0, 3.0]]},
}

CONTENT_TYPES = (
    "application/json",
    "application/json; charset=utf-8",
    "application/json;charset=UTF-8",
    'application/json; charset="utf-8"',
    "application/json; charset=utf8",
    "application/json; charset=latin-1",
    "application/json; charset=utf-16",
    "application/json; charset=",
    "application/json; Charset=utf-8",
    "application/json;",
    "application/json; format=pandas-split",
    "application/json; format=pandas-records",
    "application/json; charset=utf-8; format=pandas-split",
    "application/json; charset=utf-8; charset=utf-8",
    "application/json; charset = utf-8",
    "application/json ; charset=utf-8",
    "Application/JSON",
    " application/json",
    "application/json-numpy-split",
    "application/jsonlines",
    "application/vnd.api+json",
    "application/octet-stream",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/vnd.apache.arrow.stream",
    "text/json",
    "text/plain",
    "text/csv; charset=utf-8",
    "text/csv; header=present",
    "*/*",
    "json",
    "a/b/c",
)


def cases(about: Subject) -> Iterator[Request]:
    if about.name not in _SUBJECTS:
        return
    good = json.dumps(GOOD[about.name])
    yield from _content_types(good)
    yield from _bodies(good)
    yield from _envelopes(good)
    if about.thorough:
        yield from _numbers(good)
    yield from _paths(good)


def _content_types(good: str) -> Iterator[Request]:
    for content_type in CONTENT_TYPES:
        yield request("content type", content_type, good, content_type)
    yield request("content type", "none", good, None)
    yield request("content type", "none, no body", "", None)
    yield request("content type", "JSON body as CSV", good, CSV)
    yield request("content type", "JSON body as parquet", good, PARQUET)
    yield request("content type", "CSV body as JSON", "x\n1.5\n", JSON)
    for accept in ("text/csv", "application/json", "text/html", "*/*"):
        yield request("accept", accept, good, headers={"Accept": accept})
    for encoding in ("identity", "gzip", "deflate", "br"):
        body = gzip.compress(good.encode(), mtime=0) if encoding == "gzip" else good.encode()
        yield request("content encoding", encoding, body, headers={"Content-Encoding": encoding})
    yield request("content encoding", "gzip without saying so", gzip.compress(good.encode(), mtime=0))


def _bodies(good: str) -> Iterator[Request]:
    bodies: dict[str, str | bytes] = {
        "empty": "",
        "spaces": "  \n",
        "broken": good[:-1],
        "trailing comma": good[:-1] + ",}",
        "two documents": good + good,
        "single quotes": good.replace('"', "'"),
        "comment": "// x\n" + good,
        "padded": "\n\t " + good + " \r\n",
        "BOM": b"\xef\xbb\xbf" + good.encode(),
        "UTF-16": good.encode("utf-16"),
        "UTF-16 little endian": good.encode("utf-16-le"),
        "UTF-16 big endian": good.encode("utf-16-be"),
        "UTF-32": good.encode("utf-32"),
        "Latin-1": '{"inputs": ["é"]}'.encode("latin-1"),
        "not UTF-8": b'{"inputs": ["\xff"]}',
        "NUL": good + "\0",
        "control character in text": '{"inputs": ["a\nb"]}',
        "lone surrogate": '{"inputs": ["\\ud800"]}',
        "surrogate pair": '{"inputs": ["\\ud83d\\ude00"]}',
        "null": "null",
        "true": "true",
        "number": "3",
        "text": '"abc"',
        "list": "[1, 2]",
        "list of records": '[{"x": 1.5}]',
        "old split": '{"columns": ["x"], "data": [[1.5]]}',
        "empty object": "{}",
        "binary": bytes(range(256)),
        "deep lists": '{"inputs": ' + "[" * 50 + "1" + "]" * 50 + "}",
        "deeper lists": '{"inputs": ' + "[" * 900 + "]" * 900 + "}",
        "too deep": '{"inputs": ' + "[" * 5000 + "]" * 5000 + "}",
        "deep objects": '{"inputs": ' + '{"a": ' * 40 + "1" + "}" * 40 + "}",
    }
    yield from (request("body", case, body) for case, body in bodies.items())


def _envelopes(good: str) -> Iterator[Request]:
    document = json.loads(good)
    split = '{"columns": ["x"], "data": [[1.5]]}'
    bodies = {
        "unknown key beside": json.dumps({"other": 1, **document}),
        "only unknown": '{"other": [1]}',
        "signature_name": json.dumps({"signature_name": "serving_default", **document}),
        "params without a schema": json.dumps({**document, "params": {"k": 1}}),
        "params null": json.dumps({**document, "params": None}),
        "params a word": json.dumps({**document, "params": "abc"}),
        "params alone": '{"params": {"k": 1}}',
        "two envelopes": f'{{"dataframe_split": {split}, "inputs": [1.5]}}',
        "split and records": f'{{"dataframe_split": {split}, "dataframe_records": [{{"x": 1.5}}]}}',
        "inputs and instances": '{"inputs": [1.5], "instances": [1.5]}',
        "all four": f'{{"dataframe_split": {split}, "dataframe_records": [], "inputs": [], "instances": []}}',
        "null and another": f'{{"dataframe_split": {split}, "inputs": null}}',
        "key twice": f'{{"dataframe_split": {{"columns": ["x"], "data": [[9.5]]}}, "dataframe_split": {split}}}',
        "inner key twice": '{"dataframe_records": [{"x": 9.5, "x": 1.5}]}',
        "name in capitals": good.replace("inputs", "Inputs").replace("dataframe", "Dataframe"),
        "escaped name": good.replace("inputs", "\\u0069nputs").replace("dataframe", "\\u0064ataframe"),
        "TensorFlow form": '{"signature_name": "s", "instances": [{"x": 1.5}]}',
        "messages beside": json.dumps({**document, "messages": []}),
        "input beside": json.dumps({**document, "input": 1}),
        "prompt beside": json.dumps({**document, "prompt": "p"}),
        "stream": json.dumps({**document, "stream": True}),
    }
    yield from (request("envelope", case, body) for case, body in bodies.items())


_NUMBERS = [
    "NaN",
    "Infinity",
    "-Infinity",
    "nan",
    "inf",
    "null",
    "1e999",
    "-1e999",
    "1E5",
    "1e-400",
    "-0",
    "-0.0",
    "0.1",
    "1.0",
    "100000000000000000000000",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "123456789.123456789",
    "01",
    "+1",
    "1.",
    ".5",
    "0x10",
    "1_000",
    "true",
    "2.5e+3",
    "1e23",
    "5e-324",
    "1.7976931348623157e308",
]


def _numbers(good: str) -> Iterator[Request]:
    """Numbers as they may be written, in a table and in an array."""
    for word in _NUMBERS:
        yield request(
            "number", f"{word} in a table", f'{{"dataframe_split": {{"columns": ["x"], "data": [[{word}]]}}}}'
        )
        yield request("number", f"{word} beside", f'{{"dataframe_records": [{{"x": 1.5}}, {{"x": {word}}}]}}')
        yield request("number", f"{word} in inputs", f'{{"inputs": {{"x": [1.5, {word}]}}}}')
        yield request("number", f"{word} bare", f'{{"inputs": [{word}]}}')
    for digits in (400, 5000):
        yield request("number", f"{digits} digits", '{"inputs": [' + "9" * digits + "]}")


def _paths(good: str) -> Iterator[Request]:
    for path in ("/ping", "/health", "/version"):
        yield request("path", f"GET {path}", "", None, method="GET", path=path)
        yield request("path", f"POST {path}", "", None, method="POST", path=path)
        yield request("path", f"HEAD {path}", "", None, method="HEAD", path=path)
    for path in (
        "/",
        "/nothing",
        "/ping/",
        "/invocations/",
        "/Invocations",
        "/metrics",
        "/invocations/x",
        "//invocations",
    ):
        yield request("path", f"GET {path}", "", None, method="GET", path=path)
    for path in ("/", "/nothing", "/predict", "/invocations/", "/invocations?x=1", "/invocations/x", "/%69nvocations"):
        yield request("path", f"POST {path}", good, path=path)
    for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"):
        yield request("path", f"{method} /invocations", good if method in ("PUT", "PATCH") else "", method=method)
