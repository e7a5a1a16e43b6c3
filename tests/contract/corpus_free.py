"""Requests for models whose input is not typed by columns: no signature, hints, chat, answers by name, params."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from contract.cells import FEW_ODD, ODD
from contract.corpus import Subject
from contract.requests import CSV, PARQUET, Request, post, request


def cases(about: Subject) -> Iterator[Request]:
    if about.name == "answers":
        yield from _answers()
        return
    if about.hinted:
        yield from _hinted()
    elif about.inputs is None:
        yield from _untyped(about.thorough)
    if about.name.startswith("chat_"):
        yield from _chat()
    if about.params:
        yield from _params(about)


def _answers() -> Iterator[Request]:
    """One request for each kind of answer. Their names are read from the model's source, which needs its libraries."""
    from contract.models.answers import CASES

    for case in CASES:
        yield post("answer", case, {"dataframe_split": {"columns": ["case"], "data": [[case]]}})
    yield post("answer", "no such case", {"dataframe_split": {"columns": ["case"], "data": [["?"]]}})


FREE: dict[str, Any] = {
    "numbers": [1, 2, 3],
    "fractions": [1.5, 2.5],
    "mixed numbers": [1, 2.5],
    "rows": [[1.0, 2.0], [3.0, 4.0]],
    "rows of whole numbers": [[1, 2], [3, 4]],
    "iris": [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]],
    "rank 3": [[[1], [2]], [[3], [4]]],
    "ragged": [[1], [2, 3]],
    "words": ["a", "b"],
    "words and numbers": ["a", 1],
    "words and null": ["a", None],
    "numbers and null": [1.5, None],
    "nulls": [None, None],
    "booleans": [True, False],
    "booleans and numbers": [True, 2],
    "big numbers": [2**63, 1],
    "past unsigned": [2**64, 1],
    "moments": ["2024-01-02T03:04:05"],
    "records": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}],
    "records of other keys": [{"a": 1}, {"b": 2}],
    "records with null": [{"a": 1}, {"a": None}],
    "records with lists": [{"a": [1, 2]}, {"a": [3, 4]}],
    "records with ragged lists": [{"a": [1]}, {"a": [3, 4]}],
    "records with objects": [{"a": {"k": 1}}],
    "records and others": [{"a": 1}, 2],
    "empty list": [],
    "list with an empty list": [[]],
    "columns": {"a": [1, 2], "b": [1.5, 2.5]},
    "columns of words": {"a": ["x", "y"]},
    "columns unequal": {"a": [1], "b": [1, 2]},
    "scalars": {"a": 1, "b": "x"},
    "scalars and lists": {"a": 1, "b": [1, 2]},
    "nested objects": {"a": {"b": [1]}},
    "empty object": {},
    "number": 3,
    "fraction": 1.5,
    "word": "abc",
    "true": True,
    "null": None,
}

TABLES: dict[str, Any] = {
    "numbers": {"columns": ["a", "b"], "data": [[1, 2.5], [3, 4]]},
    "whole numbers": {"columns": ["a", "b"], "data": [[1, 2], [3, 4]]},
    "words": {"columns": ["a"], "data": [["x"], ["y"]]},
    "words and null": {"columns": ["a"], "data": [["x"], [None]]},
    "numbers and null": {"columns": ["a", "b"], "data": [[1, 2.5], [None, None]]},
    "all null": {"columns": ["a"], "data": [[None], [None]]},
    "booleans": {"columns": ["a"], "data": [[True], [False]]},
    "booleans and null": {"columns": ["a"], "data": [[True], [None]]},
    "booleans and numbers": {"columns": ["a"], "data": [[True], [2]]},
    "words and numbers": {"columns": ["a"], "data": [["x"], [1]]},
    "moments": {"columns": ["a"], "data": [["2024-01-02T03:04:05"], ["2024-01-03"]]},
    "lists": {"columns": ["a"], "data": [[[1, 2]], [[3]]]},
    "objects": {"columns": ["a"], "data": [[{"k": 1}], [{"k": 2}]]},
    "big numbers": {"columns": ["a", "b"], "data": [[2**63, 2**64], [1, 1]]},
    "number names": {"columns": [0, 1], "data": [[1.0, 2.0]]},
    "no names": {"data": [[1.0, 2.0], [3.0, 4.0]]},
    "iris": {"columns": list("abcd"), "data": [[5.1, 3.5, 1.4, 0.2]]},
    "index": {"columns": ["a", "b"], "index": ["r", "s"], "data": [[1.0, 2.0], [3.0, 4.0]]},
    "name twice": {"columns": ["a", "a"], "data": [[1, 2]]},
    "no rows": {"columns": ["a", "b"], "data": []},
    "nothing": {"columns": [], "data": []},
    "ragged": {"columns": ["a", "b"], "data": [[1], [2, 3]]},
    "rows too long": {"columns": ["a"], "data": [[1, 2]]},
}

CSV_BODIES = {
    "numbers": "a,b\n1,2.5\n3,4\n",
    "words": "a,b\nx,1\ny,2\n",
    "gaps": "a,b\n1,\n,x\n",
    "booleans": "a,b\nTrue,true\nFalse,FALSE\n",
    "missing words": "a,b,c\nNA,null,1\nN/A,None,2\n-,nan,3\n",
    "moments": "a\n2024-01-02\n2024-01-03T04:05:06\n",
    "big numbers": "a,b\n9223372036854775808,18446744073709551616\n1,1\n",
    "leading zeros": "a,b\n007,+1\n1e3,0x10\n",
    "thousands": 'a,b\n"1,000",1_000\n1,2\n',
    "padded": "a, b\n 1 , 2 \n",
    "header only": "a,b\n",
    "empty": "",
    "name twice": "a,a\n1,2\n",
    "no name": "a,,c\n1,2,3\n",
    "row too long": "a\n1,2\n",
    "row too short": "a,b\n1\n",
    "iris": "w,x,y,z\n5.1,3.5,1.4,0.2\n",
    "infinities": "a,b\ninf,-inf\n1,2\n",
}


def _untyped(thorough: bool) -> Iterator[Request]:
    for case, body in FREE.items():
        yield post("inputs", case, {"inputs": body})
        if thorough:
            yield post("instances", case, {"instances": body})
            yield post("dataframe_records", case, {"dataframe_records": body})
    yield from (post("dataframe_split", case, {"dataframe_split": body}) for case, body in TABLES.items())
    yield from (request("csv", case, body, CSV) for case, body in CSV_BODIES.items())
    if thorough:
        yield from _untyped_parquet()


def _untyped_parquet() -> Iterator[Request]:
    import pyarrow as pa

    from contract.parquet_bodies import ARROW, parquet_bytes

    for case, (kind, cells) in ARROW.items():
        yield request("parquet", case, parquet_bytes({"a": pa.array(cells, kind)}), PARQUET)
        yield request("parquet", f"{case} with null", parquet_bytes({"a": pa.array([cells[0], None], kind)}), PARQUET)


HINTED: dict[str, Any] = {
    "words": ["a", "b"],
    "numbers": [1.5, 2.0],
    "whole numbers": [1, 2],
    "booleans": [True],
    "null item": ["a", None],
    "one null": [None],
    "lists": [["a"], ["b", "c"]],
    "lists of numbers": [[1], [2]],
    "objects": [{"a": 1}, {"b": 2, "c": 3}],
    "objects of words": [{"a": "1"}],
    "objects of fractions": [{"a": 1.5}],
    "empty objects": [{}],
    "moments": ["2024-01-02T03:04:05", "2024-01-02"],
    "zoned moments": ["2024-01-02T03:04:05Z"],
    "base64": ["YWJj", ""],
    "bad base64": ["YWJ"],
    "numbers as text": ["1", "2.5"],
    "empty list": [],
    "list of an empty list": [[]],
    "word": "abc",
    "number": 1,
    "null": None,
    "object": {"a": 1},
    "columns": {"name": ["a"], "age": [1]},
    "person": [{"name": "Ann", "age": 30}],
    "person in full": [
        {"name": "Ann", "age": 30, "height": 1.6, "tags": ["a"], "place": {"city": "Rome", "people": 3}}
    ],
    "two people": [{"name": "Ann", "age": 30}, {"age": 31, "name": "Bob"}],
    "person without age": [{"name": "Ann"}],
    "person with age as text": [{"name": "Ann", "age": "30"}],
    "person with age as whole float": [{"name": "Ann", "age": 30.0}],
    "person with age as fraction": [{"name": "Ann", "age": 30.5}],
    "person with age as boolean": [{"name": "Ann", "age": True}],
    "person with height whole": [{"name": "Ann", "age": 30, "height": 2}],
    "person with null name": [{"name": None, "age": 30}],
    "person with null place": [{"name": "Ann", "age": 30, "place": None}],
    "person with bad place": [{"name": "Ann", "age": 30, "place": {"people": 1}}],
    "person with more": [{"name": "Ann", "age": 30, "more": 1}],
    "person with number as tag": [{"name": "Ann", "age": 30, "tags": [1]}],
    "person and a word": [{"name": "Ann", "age": 30}, "Bob"],
    "person as list": [["Ann", 30]],
    **{f"item: {case}": [value] for case, value in ODD.items()},
}


def _hinted() -> Iterator[Request]:
    for case, body in HINTED.items():
        yield post("hint", case, {"inputs": body})
    for kind in ("instances", "dataframe_records"):
        yield post("hint", f"under {kind}", {kind: ["a"]})
        yield post("hint", f"people under {kind}", {kind: [{"name": "Ann", "age": 30}]})
    yield post("hint", "under dataframe_split", {"dataframe_split": {"columns": ["a"], "data": [["x"]]}})
    yield request("hint", "csv", "a\nx\n", CSV)
    yield post("hint", "with params", {"inputs": ["a"], "params": {"k": 1}})
    yield post("hint", "unwrapped input", {"input": ["a"]})
    yield post("hint", "unwrapped messages", {"messages": [{"role": "user", "content": "x"}]})


_MESSAGES = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]

CHAT: dict[str, Any] = {
    "messages": {"messages": _MESSAGES},
    "messages with params": {"messages": _MESSAGES, "temperature": 0.5, "stop": ["x"], "max_tokens": 5},
    "messages with whole temperature": {"messages": _MESSAGES, "temperature": 1},
    "messages with bad temperature": {"messages": _MESSAGES, "temperature": "hot"},
    "messages with null temperature": {"messages": _MESSAGES, "temperature": None},
    "messages with a params key": {"messages": _MESSAGES, "params": {"temperature": 0.5}},
    "messages and stream": {"messages": _MESSAGES, "stream": True},
    "messages without content": {"messages": [{"role": "user"}]},
    "messages with content null": {"messages": [{"role": "user", "content": None}]},
    "messages with content parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]},
    "messages with a name": {"messages": [{"role": "user", "content": "x", "name": "n"}]},
    "messages empty": {"messages": []},
    "messages null": {"messages": None},
    "messages a word": {"messages": "hello"},
    "messages an object": {"messages": {"role": "user", "content": "x"}},
    "messages under inputs": {"inputs": {"messages": _MESSAGES}},
    "messages in a list under inputs": {"inputs": [{"messages": _MESSAGES}]},
    "messages under instances": {"instances": [{"messages": _MESSAGES}]},
    "messages as records": {"dataframe_records": [{"messages": _MESSAGES}]},
    "messages as a split": {"dataframe_split": {"columns": ["messages"], "data": [[_MESSAGES]]}},
    "messages beside a split": {"messages": _MESSAGES, "dataframe_split": {"columns": ["a"], "data": [[1]]}},
    "prompt": {"prompt": "tell"},
    "prompt with number": {"prompt": "tell", "n": 2},
    "prompt with a fraction": {"prompt": "tell", "n": 1.5},
    "prompt with n null": {"prompt": "tell", "n": None},
    "prompt list": {"prompt": ["a", "b"]},
    "prompt number": {"prompt": 3},
    "prompt null": {"prompt": None},
    "prompt object": {"prompt": {"a": 1}},
    "prompt and more": {"prompt": "x", "other": {"a": [1, None]}},
    "input": {"input": "embed"},
    "input list": {"input": ["a", "b"]},
    "input list of lists": {"input": [["a"], ["b"]]},
    "input number": {"input": 1},
    "input and inputs": {"input": "a", "inputs": ["b"]},
    "input and model": {"input": "a", "model": "m"},
    "input null": {"input": None},
    "input empty list": {"input": []},
    "all three": {"messages": _MESSAGES, "prompt": "p", "input": "i"},
}


def _chat() -> Iterator[Request]:
    yield from (post("chat", case, body) for case, body in CHAT.items())


_PARAM_VALUES: dict[str, Any] = {
    **ODD,
    "null": None,
    "list of numbers": [1, 2, 3],
    "list of fractions": [0.5, 1.5],
    "list of words": ["a", "b"],
    "list of booleans": [True, False],
    "list of moments": ["2024-01-02T03:04:05"],
    "list with null": [1, None],
    "mixed list": [1, "a"],
    "option": {"k": "v"},
    "option with number": {"k": "v", "n": 1},
    "option with a bad number": {"k": "v", "n": 1.5},
    "option with more": {"k": "v", "z": 1},
    "option without k": {"n": 1},
}


def _params(about: Subject) -> Iterator[Request]:
    body = _input_for(about)
    whole: dict[str, Any] = {
        "left out": ...,
        "null": None,
        "empty": {},
        "list": [1],
        "word": "abc",
        "number": 1,
        "false": False,
        "empty list": [],
        "unknown name": {"unknown": 1},
        "known and unknown": {"unknown": 1, about.params[0]["name"]: about.params[0]["default"]},
    }
    for case, params in whole.items():
        yield post("params", f"all: {case}", body if params is ... else {**body, "params": params})
    yield post("params", "params first", {"params": {}, **body})
    for param in about.params:
        for case in _PARAM_VALUES if about.name == "echo_params" else FEW_ODD:
            value = _PARAM_VALUES[case]
            yield post("params", f"{param['name']}: {case}", {**body, "params": {param["name"]: value}})


def _input_for(about: Subject) -> dict[str, Any]:
    from contract.corpus_tables import columns_of, split
    from contract.corpus_tensors import tensor

    if about.inputs is None:
        return {"inputs": [1, 2]}
    if about.is_tensor:
        return {"inputs": tensor(about.inputs[0], 2)}
    return {"dataframe_split": split(columns_of(about))}
